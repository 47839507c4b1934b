"""From a recorded run to its tables."""

import json
import math

import pytest

from bench.analysis import analyse, frames
from bench.analysis.cases import cases
from bench.analysis.comparisons import COLUMNS
from bench.analysis.frames import CASES, RunFormatError
from bench.report.parts.verdicts import verdicts


def change(folder, pattern, edit):
    """Edit the `launch` objects of the records whose name matches."""
    paths = sorted((folder / "launches").glob(pattern))
    assert paths
    for path in paths:
        content = json.loads(path.read_text())
        edit(content["launch"])
        path.write_text(json.dumps(content))


def row(table, **wanted):
    found = table
    for name, value in wanted.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_a_good_run_has_no_problems(recorded_run):
    assert analyse(recorded_run).problems == []


def test_every_launch_and_epoch_becomes_a_row(recorded_run):
    run = frames.load(recorded_run)

    assert len(run.launches) == 2 * 3 * 3
    assert len(run.epochs) == 2 * 3 * 3 * 3
    assert run.epochs["cold"].sum() == 2 * 3 * 3


def test_a_case_is_its_launches_and_a_launch_its_fastest_steady_epoch(recorded_run):
    run = frames.load(recorded_run)
    mlp = run.epochs[(run.epochs["workload"] == "mlp") & (run.epochs["backend"] == "torch") & ~run.epochs["cold"]]
    fastest = mlp.groupby("repetition")["seconds"].min()
    found = row(cases(run), workload="mlp", backend="torch")

    assert found["launches"] == 3
    assert found["epoch_seconds"] == pytest.approx(math.exp(fastest.map(math.log).mean()))
    assert found["epoch_seconds_low"] < found["epoch_seconds"] < found["epoch_seconds_high"]
    assert found["samples_per_second"] == pytest.approx(6_400 / found["epoch_seconds"])


def test_the_dropped_partial_batch_does_not_count_as_samples(recorded_run):
    def cut(case):
        case["samples"] = 6_401

    change(recorded_run, "*mlp*", lambda launch: cut(launch["case"]))
    description = json.loads((recorded_run / "run.json").read_text())
    for planned in description["plan"]:
        if planned["case"]["workload"] == "mlp":
            cut(planned["case"])
    (recorded_run / "run.json").write_text(json.dumps(description))
    found = row(analyse(recorded_run).cases, workload="mlp", backend="jax")

    assert found["samples_per_second"] == pytest.approx(6_400 / found["epoch_seconds"])


def test_all_rows_share_one_level_of_confidence(recorded_run):
    table = analyse(recorded_run).comparisons.table

    assert list(table.columns) == COLUMNS
    assert sorted(zip(table["workload"], table["backend"], strict=True)) == [
        ("cnn", "tensorflow"),
        ("cnn", "torch"),
        ("mlp", "tensorflow"),
        ("mlp", "torch"),
    ]
    assert set(table["against"]) == {"backend=jax"}
    assert set(table["level"]) == {1 - 0.05 / 4}


def test_a_backend_twice_as_slow_is_found_slower(recorded_run):
    def scale(launch):
        for number, epoch in enumerate(launch["epochs"]):
            extra = 1 + 0.001 * launch["seed"] if "torch" in launch["case"]["backend"] else 0
            epoch["seconds"] = 1 + 0.01 * number + extra

    change(recorded_run, "*mlp*", scale)
    found = row(analyse(recorded_run).comparisons.table, workload="mlp", backend="torch")

    assert found["verdict"] == "slower"
    assert found["ratio"] == pytest.approx(2.011 / 1.01, rel=1e-5)


def scale(folder, pattern, factors):
    """Let the epochs of each launch take `factors` seconds, one each, times a little luck of the launch's own."""

    def edit(launch):
        luck = 1 + 0.001 * (launch["seed"] * len(launch["case"]["backend"]) % 7)
        for epoch, factor in zip(launch["epochs"], factors, strict=True):
            epoch["seconds"] = factor * luck

    change(folder, pattern, edit)


