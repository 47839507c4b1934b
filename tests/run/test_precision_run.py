"""Runs whose number of launches the machine decides: disturbed ones, ordered precision, budgets, going on."""

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

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

pytestmark = pytest.mark.xdist_group("precision")  # its runs are made once


class Clock:
    """A clock on which so many seconds pass from each look to the next."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture(scope="module")
def ordered(measure_once):
    """A run whose precision was ordered, what it said, and the seeds whose initial weights were drawn."""
    drawn, prepare = [], measuring.prepare

    def noted(options, *others, **named):
        drawn.extend(options.seeds)
        return prepare(options, *others, **named)

    with pytest.MonkeyPatch.context() as patch:
        for module in (measuring, ordering):
            patch.setattr(module, "prepare", noted)
        folder = measure_once("--launches=6", "--within=1%", "--backends=jax,torch")
    return SimpleNamespace(folder=folder, said=measure_once.said.getvalue(), drawn=drawn)


@pytest.fixture(scope="module")
def whole(measure_once):
    """A run of three launches of each backend."""
    return measure_once()


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of it, to change and go on with."""
    return copied(whole, tmp_path)


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "results" / folder.name))


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
    assert "torch: 1 launch was disturbed, 1 of its repetitions were measured anew" in said


def test_launches_measured_anew_are_announced_with_their_time(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:stolen once")
    measure()
    lines = measure.said.getvalue().splitlines()
    (number,) = [number for number, line in enumerate(lines) if "is measured anew" in line]

    assert lines[number].startswith(
        "repetition 1 of mlp cpu batch 128 was disturbed and is measured anew: 3 launches more, about "
    )
    assert lines[number + 1].startswith("[10/12]")


def test_where_disturbed_anew_the_other_repetitions_are_kept(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:stolen")
    folder = measure()
    analysis = analyse(folder)

    assert (
        "disturbed and kept as they are: 1 repetition more; 2 in a row were disturbed anew" in measure.said.getvalue()
    )

    assert [launch["attempt"] for launch in launches(folder, "torch")].count(2) == 2
    assert analysis.cases.set_index("backend").loc["torch", "launches"] == 3
    assert analysis.run.launches.groupby("attempt")["counted"].sum().to_dict() == {1: 9, 2: 0}


def test_a_precision_is_ordered_reached_and_told(ordered, tmp_path):
    folder = copied(ordered.folder, tmp_path)
    analysis = analyse(folder)
    row = analysis.comparisons.table.iloc[0]

    assert counts(folder)["jax"] == counts(folder)["torch"] == len(launches(folder, "jax")) > 6
    assert row["ratio_high"] / row["ratio"] <= 1.0101
    assert analysis.problems == []
    assert "a pilot of 12 launches" in ordered.said
    assert "the pilot says: every ratio within ±1.0%, about" in ordered.said
    report.write(analysis, folder)
    assert "the pilot says: every ratio within" in (folder / "report.md").read_text()


def test_seeds_beyond_the_pilot_have_initial_weights_of_their_own(ordered):
    assert ordered.drawn == [launch["seed"] for launch in launches(ordered.folder, "jax")]


def test_a_precision_out_of_reach_is_said_at_once(measure, monkeypatch):
    monkeypatch.setattr(ordering, "MOST_LAUNCHES", 8)
    folder = measure("--launches=6", "--within=0.1%", "--backends=jax,torch")
    said = measure.said.getvalue()

    assert counts(folder) == {"jax": 8, "torch": 8}
    assert described(folder)["ordered"]["reached"] > 0.001
    words = "±0.1% would take more than 8 launches of a case; instead every ratio within ±"
    assert said.index(words) < said.index("[13/")


def test_a_short_budget_is_said_with_what_will_be_reached():
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


def test_a_budget_ends_the_pilot_after_a_whole_repetition(measure):
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


def test_an_interrupted_run_goes_on_where_it_ended(finished):
    folder = finished
    interrupt_after(folder, 4)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "launches").glob("*.json")}

    assert resume(folder) == folder
    assert state(folder) == "finished"
    assert len(launches(folder)) == 9
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert analyse(folder).problems == []


def test_a_run_goes_on_with_what_its_pilot_said(ordered, tmp_path):
    folder = copied(ordered.folder, tmp_path)
    wanted = counts(folder)
    interrupt_after(folder, 14)
    resume(folder)

    assert counts(folder) == wanted
    assert len(launches(folder)) == sum(wanted.values())


def test_a_run_that_goes_on_has_the_rest_of_its_budget(measure):
    folder = measure("--launches=6", "--budget=1h", "--backends=jax,torch", now=Clock(100.0))
    interrupt_after(folder, 8)
    spent = described(folder)["wall_seconds"]
    resume(folder)

    assert spent > 3_600
    assert counts(folder)["jax"] <= 5
    assert analyse(folder).problems == []


def test_a_calibration_goes_on_as_such(finished):
    interrupt_after(finished, 4)

    with pytest.raises(UsageError, match="another command began it"):
        parse_calibrate([f"--resume={finished.name}", f"--output={finished.parent}"])


def test_a_finished_run_does_not_go_on(finished):
    with pytest.raises(UsageError, match="it has finished"):
        resume(finished)


def test_a_run_goes_on_with_its_own_options_only(finished):
    interrupt_after(finished, 4)

    with pytest.raises(UsageError, match="--launches: a run goes on with the options it was started with"):
        resume(finished, "--launches=7")


def test_a_run_does_not_go_on_on_another_machine(finished):
    interrupt_after(finished, 4)
    description = described(finished)
    description["machine"]["cpu"] = "another"
    (finished / "run.json").write_text(json.dumps(description))

    with pytest.raises(UsageError, match="it was measured with cpu another, here it is"):
        resume(finished)
    assert len(launches(finished)) == 4


def test_a_run_of_an_earlier_version_does_not_go_on(finished):
    interrupt_after(finished, 4)
    description = described(finished)
    del description["options"]["within"]
    (finished / "run.json").write_text(json.dumps(description))

    with pytest.raises(UsageError, match="another version began it"):
        resume(finished)


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
