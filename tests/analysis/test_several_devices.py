"""Several devices in the analysis and in the report: efficiency, fakes, and parity with one device."""

import json
from types import SimpleNamespace

import pytest
from support import recordings
from support.recordings import RUNGS, description, ladder, save

from bench.analysis import analyse
from bench.analysis.parity.compare import compare as compare_recordings
from bench.contract import run_json
from bench.contract.parity import KNOWN
from bench.report.pages.run import page
from bench.report.parts import devices
from bench.report.rows import comparisons

HELD = {"jax": ["gpu:0 64 of 128", "gpu:1 64 of 128"], "torch": ["gpu:0 64 of 128", "gpu:1 64 of 128"]}


@pytest.fixture
def spread(recorded_run):
    """The recorded run of mlp, and on two devices, whose epochs take `factor` times as long."""

    def made(factor, device="gpu", options=None, resolved=None, phases=None, **columns):
        described = json.loads((recorded_run / "run.json").read_text())
        plan = [one for one in described["plan"] if one["case"]["workload"] == "mlp" and not one["skip"]]
        for one in plan:
            one["case"]["device"] = device
        copies = [{**one, "case": {**one["case"], "device_count": 2, **columns}} for one in plan]
        described["plan"] = plan + copies
        described["options"] |= options or {}
        (recorded_run / "run.json").write_text(json.dumps(described))
        for path in list((recorded_run / "launches").glob("*.json")):
            content = json.loads(path.read_text())
            launch = content["launch"]
            if launch["case"]["workload"] != "mlp":
                path.unlink()
                continue
            launch["case"]["device"] = launch["resolved"]["device"] = device
            path.write_text(json.dumps(content))
            launch["case"] |= {"device_count": 2, **columns}
            launch["resolved"] |= {"devices": [f"{device}:0 64 of 128", f"{device}:1 64 of 128"], **(resolved or {})}
            launch["phases"] |= {"exchange": None, "input": None, **(phases or {})}
            if columns:
                launch["batches_digest"] = "others"
            for epoch in launch["epochs"]:
                epoch["seconds"] *= factor * (1 + 0.001 * launch["seed"])
            path.with_name(f"{path.stem}-two.json").write_text(json.dumps(content))
        return analyse(recorded_run)

    return made


def compared(found):
    table = found.comparisons.table
    return table[table["against"].eq("devices=1")]


def test_several_devices_are_compared_with_one_by_the_sample(spread):
    rows = compared(spread(0.6))

    assert len(rows) == 3
    assert rows["ratio"].tolist() == pytest.approx([0.6] * 3, rel=0.01)
    assert rows["verdict"].eq("faster").all()
    assert rows["metric_verdict"].ne("").all()


def test_efficiency_is_throughput_over_so_many_times_that_of_one_with_its_interval(spread):
    row = compared(spread(0.625)).iloc[0].to_dict()
    found = devices.efficiency(row)

    assert found["efficiency"] == pytest.approx(1 / (2 * 0.625), rel=0.01)
    assert found["efficiency_low"] == pytest.approx(1 / (2 * row["ratio_high"]))
    assert found["efficiency_high"] == pytest.approx(1 / (2 * row["ratio_low"]))


def test_the_report_says_efficiency_on_each_backend(spread):
    found = spread(0.625)
    (said,) = devices.verdicts(found)
    (table,) = devices.tables(found)

    assert "mlp on gpu: the efficiency of 2 devices against 1 device" in said.text
    assert "0.79" in said.text
    assert "0.80" in said.text
    assert any(column.startswith("efficiency") for column in table.columns)
    assert [row[:2] for row in table.rows] == [
        [backend, count] for backend in ("jax", "tensorflow", "torch") for count in ("1", "2")
    ]


def test_of_fakes_there_is_throughput_and_no_word_on_speed(spread):
    found = spread(3.0, device="cpu")
    rows, table = compared(found), devices.tables(found)[0]
    about_two = found.comparisons.table[found.comparisons.table["device_count"].eq(2)]

    assert rows["ratio"].isna().all()
    assert rows["verdict"].eq("").all()
    assert rows["metric_verdict"].eq("equivalent").all()
    assert about_two["against"].eq("devices=1").all()  # backends on fakes are not compared either
    assert not any(column.startswith("efficiency") for column in table.columns)
    assert "samples/s" in table.columns
    assert devices.FAKES in table.notes
    assert [one.text for one in devices.verdicts(found)] == [f"mlp on cpu, 2 devices: {devices.FAKES}."]
    assert not any("2 devices is undecided" in one.text for one in page(found).remarks)


def test_with_weak_scaling_one_device_has_its_share_of_the_batch_and_no_metric_is_compared(spread):
    rows = compared(spread(0.6, options={"scaling": "weak"}, batch_size=256))

    assert len(rows) == 3
    assert rows["batch_size"].eq(256).all()
    assert rows["metric_verdict"].eq("").all()