def test_times_are_paired_by_repetition(recorded_run):
    """What slows all of a repetition does not widen the ratio."""

    def slow(launch):
        luck = (1.0, 3.0, 1.5)[launch["seed"]] * (1 + 0.001 * launch["seed"] * len(launch["case"]["backend"]))
        for epoch in launch["epochs"]:
            epoch["seconds"] = luck * (2 if launch["case"]["backend"] == "torch" else 1)

    change(recorded_run, "*mlp*", slow)
    found = row(analyse(recorded_run).comparisons.table, workload="mlp", backend="torch")

    assert found["verdict"] == "slower"
    assert found["ratio_high"] / found["ratio_low"] < 1.05


def test_launches_that_all_took_exactly_as_long_give_no_interval_and_say_so(recorded_run):
    def same(launch):
        for epoch in launch["epochs"]:
            epoch["seconds"] = 0.5

    change(recorded_run, "*mlp*", same)
    analysis = analyse(recorded_run)

    assert set(analysis.comparisons.table.query("workload == 'mlp'")["verdict"]) == {"undecided"}
    assert any(
        "mlp jax cpu fit batch 128: all 3 launches took exactly 0.5 s" in problem for problem in analysis.problems
    )


def test_epochs_that_still_become_faster_are_told(recorded_run):
    scale(recorded_run, "*mlp*", (3.0, 1.2, 1.0))
    scale(recorded_run, "*mlp-torch*", (3.0, 1.0, 1.0))
    cases = analyse(recorded_run).cases
    jax, torch = row(cases, workload="mlp", backend="jax"), row(cases, workload="mlp", backend="torch")

    assert jax["trend"] == pytest.approx(1 / 1.2)
    assert jax["trend_verdict"] in ("getting faster", "unknown")
    assert torch["trend"] == pytest.approx(1.0)


def disturb(launch):
    for epoch in launch["epochs"]:
        epoch["steal_fraction"] = 0.3


def anew(folder, pattern, edit):
    """Add second attempts of launches, edited."""
    for path in list((folder / "launches").glob(pattern)):
        content = json.loads(path.read_text())
        content["launch"]["attempt"] = 2
        edit(content["launch"])
        path.with_name(f"{path.stem}-a2.json").write_text(json.dumps(content))


def quiet_and_slow(launch):
    for epoch in launch["epochs"]:
        epoch["steal_fraction"] = 0.0
        epoch["seconds"] *= 5


def attempts(folder):
    """Which attempt counts, by whether it is that of mlp's repetition 1."""
    launches = frames.load(folder).launches
    counted = launches[launches["counted"]]
    here = (counted["workload"] == "mlp") & (counted["repetition"] == 1)
    return counted.loc[here, "attempt"].tolist(), set(counted.loc[~here, "attempt"])


def test_of_a_disturbed_repetition_the_undisturbed_attempt_counts_be_it_slower(recorded_run):
    change(recorded_run, "r001*mlp-jax*", disturb)
    anew(recorded_run, "r001*mlp*", quiet_and_slow)
    found = row(cases(frames.load(recorded_run)), workload="mlp", backend="jax")

    assert (found["status"], found["launches"], found["disturbed"], found["replaced"]) == ("ok", 3, 1, 1)
    assert attempts(recorded_run) == ([2, 2, 2], {1})


def slow_down(folder, factor, pattern="*mlp-torch*"):
    change(folder, pattern, lambda launch: [one.update(seconds=one["seconds"] * factor) for one in launch["epochs"]])


@pytest.mark.parametrize("disturbed", ["r00[01]*mlp-torch*", "*mlp-jax*"])
def test_a_verdict_that_disturbed_launches_alone_give_is_none(recorded_run, disturbed):
    slow_down(recorded_run, 9.0)
    assert row(analyse(recorded_run).comparisons.table, workload="mlp", backend="torch")["verdict"] == "slower"
    change(recorded_run, disturbed, disturb)
    found = analyse(recorded_run)
    compared = row(found.comparisons.table, workload="mlp", backend="torch")
    (said,) = [one.text for one in verdicts(found) if one.text.startswith("mlp on cpu: ")]

    assert (compared["verdict"], compared["repetitions"]) == ("undecided", 3)
    assert f"{compared['disturbed']} of its 3 repetitions were disturbed" in said


