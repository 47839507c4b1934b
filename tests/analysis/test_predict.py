"""Task predict: which cases it has, what a launch's calls come to, and what a report says of them."""

import json
import math

import numpy as np
import pytest
from support.descriptions import CNN, MLP
from test_analysis import change, row

from bench.analysis import analyse, frames, predict, two_runs
from bench.contract import files, launch_record
from bench.contract.agreement import disagreement
from bench.contract.case import INFERENCE_TRACKS
from bench.contract.catalog import training_backends
from bench.contract.errors import UsageError
from bench.contract.files import RecordError
from bench.plan.cases import plan
from bench.plan.parse import parse_parity, parse_run
from bench.report.pages import run as run_page
from bench.report.parts import predict as predict_part

SERIES = {"seconds": 1.0, "cpu_seconds": 1.0, "steal_fraction": 0.0, "other_cpu_seconds": 0.0}


def called(launch):
    """Make a recorded launch one of inference: 200 calls, on torch about twice as long."""
    slow = 2 + 0.01 * launch["repetition"] if launch["case"]["backend"] == "torch" else 1
    milliseconds = 1 + 0.1 * launch["repetition"] + np.arange(200) / 1_000
    launch["case"] |= {"task": "predict", "samples": 200, "epochs": 1, "batch_size": 1}
    seconds = list(slow * milliseconds / 1_000)
    launch["calls"] = {"first_seconds": 0.5, "seconds": seconds, "series": dict(SERIES)}
    launch["outputs"] = [0.1, -2.0, 0.3]
    for name in ("epochs", "test"):
        del launch[name]


@pytest.fixture
def predicted(recorded_run):
    """The recorded run, whose launches of cnn are of inference."""
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    for planned in description["plan"]:
        if planned["case"]["workload"] == "cnn":
            planned["case"] |= {"task": "predict", "samples": 200, "epochs": 1, "batch_size": 1}
    path.write_text(json.dumps(description))
    change(recorded_run, "*cnn*", called)
    return recorded_run


def cases(*arguments):
    return [planned.case for planned in plan(parse_run(arguments), [MLP, CNN], gpus=())]


def test_inference_is_measured_where_it_is_asked_for():
    assert {case.task for case in cases()} == {"train"}
    assert {case.task for case in cases("--tasks=all")} == {"train", "predict"}


def test_a_backend_that_cannot_train_takes_part_in_inference_alone():
    backends = {(case.task, case.backend) for case in cases("--tasks=train,predict")}

    assert "openvino" not in training_backends()
    assert ("predict", "openvino") in backends
    assert ("train", "openvino") not in backends
    assert "openvino" not in {case.backend for case in cases()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--backends=openvino"],
            "--backends openvino: Keras cannot train on it; it takes part in run --tasks predict",
        ),
        (["--tasks=all", "--reference=openvino"], "--reference openvino: Keras cannot train on it; name one of jax"),
        (["--tasks=predict", "--tracks=tuned"], "--tracks tuned: task predict has fit, on_batch, call, loop, native"),
        (["--tasks=walk"], "unknown task 'walk'"),
    ],
)
def test_what_cannot_be_predicted_with_is_refused_in_one_line(arguments, said):
    with pytest.raises(UsageError) as caught:
        parse_run(arguments)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parity_has_no_place_for_a_backend_that_cannot_train():
    assert "openvino" not in parse_parity([]).backends
    with pytest.raises(UsageError, match="Keras cannot train on it"):
        parse_parity(["--backends=jax,openvino"])


def test_latency_is_of_one_sample_and_throughput_of_many():
    assert {case.batch_size for case in cases("--tasks=predict")} == {1, 256}
    assert {case.batch_size for case in cases("--tasks=predict", "--batch-size=8")} == {8}


def test_each_track_is_a_case_but_those_of_training_alone():
    assert {case.track for case in cases("--tasks=predict", "--tracks=all")} == set(INFERENCE_TRACKS)


def test_the_calls_of_a_launch_are_as_many_as_its_samples_hold_batches():
    (one, many) = sorted({(case.batch_size, case.samples) for case in cases("--tasks=predict", "--workloads=mlp")})

    assert (one, many) == ((1, 200), (256, 25_600))


def test_a_batch_larger_than_the_test_set_is_refused():
    with pytest.raises(UsageError, match="a batch of 20000 is larger than its 10000 test samples"):
        cases("--tasks=predict", "--batch-size=20000")


def test_a_launch_counts_with_its_median_call(predicted):
    found = row(analyse(predicted).cases, workload="cnn", backend="jax")
    medians = [np.median((1 + 0.1 * number + np.arange(200) / 1_000) / 1_000) for number in range(3)]

    assert found["epoch_seconds"] == pytest.approx(np.exp(np.mean(np.log(medians))))
    assert found["cold_epoch_seconds"] == pytest.approx(0.5)
    assert found["samples_per_second"] == pytest.approx(1 / found["epoch_seconds"])
    assert (found["status"], found["launches"]) == ("ok", 3)


def test_the_quantiles_are_those_of_all_calls(predicted):
    found = row(analyse(predicted).cases, workload="cnn", backend="jax")
    every = np.concatenate([(1 + 0.1 * number + np.arange(200) / 1_000) / 1_000 for number in range(3)])

    for name, share in (("p50_seconds", 0.5), ("p90_seconds", 0.9), ("p99_seconds", 0.99)):
        assert found[name] == pytest.approx(np.quantile(every, share))