def test_a_compiler_that_a_strategy_switches_off_is_said(spread):
    found = spread(0.6, resolved={"jit_compile": False})
    notes = devices.tables(found)[0].notes

    assert any(
        "jax, 2 devices: jit_compile is False, on 1 device it is True: the two are unlike" in note for note in notes
    ), notes


def test_who_held_what_is_said_and_what_they_disagree_on(spread):
    notes = devices.tables(spread(0.6, resolved={"unlike": ["bn/moving_mean"]}))[0].notes

    assert any(
        "torch, 2 devices: each holds the weights and had its share of a batch: gpu:0 64 of 128" in one for one in notes
    )
    assert any("torch, 2 devices: the devices disagree on bn/moving_mean" in one for one in notes)


def test_what_averages_gradients_is_said(spread):
    notes = devices.tables(spread(0.6, resolved={"averaged_by": "hooks"}))[0].notes

    assert any(one.startswith("torch, 2 devices") and one.endswith("; gradients averaged by hooks") for one in notes)


def test_where_the_time_goes_is_told_as_far_as_it_is_known(spread):
    known = devices.tables(spread(0.6, phases={"exchange": 0.5, "fit": 2.0, "input": 0.001}))[0]

    assert known.rows[1][known.columns.index("exchange")] == "25.0%"
    assert "input" in known.columns
    assert not any("not measured" in note for note in known.notes)


def test_an_exchange_that_nobody_could_measure_is_told(spread):
    table = devices.tables(spread(0.6))[0]

    assert "exchange" not in table.columns
    assert any("exchange of gradients: not measured on jax and tensorflow and torch" in note for note in table.notes)


def test_a_run_on_one_device_says_nothing_of_devices(recorded_run):
    found = analyse(recorded_run)

    assert devices.tables(found) == []
    assert list(devices.verdicts(found)) == []
    assert "device" not in " ".join(one.text for one in page(found).verdicts)


# Parity with one device.


@pytest.fixture
def climbed(tmp_path):
    """Compare recordings of torch on one device and on two, the latter changed."""

    def made(changes=None, one=True, backend="torch", seeds=(0,), **about):
        for seed in seeds:
            if one:
                save(tmp_path / "ladders", backend=backend, seed=seed)
            save(tmp_path / "ladders", changes, backend=backend, seed=seed, device_count=2, **about)
        ladders = [ladder(backend), ladder(backend, device_count=2)]
        return compare_recordings(tmp_path, run_json.read(description(ladders, seeds)))

    return made


def off(key, by=1e-3):
    return {key: RUNGS[key] + by}


def test_several_devices_that_compute_the_same_are_equal(climbed):
    found = climbed()

    assert found.problems == found.remarks == []
    assert list(found.on_several.values()) == ["equal"]
    assert set(found.shared["rung"]) == {*recordings.SHARED, "classes"}
    assert [one.text for one in devices.proved(found)] == [
        "mlp on cpu, several devices compute what 1 does, in exact mode: torch on 2."
    ]


def test_variants_that_climb_on_several_devices_are_told_apart():
    parity = SimpleNamespace(on_several={("mlp", "torch", "cpu", f"keras={one}", 2): "equal" for one in ("3.0", "3.1")})
    (said,) = (one.text for one in devices.proved(parity))

    assert said.endswith(": torch on 2 with keras=3.0, torch on 2 with keras=3.1.")


def test_variants_that_train_on_several_devices_are_told_apart(spread, monkeypatch):
    found = spread(0.6, device="cpu")
    rows = [{**row, "variant": "keras=3.1"} for row in comparisons(found, "devices")]
    monkeypatch.setattr(devices, "comparisons", lambda *_: rows)
    (said,) = (one.text for one in devices.verdicts(found))

    assert said.startswith("mlp on cpu, keras=3.1, 2 devices: ")


@pytest.mark.parametrize("key", ["one step/dense/kernel", "losses/loss", "all steps/dense/kernel", "metric/accuracy"])
def test_another_result_is_found_at_its_rung(climbed, key):
    found = climbed(off(key))
    (problem,) = found.problems

    assert f"mlp torch cpu float64 2 devices part from 1 device of it at {key.partition('/')[0]}" in problem
    assert list(found.on_several.values()) == [f"parts at {key.partition('/')[0]}"]
    assert (
        f"several devices part from 1 device at {key.partition('/')[0]}: torch on 2."
        in next(devices.proved(found)).text
    )