def test_a_verdict_that_the_undisturbed_launches_give_too_stays(recorded_run):
    slow_down(recorded_run, 9.0, "*mlp-torch*")
    change(recorded_run, "r001*mlp*", disturb)
    compared = row(analyse(recorded_run).comparisons.table, workload="mlp", backend="torch")

    assert (compared["verdict"], compared["disturbed"], compared["repetitions"]) == ("slower", 1, 3)


def test_where_launches_lie_far_apart_no_interval_is_told(recorded_run):
    slow_down(recorded_run, 1000.0, "r001*mlp-torch*")
    (said,) = [one.text for one in verdicts(analyse(recorded_run)) if one.text.startswith("mlp on cpu: ")]

    assert "torch against jax is undecided (its launches lie too far apart to tell; " in said
    assert "e+" not in said


def test_where_epochs_become_slower_the_headline_says_so(recorded_run):
    def slowing(launch):
        launch["case"]["epochs"] = 5
        steady = launch["epochs"][1]
        later = 3.0 + 0.01 * launch["seed"]
        launch["epochs"][1:] = [{**steady, "seconds": steady["seconds"] * by} for by in (1.0, 1.0, later, later)]

    change(recorded_run, "*mlp*", slowing)
    plan = json.loads((recorded_run / "run.json").read_text())
    for planned in plan["plan"]:
        planned["case"]["epochs"] = 5 if planned["case"]["workload"] == "mlp" else planned["case"]["epochs"]
    (recorded_run / "run.json").write_text(json.dumps(plan))
    (said,) = [one.text for one in verdicts(analyse(recorded_run)) if one.text.startswith("mlp on cpu: ")]

    assert "on torch epochs become slower, the later half of a launch takes 3.01" in said


def test_where_both_attempts_are_disturbed_the_first_counts_be_it_slower(recorded_run):
    change(recorded_run, "r001*mlp-jax*", disturb)
    anew(recorded_run, "r001*mlp*", lambda launch: launch["epochs"][1].update(seconds=1e-3))

    assert attempts(recorded_run) == ([1, 1, 1], {1})


def test_an_attempt_that_is_not_whole_takes_nothing_away(recorded_run):
    change(recorded_run, "r001*mlp-jax*", disturb)
    anew(recorded_run, "r001*mlp*", quiet_and_slow)
    fault = {"status": "failed", "reason": "killed", "epochs": []}
    change(recorded_run, "r001*mlp-torch*a2*", lambda launch: launch.update(fault))
    found = row(analyse(recorded_run).cases, workload="mlp", backend="torch")

    assert attempts(recorded_run) == ([1, 1, 1], {1})
    assert (found["status"], found["launches"]) == ("ok", 3)


def test_the_quantiles_are_those_of_all_steady_epochs(recorded_run):
    run = frames.load(recorded_run)
    steady = run.epochs.query("workload == 'mlp' and backend == 'jax' and not cold")["seconds"].astype(float)
    found = row(cases(run), workload="mlp", backend="jax")

    assert found["p50_seconds"] == pytest.approx(steady.quantile(0.5))
    assert found["p90_seconds"] == pytest.approx(steady.quantile(0.9))
    assert math.isnan(found["p99_seconds"])


def test_an_ordered_precision_takes_the_deviation_from_the_pilot(recorded_run):
    scale(recorded_run, "r00[01]*mlp*", (1.0, 0.5, 0.5))
    scale(recorded_run, "r002*mlp-torch*", (9.0, 9.0, 9.0))
    plain = row(analyse(recorded_run).comparisons.table, workload="mlp", backend="torch")
    description = json.loads((recorded_run / "run.json").read_text()) | {"launches": 2, "ordered": {"words": ""}}
    for planned in description["plan"]:
        planned["launches"] = 3
    (recorded_run / "run.json").write_text(json.dumps(description))
    analysis = analyse(recorded_run)
    ordered = row(analysis.comparisons.table, workload="mlp", backend="torch")

    assert ordered["ratio"] == plain["ratio"]
    assert ordered["ratio_high"] < plain["ratio_high"]
    assert set(analysis.cases["status"]) == {"ok"}