def test_a_quantile_of_99_percent_takes_a_hundred_values():
    assert "p99_seconds" not in predict.quantiles([1.0] * 99)
    assert predict.quantiles([1.0] * 100)["p99_seconds"] == 1.0


def test_what_training_alone_has_is_empty(predicted):
    analysis = analyse(predicted)
    found = row(analysis.cases, workload="cnn", backend="jax")

    for name in ("metric", "test_metric", "trend", "epochs_used", "flops_per_second"):
        assert math.isnan(found[name])
    assert "cnn" not in set(analysis.run.epochs["workload"])
    assert analysis.problems == []


def test_inference_is_compared_in_time_and_not_in_a_metric(predicted):
    table = analyse(predicted).comparisons.table
    found = row(table, workload="cnn", backend="torch")

    assert found["ratio"] == pytest.approx(2.01, rel=1e-3)
    assert found["verdict"] == "slower"
    assert found["metric_verdict"] == ""
    assert math.isnan(found["metric_difference"])


def test_outputs_that_are_not_the_references_are_a_problem(predicted):
    change(predicted, "r000*cnn-torch*", lambda launch: launch.update(outputs=[0.1, -2.0, 0.31]))

    assert analyse(predicted).problems == [
        "cnn torch cpu predict fit batch 1 gives other outputs than jax: 5.0e-03 of the largest output away, where "
        "1e-04 would be rounding"
    ]


@pytest.mark.parametrize(
    ("other", "numerics", "agrees"),
    [
        (1.00005, "float32", True),
        (1.001, "float32", False),
        (1 + 1e-7, "float64", True),
        (1.00005, "float64", False),
    ],
)
def test_outputs_agree_within_rounding(other, numerics, agrees):
    assert (disagreement([other], [1.0], numerics) == "") is agrees


@pytest.mark.parametrize("other", [[math.nan], [], [1.0, 1.0]])
def test_outputs_that_are_no_numbers_or_not_as_many_do_not_agree(other):
    assert disagreement(other, [1.0], "bfloat16") != ""


def test_a_launch_of_inference_is_disturbed_where_its_series_of_calls_was(predicted):
    content = files.load(next((predicted / "launches").glob("r000*cnn-jax*")))
    assert launch_record.check(content, "launch").disturbed == ""
    content["launch"]["calls"]["series"]["steal_fraction"] = 0.2

    assert launch_record.check(content, "launch").disturbed == "the host took 20% of the machine's time"


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda launch: launch["calls"]["seconds"].pop(), "199 calls, but its case says 200"),
        (lambda launch: launch["calls"].update(seconds="many"), "calls.seconds cannot be 'many', expected list"),
        (
            lambda launch: launch["calls"]["seconds"].__setitem__(3, 0.0),
            r"calls.seconds\[3\] cannot be 0.0, ",
        ),
        (
            lambda launch: launch["calls"].update(first_seconds=None),
            "calls.first_seconds cannot be None, ",
        ),
        (lambda launch: launch["calls"].pop("series"), "calls.series is missing"),
        (lambda launch: launch.pop("calls"), "calls is missing"),
        (lambda launch: launch.update(outputs=[]), r"outputs cannot be \[\], expected list of length >= 1"),
        (lambda launch: launch.update(outputs=[math.inf]), r"outputs\[0\] cannot be inf, expected a finite number"),
        (lambda launch: launch.update(setup_seconds=-1.0), "setup_seconds cannot be -1.0, expected number >= 0.0"),
    ],
)
def test_a_record_of_inference_with_a_fault_is_refused_in_words(predicted, edit, fault):
    path = next((predicted / "launches").glob("r000*cnn-jax*"))
    content = json.loads(path.read_text())
    edit(content["launch"])

    with pytest.raises(RecordError, match=fault):
        launch_record.check(content, "launch")


def test_two_runs_compare_the_median_calls(predicted):
    run = frames.load(predicted)
    found = two_runs.compare(run, run, margin=0.05, across=[]).table

    assert set(found["workload"]) == {"mlp", "cnn"}
    assert row(found, workload="cnn", backend="jax")["ratio"] == pytest.approx(1.0)


def test_each_batch_size_has_a_table_with_every_backend(predicted):
    (table,) = predict_part.tables(analyse(predicted))

    assert table.title == "Inference: cnn on cpu, batch 1, float32: 200 calls a launch"
    assert [cells[0] for cells in table.rows] == [f"{name}, model.predict" for name in training_backends()]
    assert table.rows[2][table.columns.index("verdict")] == "slower"
    assert table.rows[0][table.columns.index("first call s")] == "0.500"


def test_inference_is_in_no_table_of_training(predicted):
    page = run_page.page(analyse(predicted))

    assert len(page.tables) == 2
    assert "cnn" in page.tables[1].title
    assert any(said.text.startswith("cnn on cpu, predict: ") and "torch takes" in said.text for said in page.verdicts)


def test_a_case_of_inference_without_a_result_says_why(predicted):
    fault = {"status": "failed", "reason": "no room"}
    change(predicted, "*cnn-torch*", lambda launch: launch.update(fault))
    (table,) = predict_part.tables(analyse(predicted))

    assert any(note.startswith("torch, model.predict: failed") and "no room" in note for note in table.notes)


def test_the_time_of_calls_is_told_apart_from_that_of_epochs(predicted):
    spent = analyse(predicted).spent

    assert spent["calls"] == pytest.approx(9 * 1.5)
    assert spent["epochs"] > 0
