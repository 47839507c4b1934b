"""Runs whose number of launches the machine decides: disturbed ones, ordered precision, budgets, going on."""

import io
import json

import pytest
from support.playback import described, launches, state

from bench import report
from bench.analysis import analyse
from bench.analysis.precision import Order
from bench.contract.errors import UsageError
from bench.plan.parse import parse_calibrate, parse_run
from bench.run import measure as measuring
from bench.run import precision as ordering
from bench.run.calibrate import calibrate
from bench.run.console import RunConsole
from bench.run.measure import run
from bench.run.precision import _ordered_words


class Clock:
    """A clock on which so many seconds pass from each look to the next."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def counts(folder):
    return {planned["case"]["backend"]: planned["launches"] for planned in described(folder)["plan"]}


def test_a_disturbed_repetition_is_measured_anew_by_all_backends_and_everything_kept(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:stolen once")
    folder = measure()
    analysis = analyse(folder)
    cases = analysis.cases.set_index("backend")
    counted = analysis.run.launches[analysis.run.launches["counted"]]

    for backend in ("jax", "torch"):
        places = [(one["repetition"], one["attempt"], one["seed"]) for one in launches(folder, backend)]
        assert sorted(places) == [(0, 1, 0), (0, 2, 0), (1, 1, 1), (2, 1, 2)]
    assert "disturbed: 9 of 9 steady epochs" in measure.said.getvalue()
    assert cases["launches"].tolist() == [3, 3, 3]
    assert cases["disturbed"].to_dict() == {"jax": 0, "tensorflow": 0, "torch": 1}
    assert set(counted.loc[counted["repetition"] == 0, "attempt"]) == {2}
    assert analysis.problems == []
    report.write(analysis, folder)
    said = (folder / "report.md").read_text()
    assert "torch: 1 launches were disturbed, 1 of its repetitions were measured anew" in said


def test_where_it_is_disturbed_anew_the_other_repetitions_are_kept_as_they_are(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:stolen")
    folder = measure()
    analysis = analyse(folder)

    assert [launch["attempt"] for launch in launches(folder, "torch")].count(2) == 2
    assert analysis.cases.set_index("backend").loc["torch", "launches"] == 3
    assert analysis.run.launches.groupby("attempt")["counted"].sum().to_dict() == {1: 9, 2: 0}


def test_a_precision_is_ordered_reached_and_told(measure):
    folder = measure("--launches=6", "--within=1%", "--backends=jax,torch")
    analysis = analyse(folder)
    row = analysis.comparisons.table.iloc[0]

    assert counts(folder)["jax"] == counts(folder)["torch"] == len(launches(folder, "jax")) > 6
    assert row["ratio_high"] / row["ratio"] <= 1.0101
    assert analysis.problems == []
    assert "a pilot of 12 launches" in measure.said.getvalue()
    assert "the pilot says: every ratio within ±1.0%, about" in measure.said.getvalue()
    report.write(analysis, folder)
    assert "the pilot says: every ratio within" in (folder / "report.md").read_text()


def test_seeds_beyond_the_pilot_have_initial_weights_of_their_own(measure, monkeypatch):
    drawn = []
    prepare = measuring.prepare

    def noted(options, *others, **named):
        drawn.extend(options.seeds)
        return prepare(options, *others, **named)

    for module in (measuring, ordering):
        monkeypatch.setattr(module, "prepare", noted)
    folder = measure("--launches=6", "--within=1%", "--backends=jax,torch")

    assert drawn == [launch["seed"] for launch in launches(folder, "jax")]


def test_a_precision_out_of_reach_is_said_at_once_with_what_will_be_reached(measure, monkeypatch):
    monkeypatch.setattr(ordering, "MOST_LAUNCHES", 8)
    folder = measure("--launches=6", "--within=0.1%", "--backends=jax,torch")
    said = measure.said.getvalue()

    assert counts(folder) == {"jax": 8, "torch": 8}
    assert described(folder)["ordered"]["reached"] > 0.001
    words = "±0.1% would take more than 8 launches of a case; instead every ratio within ±"
    assert said.index(words) < said.index("[13/")


def test_a_budget_that_does_not_suffice_is_said_with_what_will_be_reached():
    order = Order({("a case",): 9}, within=0.046, seconds=1_190.0, wanted_seconds=2_460.0)

    wanted = "±3.0% would take 41 min more, and the budget leaves 20 min"
    reached = "every ratio within ±4.6%, about 20 min more"
    assert _ordered_words(order, 0.03, 1_200.0) == f"{wanted}; instead {reached}"


def test_without_anything_to_compare_no_precision_is_promised(measure):
    measure("--launches=6", "--within=3%", "--backends=jax")

    assert "the pilot has no ratio whose precision could be ordered" in measure.said.getvalue()


def test_a_budget_ends_a_run_after_a_whole_repetition_whatever_was_promised(measure):
    folder = measure("--launches=6", "--within=1%", "--budget=1h", "--backends=jax,torch", now=Clock(100.0))

    assert 6 < counts(folder)["jax"] == counts(folder)["torch"] == len(launches(folder, "jax")) < 30
    assert described(folder)["ordered"]["words"].endswith("but the budget ended before all of these launches")
    assert analyse(folder).problems == []


def test_a_budget_that_ends_within_the_pilot_ends_it_after_a_whole_repetition(measure):
    folder = measure("--launches=6", "--budget=5m", "--backends=jax,torch", now=Clock(40.0))

    assert state(folder) == "finished"
    assert 2 <= counts(folder)["jax"] == counts(folder)["torch"] < 6
    assert len(launches(folder)) == 2 * counts(folder)["jax"]
    assert analyse(folder).problems == []


def test_two_repetitions_are_measured_whatever_the_budget(measure):
    assert counts(measure("--launches=6", "--budget=1s", "--backends=jax,torch", now=Clock(9.0)))["jax"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--within=3%", "--launches=5"], "it is the pilot, at least 6"),
        (["--within=nothing"], "expected a percentage"),
        (["--budget=20"], "expected a time span such as 90s, 20m or 1.5h"),
        (["--budget=-5m"], "expected a time span"),
        (["--budget=infm"], "expected a time span"),
    ],
)
def test_orders_that_make_no_sense_are_refused_in_one_line(arguments, words):
    with pytest.raises(UsageError, match=words):
        parse_run(arguments)


def test_without_launches_the_pilot_takes_at_least_six():
    assert parse_run(["--within=3%"]).launches == 6
    assert parse_run(["--within=3%", "--profile=full"]).launches == 10
    assert parse_run(["--budget=1.5h"]).budget_seconds == 5_400


def interrupt_after(folder, kept):
    """Make a run look as if it had been interrupted when it had so many launches."""
    for path in sorted((folder / "launches").glob("*.json"))[kept:]:
        path.unlink()
    description = described(folder) | {"state": "interrupted"}
    (folder / "run.json").write_text(json.dumps(description))


def resume(folder, *arguments):
    return run(
        parse_run([f"--resume={folder.name}", f"--output={folder.parent}", *arguments]), RunConsole(file=io.StringIO())
    )


def test_an_interrupted_run_goes_on_where_it_ended(measure):
    folder = measure()
    interrupt_after(folder, 4)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "launches").glob("*.json")}

    assert resume(folder) == folder
    assert state(folder) == "finished"
    assert len(launches(folder)) == 9
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert analyse(folder).problems == []


def test_a_run_with_an_ordered_precision_goes_on_with_what_its_pilot_said(measure):
    folder = measure("--launches=6", "--within=1%", "--backends=jax,torch")
    wanted = counts(folder)
    interrupt_after(folder, 14)
    resume(folder)

    assert counts(folder) == wanted
    assert len(launches(folder)) == sum(wanted.values())


def test_the_budget_of_a_run_that_goes_on_is_what_it_has_left(measure):
    folder = measure("--launches=6", "--budget=1h", "--backends=jax,torch", now=Clock(100.0))
    interrupt_after(folder, 8)
    spent = described(folder)["wall_seconds"]
    resume(folder)

    assert spent > 3_600
    assert counts(folder)["jax"] <= 5
    assert analyse(folder).problems == []


def test_a_calibration_goes_on_as_such(measure):
    folder = measure()
    interrupt_after(folder, 4)

    with pytest.raises(UsageError, match="another command began it"):
        parse_calibrate([f"--resume={folder.name}", f"--output={folder.parent}"])


def test_a_finished_run_does_not_go_on(measure):
    with pytest.raises(UsageError, match="it has finished"):
        resume(measure())


def test_a_run_goes_on_with_its_own_options_only(measure):
    folder = measure()
    interrupt_after(folder, 4)

    with pytest.raises(UsageError, match="--launches: a run goes on with the options it was started with"):
        resume(folder, "--launches=7")


def test_a_run_does_not_go_on_on_another_machine(measure):
    folder = measure()
    interrupt_after(folder, 4)
    description = described(folder)
    description["machine"]["cpu"] = "another"
    (folder / "run.json").write_text(json.dumps(description))

    with pytest.raises(UsageError, match="it was measured with cpu another, here it is"):
        resume(folder)
    assert len(launches(folder)) == 4


def test_a_run_of_an_earlier_version_does_not_go_on(measure):
    folder = measure()
    interrupt_after(folder, 4)
    description = described(folder)
    del description["options"]["within"]
    (folder / "run.json").write_text(json.dumps(description))

    with pytest.raises(UsageError, match="another version began it"):
        resume(folder)


def test_a_calibration_records_a_slow_down_that_takes_turns_and_goes_on(fake):
    given = [option for option in fake if not option.startswith(("--workloads", "--devices"))]
    options = parse_calibrate([*given, "--launches=12", "--epochs=4", "--load=1"])
    folder = calibrate(options, RunConsole(file=io.StringIO()))
    samples = [launch["case"]["samples"] for launch in launches(folder, "jax")]

    assert samples.count(19_200) == samples.count(21_120) == 12
    assert len(launches(folder)) == 4 * 12
    interrupt_after(folder, 20)
    output = [f"--output={folder.parent}", f"--resume={folder.name}"]
    assert calibrate(parse_calibrate(output), RunConsole(file=io.StringIO())) == folder
    assert len(launches(folder)) == 4 * 12
    assert calibrate(parse_calibrate(output), RunConsole(file=io.StringIO())) == folder  # to be told again