def test_accuracies_are_paired_by_seed(recorded_run):
    def shift(launch):
        launch["test"]["metric"] = 0.5 + 0.1 * launch["seed"] + (0.02 if launch["case"]["backend"] == "torch" else 0)

    change(recorded_run, "*mlp*", shift)
    analysis = analyse(recorded_run)
    found = row(analysis.comparisons.table, workload="mlp", backend="torch")

    assert found["metric_difference"] == pytest.approx(0.02)
    assert found["metric_verdict"] == "different"
    assert any("different" in problem for problem in analysis.problems)


@pytest.mark.parametrize("name", ["weights_digest", "batches_digest"])
def test_launches_that_started_differently_are_not_compared(recorded_run, name):
    change(recorded_run, "r001*mlp-torch*", lambda launch: launch.update({name: "another"}))
    description = json.loads((recorded_run / "run.json").read_text())
    description["workloads"][0]["weights"] = {}
    (recorded_run / "run.json").write_text(json.dumps(description))
    analysis = analyse(recorded_run)

    assert len(analysis.comparisons.table) == 3
    assert analysis.comparisons.refused == [
        f"mlp torch cpu fit batch 128 is not compared with backend=jax: {name} differs for seed 1"
    ]
    assert analysis.problems == analysis.comparisons.refused


def test_backends_that_all_start_from_other_weights_than_the_runs_are_not_compared(recorded_run):
    change(recorded_run, "r001*mlp*", lambda launch: launch.update(weights_digest="another"))

    assert analyse(recorded_run).comparisons.refused == [
        f"mlp {backend} cpu fit batch 128 is not compared with backend=jax: "
        f"{backend} did not start seed 1 from the weights drawn for the run"
        for backend in ("tensorflow", "torch")
    ]


def test_a_copy_of_a_record_does_not_count_as_another_launch(recorded_run):
    path = next((recorded_run / "launches").glob("r002*mlp-jax*"))
    path.with_name(f"copy-{path.name}").write_text(path.read_text())
    analysis = analyse(recorded_run)

    assert row(analysis.cases, workload="mlp", backend="jax")["launches"] == 3
    assert any("another record holds this repetition" in problem for problem in analysis.problems)


def test_a_failed_launch_makes_its_case_failed_and_keeps_what_the_others_measured(recorded_run):
    fault = {"status": "failed", "reason": "killed by signal 9 (SIGKILL)", "epochs": []}
    change(recorded_run, "r001*cnn-torch*", lambda launch: launch.update(fault))
    analysis = analyse(recorded_run)
    found = row(analysis.cases, workload="cnn", backend="torch")

    assert (found["status"], found["launches"]) == ("failed", 2)
    assert found["reason"] == "2 of 3 launches ok; killed by signal 9 (SIGKILL)"
    assert found["epoch_seconds"] > 0
    assert analysis.problems == [
        "cnn torch cpu fit batch 128: failed, 2 of 3 launches ok; killed by signal 9 (SIGKILL)"
    ]


def test_a_case_without_any_good_launch_is_a_row_without_figures(recorded_run):
    fault = {"status": "timeout", "reason": "no end after 300 s; killed", "epochs": []}
    change(recorded_run, "*cnn-jax*", lambda launch: launch.update(fault))
    analysis = analyse(recorded_run)
    found = row(analysis.cases, workload="cnn", backend="jax")

    assert (found["status"], found["launches"]) == ("timeout", 0)
    assert math.isnan(found["epoch_seconds"])
    assert len(analysis.comparisons.table) == 2


def test_a_damaged_record_is_named_and_left_out(recorded_run):
    path = next((recorded_run / "launches").glob("r002*mlp-jax*"))
    path.write_text(path.read_text()[:500])
    analysis = analyse(recorded_run)

    assert row(analysis.cases, workload="mlp", backend="jax")["launches"] == 2
    assert any(problem.startswith(f"left out: {path.name}: not a readable JSON file") for problem in analysis.problems)


