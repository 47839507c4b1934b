"""Time to target: from epochs whose held-out samples were evaluated."""

import json
import math

import pytest
from test_analysis import change, row

from bench.analysis import analyse, frames
from bench.analysis.targets import targets
from bench.report.pages import run as run_page


def evaluated(folder, pattern, metrics):
    """Let the launches have evaluated held-out samples: a metric for each of their three epochs."""

    def edit(launch):
        for epoch, metric in zip(launch["epochs"], metrics, strict=True):
            epoch["validation_metric"], epoch["validation_loss"] = metric, 1 - metric

    change(folder, pattern, edit)


def test_time_to_target_ends_with_the_epoch_that_reaches_it(recorded_run):
    evaluated(recorded_run, "*mlp-torch*", [0.5, 0.88, 0.9])
    run = frames.load(recorded_run)
    seconds = [
        launch["setup_seconds"] + launch["cold_epoch_seconds"] + epochs["seconds"].iloc[1]
        for launch, (_, epochs) in zip(
            run.launches[run.launches["workload"].eq("mlp") & run.launches["backend"].eq("torch")].to_dict("records"),
            run.epochs[run.epochs["workload"].eq("mlp") & run.epochs["backend"].eq("torch")].groupby("repetition"),
            strict=True,
        )
    ]
    found = row(targets(run), workload="mlp", backend="torch")

    assert (found["reached"], found["launches"], found["epochs_to_target"]) == (3, 3, 2)
    assert found["seconds_to_target"] == pytest.approx(math.exp(sum(map(math.log, seconds)) / 3))
    assert found["seconds_to_target_low"] < found["seconds_to_target"] < found["seconds_to_target_high"]


def test_a_case_one_of_whose_launches_missed_has_no_time(recorded_run):
    evaluated(recorded_run, "*mlp-torch*", [0.5, 0.88, 0.9])
    evaluated(recorded_run, "r001*mlp-torch*", [0.5, 0.6, 0.7])
    found = row(targets(frames.load(recorded_run)), workload="mlp", backend="torch")

    assert (found["reached"], found["launches"]) == (2, 3)
    assert math.isnan(found["seconds_to_target"])
    assert math.isnan(found["epochs_to_target"])


def test_a_metric_of_which_less_is_better_reaches_its_target_from_above(recorded_run):
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    for workload in description["workloads"]:
        workload["target"] |= {"value": 0.6, "lower_is_better": True}
    path.write_text(json.dumps(description))
    evaluated(recorded_run, "*mlp-torch*", [0.9, 0.7, 0.5])

    assert row(targets(frames.load(recorded_run)), workload="mlp", backend="torch")["epochs_to_target"] == 3


def test_times_to_target_are_compared_with_the_reference_where_both_reached_it(recorded_run):
    evaluated(recorded_run, "*mlp-jax*", [0.9, 0.9, 0.9])
    evaluated(recorded_run, "*mlp-torch*", [0.9, 0.9, 0.9])
    evaluated(recorded_run, "*mlp-tensorflow*", [0.1, 0.1, 0.1])
    found = targets(frames.load(recorded_run)).set_index("backend")

    assert found.loc["torch", "ratio_low"] < found.loc["torch", "ratio"] < found.loc["torch", "ratio_high"]
    assert found.loc["torch", "level"] == pytest.approx(1 - 0.05 / 2)
    assert found.loc[["jax", "tensorflow"], "ratio"].isna().all()


def test_without_held_out_samples_nothing_is_said_of_a_target(recorded_run):
    analysis = analyse(recorded_run)

    assert analysis.targets.empty
    assert not any("Time to target" in table.title for table in run_page.page(analysis).tables)


def test_the_report_calls_a_miss_a_miss(recorded_run):
    evaluated(recorded_run, "*mlp-jax*", [0.9, 0.9, 0.9])
    evaluated(recorded_run, "*mlp-torch*", [0.1, 0.1, 0.1])
    (table,) = [table for table in run_page.page(analyse(recorded_run)).tables if "Time to target" in table.title]

    assert [cells[:2] for cells in table.rows] == [["jax", "3 of 3 launches"], ["torch", "0 of 3 launches"]]
    assert table.rows[1][2:] == ["–", "missed", "–"]