def test_a_layer_that_is_known_to_differ_makes_a_remark_with_its_finding(climbed):
    found = climbed(off("losses/loss"), kinds={"bn": "BatchNormalization"})

    assert found.problems == []
    assert any(KNOWN in remark and "atch" in remark for remark in found.remarks)
    assert list(found.on_several.values()) == ["known difference"]
    assert "compute something else than 1 in a known way, and nothing is proved" in next(devices.proved(found)).text


@pytest.mark.parametrize("kind", ["BatchNormalization synchronized", "LayerNormalization", "Dense relu"])
def test_other_layers_excuse_nothing(climbed, kind):
    assert len(climbed(off("losses/loss"), kinds={"layer": kind}).problems) == 1


def test_on_a_backend_that_has_no_such_finding_nothing_is_excused(climbed):
    found = climbed(off("losses/loss"), backend="jax", kinds={"bn": "BatchNormalization", "d": "Dropout random"})

    assert len(found.problems) == 1


@pytest.fixture
def excused(tmp_path):
    """Compare TensorFlow and torch on two devices, which both part from one where a layer is known to; each changed."""

    def made(changes=None, kinds=None):
        away = off("losses/loss") | off("all steps/dense/kernel")
        for backend in ("tensorflow", "torch"):
            save(tmp_path / "ladders", backend=backend)
            mine = {**away, **((changes or {}) if backend == "torch" else {})}
            has = {"bn": "BatchNormalization", **((kinds or {}) if backend == "torch" else {})}
            save(tmp_path / "ladders", mine, backend=backend, device_count=2, kinds=has)
        ladders = [ladder(backend, device_count=count) for backend in ("tensorflow", "torch") for count in (1, 2)]
        return compare_recordings(tmp_path, run_json.read(description(ladders) | {"reference": "tensorflow"}))

    return made


def test_two_backends_that_differ_from_one_device_alike_are_held_against_each_other(excused):
    found = excused()

    assert found.problems == []
    assert set(found.on_several.values()) == {"known difference, alike on two backends"}
    (said,) = (one.text for one in devices.proved(found))
    assert said.endswith("in a known way, and alike: tensorflow on 2, torch on 2.")


def test_a_fault_besides_a_known_difference_parts_the_backends(excused):
    (problem,) = excused(off("losses/loss", 2e-3)).problems

    assert "mlp torch cpu float64 2 devices part from tensorflow on 2 devices at losses" in problem
    assert "both are known to differ from 1 device alike" in problem


def test_backends_that_differ_in_other_ways_are_not_held_against_each_other(excused):
    found = excused(off("losses/loss", 2e-3), {"dropout": "Dropout random"})

    assert found.problems == []
    assert set(found.on_several.values()) == {"known difference"}


def test_devices_that_disagree_on_untrained_weights_are_a_remark(climbed):
    found = climbed(unlike=["bn/moving_mean", "bn/moving_variance"])

    assert found.problems == []
    assert "its devices disagree on bn/moving_mean and 1 more, which is not trained" in found.remarks[0]


def test_a_ladder_without_one_device_proves_nothing(climbed):
    found = climbed(one=False)

    assert any("no ladder of 1 device to be held against" in problem for problem in found.problems)
    assert "equal" not in found.on_several.values()


def test_a_ladder_that_ended_early_proves_nothing(climbed):
    found = climbed({"metric/accuracy": None, "predictions/output 0": None}, error="RuntimeError: device 1: gone")

    assert any("ended early: RuntimeError: device 1: gone" in problem for problem in found.problems)
    assert list(found.on_several.values()) == ["not climbed to the end"]


def test_a_rung_that_is_missing_proves_nothing(climbed):
    found = climbed({"metric/accuracy": None})

    assert any("2 devices, seed 0: not recorded: metric" in problem for problem in found.problems)
    assert "equal" not in found.on_several.values()


def test_a_missing_recording_of_several_devices_is_named(tmp_path):
    save(tmp_path / "ladders", backend="torch")
    ladders = [ladder("torch"), ladder("torch", device_count=2)]
    found = compare_recordings(tmp_path, run_json.read(description(ladders)))

    assert found.problems == ["parity: mlp: torch cpu float64 2 devices left no recording of seed 0"]


def test_what_rounding_decides_is_left_out_as_on_one_device(tmp_path):
    """A bias whose gradient is rounding alone: an optimizer makes whole steps of it."""
    noise = {"gradients/dense/bias": RUNGS["gradients/dense/bias"] * 1e-16}
    for changes, count in ((noise, 1), ({"all steps/dense/bias": RUNGS["weights/dense/bias"] + 1.0}, 2)):
        save(
            tmp_path / "ladders",
            {**changes, "all steps/dense/bias": RUNGS["weights/dense/bias"] + count},
            device_count=count,
        )
    ladders = [ladder("torch"), ladder("torch", device_count=2)]
    found = compare_recordings(tmp_path, run_json.read(description(ladders)))

    assert found.problems == []