def test_a_record_of_a_case_outside_the_plan_is_left_out(recorded_run):
    change(recorded_run, "r000*mlp-jax*", lambda launch: launch["case"].update(samples=1))

    assert any("not in the run's plan" in warning for warning in frames.load(recorded_run).warnings)


def test_an_interrupted_run_says_so_and_keeps_its_figures(recorded_run):
    for path in (recorded_run / "launches").glob("r002*"):
        path.unlink()
    description = json.loads((recorded_run / "run.json").read_text())
    (recorded_run / "run.json").write_text(json.dumps({**description, "state": "interrupted"}))
    analysis = analyse(recorded_run)

    assert set(analysis.cases["launches"]) == {2}
    assert set(analysis.cases["status"]) == {"skipped"}  # none failed
    assert "the run is interrupted" in analysis.problems


@pytest.mark.parametrize(("own_seed", "verdict"), [(False, "different"), (True, "undecided")])
def test_launches_that_draw_alike_give_a_metric_no_interval(recorded_run, own_seed, verdict):
    description = json.loads((recorded_run / "run.json").read_text())
    for workload in description["workloads"]:
        workload["own_seed"] = own_seed
    (recorded_run / "run.json").write_text(json.dumps(description))
    for path in (recorded_run / "launches").glob("*mlp-torch*"):
        content = json.loads(path.read_text())
        content["launch"]["test"]["metric"] -= 0.1
        path.write_text(json.dumps(content))
    table = analyse(recorded_run).comparisons.table
    (row,) = table[(table["workload"] == "mlp") & (table["backend"] == "torch")].to_dict("records")

    assert row["metric_verdict"] == verdict
    assert row["metric_difference"] == pytest.approx(-0.1, abs=0.02)
    assert math.isnan(row["metric_low"]) is own_seed


def test_a_run_without_any_record_gives_empty_tables(recorded_run):
    for path in (recorded_run / "launches").iterdir():
        path.unlink()
    analysis = analyse(recorded_run)

    assert set(analysis.cases["status"]) == {"skipped"}
    assert len(analysis.comparisons.table) == 0


PLAN = (
    '{"schema": 1, "id": "", "state": "", "reference": "", "launches": 1, "workloads": [], "machine": {}, "plan": [%s]}'
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"a": ' * 900 + "0" + "}" * 900,
        '{"schema": 99}',
        '{"schema": 1}',
        PLAN % "{}",
        PLAN % '{"case": {}, "skip": 0, "target_attempted": 0}',
    ],
)
def test_a_run_description_that_cannot_be_used_is_one_clear_error(recorded_run, text):
    (recorded_run / "run.json").write_text(text)

    with pytest.raises(RunFormatError, match=r"run\.json: "):
        frames.load(recorded_run)


def test_the_wall_time_is_accounted_for(recorded_run):
    analysis = analyse(recorded_run)

    assert sum(analysis.spent.values()) == pytest.approx(analysis.run.description.wall_seconds)
    assert min(analysis.spent.values()) > 0


def test_the_case_columns_come_first_in_every_table(recorded_run):
    analysis = analyse(recorded_run)

    for table in (analysis.run.epochs, analysis.cases, analysis.comparisons.table):
        assert list(table.columns[: len(CASES)]) == CASES


def declare(folder, **target):
    """Change what the run's workloads declare of their target."""
    path = folder / "run.json"
    description = json.loads(path.read_text())
    for workload in description["workloads"]:
        workload["target"] |= target
    path.write_text(json.dumps(description))


def test_a_training_that_reaches_less_than_the_smoke_test_has_not_learned(recorded_run):
    declare(recorded_run, quick=0.95, chance=0.1)
    found = [problem for problem in analyse(recorded_run).problems if "has not learned" in problem]

    assert len(found) == 6
    assert "expected 0.95 or better, and guessing gives 0.1" in found[0]


def test_where_less_is_better_more_has_not_learned(recorded_run):
    declare(recorded_run, quick=0.1, chance=1.0, lower_is_better=True)

    assert sum("has not learned" in problem for problem in analyse(recorded_run).problems) == 6


def test_a_training_shorter_than_the_smoke_test_need_not_reach_it(recorded_run):
    declare(recorded_run, quick=0.95, chance=0.1)
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    for workload in description["workloads"]:
        workload["quick_samples"] = 10**6
    path.write_text(json.dumps(description))

    assert not any("has not learned" in problem for problem in analyse(recorded_run).problems)


def test_the_epochs_that_a_training_used_are_part_of_its_case(recorded_run):
    def stop(launch):
        launch["epochs"].pop()
        launch["stopped_early"] = True

    change(recorded_run, "r001*mlp-jax*", stop)
    cases = analyse(recorded_run).cases

    assert row(cases, workload="mlp", backend="jax")["epochs_used"] == pytest.approx((3 + 2 + 3) / 3)
    assert row(cases, workload="mlp", backend="torch")["epochs_used"] == 3


def test_samples_per_second_count_what_was_trained_on(recorded_run):
    def hold_out(launch):
        launch["samples_per_epoch"] = 5_760

    change(recorded_run, "*mlp-jax*", hold_out)
    found = row(analyse(recorded_run).cases, workload="mlp", backend="jax")

    assert found["samples_per_second"] == pytest.approx(5_760 / found["epoch_seconds"])


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (["id"], "../../x", "id cannot be '../../x'"),
        (["state"], "fine", "state cannot be 'fine'"),
        (["started"], "yesterday", "started cannot be 'yesterday'"),
        (["reference"], "../jax", "reference cannot be '../jax'"),
        (["launches"], 10**400, "launches cannot be 1"),
        (["wall_seconds"], math.nan, "wall_seconds cannot be nan"),
        (["ceilings"], {"cpu": {"jax": 0}}, "ceilings cannot be"),
        (["parity"], {"steps": 5}, "parity.seeds is missing"),
        (["machine", "gpus"], "none", "machine.gpus cannot be 'none'"),
        (["workloads"], [], "it does not describe mlp, which is in its plan"),
        (["workloads", 0, "target", "margin"], None, "workloads[0].target.margin cannot be None, expected number"),
        (["workloads", 0, "test_samples"], 0, "workloads[0].test_samples cannot be 0, expected whole number >= 1"),
        (["plan", 0, "case", "backend"], "../../x", "its plan: backend '../../x' is not one plain word"),
        (["plan", 0, "skip"], [], "plan[0].skip cannot be []"),
        (["plan", 1, "case", "backend"], "jax", "its plan has a case twice"),
    ],
)
def test_a_run_description_with_a_wrong_field_is_refused_with_the_fault_in_words(recorded_run, path, value, fault):
    description = json.loads((recorded_run / "run.json").read_text())
    place = description
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (recorded_run / "run.json").write_text(json.dumps(description))

    with pytest.raises(RunFormatError) as caught:
        frames.load(recorded_run)
    assert fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_repetition_with_the_seed_of_another_is_left_out(recorded_run):
    change(recorded_run, "r002*mlp-jax*", lambda launch: launch.update(seed=1))
    analysis = analyse(recorded_run)

    assert row(analysis.cases, workload="mlp", backend="jax")["launches"] == 2
    assert any("another repetition of its case has its seed" in problem for problem in analysis.problems)


def test_a_reason_is_one_line_without_what_a_terminal_obeys(recorded_run):
    said = "ValueError: \x1b[1mLayer.call()\x1b[0m\nfailed\x07" + "x" * 5_000
    fault = {"status": "failed", "reason": said, "epochs": []}
    change(recorded_run, "r001*cnn-torch*", lambda launch: launch.update(fault))
    launches = frames.load(recorded_run).launches
    reason = launches.loc[launches["status"] == "failed", "reason"].iloc[0]

    assert reason.startswith("ValueError: Layer.call() failed x")
    assert len(reason) == frames.LONGEST_REASON
