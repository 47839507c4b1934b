"""The search for knobs: recorded, survived, reused, and never turned for nothing."""

import io
import json
from dataclasses import replace

import pytest

from bench.contract.case import Case
from bench.contract.tuning_rows import Tried, TuningRow
from bench.plan.parse import parse_run
from bench.run import tuning
from bench.run.console import RunConsole
from bench.run.measure import run

CASE = Case("mlp", "fashion_mnist", 6_400, 3, 128, "arrays", "jax", "cpu", "float32", "train", "loop")


def row(seconds, status="ok", **knobs):
    given = {"steps": "call", "malloc": "default", **knobs}
    return Tried(knobs=given, status=status, reason="", step_seconds=seconds)


@pytest.fixture
def tuned(fake):
    """Measure track loop with the fake interpreters; gives the run's folder and what was said."""

    def start(*arguments):
        said = io.StringIO()
        options = parse_run([*fake, "--launches=2", "--no-parity", "--tracks=loop", *arguments])
        folder = run(options, RunConsole(file=said, width=300))
        return folder, said.getvalue()

    return start


def launches(folder):
    return [json.loads(path.read_text())["launch"] for path in sorted((folder / "launches").glob("*.json"))]


def test_every_configuration_is_a_row_and_the_launches_are_given_the_fastest(tuned):
    folder, _ = tuned()
    rows = tuning.read(folder)

    assert len(rows) == 9  # three configurations on each backend
    assert [one.knobs["steps"] for one in rows if one.chosen] == ["b", "b", "b"]
    assert {one["knobs"]["steps"] for one in launches(folder)} == {"b"}
    assert all("--knobs=" in " ".join(one["command"]) for one in launches(folder))


def test_fit_is_searched_for_nothing(tuned):
    folder, _ = tuned("--tracks=fit")

    assert tuning.read(folder) == []
    assert not any("--knobs" in " ".join(one["command"]) for one in launches(folder))


def test_a_later_run_takes_over_what_an_earlier_one_found(tuned):
    first, _ = tuned()
    second, said = tuned("--epochs=4")
    rows = tuning.read(second)

    assert "knobs as run" in said
    assert "configurations in" not in said
    assert {one.searched_in for one in rows} == {first.name}
    assert {one.case.epochs for one in rows} == {4}
    assert {one["knobs"]["steps"] for one in launches(second)} == {"b"}


def test_a_run_that_goes_on_searches_only_for_what_it_lacks(tuned):
    folder, _ = tuned()
    path, description = folder / tuning.FILE, json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**description, "state": "interrupted"}))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",torch," not in line))
    said = io.StringIO()
    run(parse_run([f"--resume={folder.name}", f"--output={folder.parent}"]), RunConsole(file=said, width=300))

    assert [line.split(":")[0].split()[1] for line in said.getvalue().splitlines() if "configurations" in line] == [
        "torch"
    ]
    assert path.read_text().splitlines(keepends=True) == lines


def test_a_search_is_repeated_where_the_code_of_a_track_has_changed(tuned, monkeypatch):
    tuned()
    monkeypatch.setattr(tuning, "SOURCES", tuning.SOURCES[:-1])
    _, said = tuned()

    assert "knobs as run" not in said


def test_the_search_goes_on_where_a_configuration_kills_its_process(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_TUNE", "torch:killed")
    folder, _ = tuned()
    rows = [one for one in tuning.read(folder) if one.case.backend == "torch"]

    assert [(one.knobs["steps"], one.status) for one in rows] == [("a", "failed"), ("b", "ok"), ("c", "ok")]
    assert "signal 9 (SIGKILL)" in rows[0].reason
    assert {one["knobs"]["steps"] for one in launches(folder)} == {"b"}


def test_a_search_that_finds_nothing_leaves_the_launches_to_their_defaults(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_TUNE", "torch:no backend")
    folder, said = tuned()
    without = [one["case"]["backend"] for one in launches(folder) if "--knobs" not in " ".join(one["command"])]

    assert {one.status for one in tuning.read(folder) if one.case.backend == "torch"} == {"failed"}
    assert set(without) == {"torch"}
    assert "No module named 'torch'" in said


def test_a_knob_is_turned_only_where_it_gains_more_than_three_percent():
    default, little, much = row(1.0), row(0.98, steps="scan"), row(0.9, steps="scan", malloc="keep")

    assert tuning.choose([default, little]) is default
    assert tuning.choose([default, little, much]) is much


def test_the_fastest_is_chosen_among_those_that_turn_as_few():
    rows = [row(2.0), row(1.0, steps="scan"), row(0.99, malloc="keep"), row(0.98, steps="scan", malloc="keep")]

    assert tuning.choose(rows) is rows[2]


def test_nothing_is_chosen_where_nothing_worked():
    assert tuning.choose([row(None, "failed"), row(None, "skipped", steps="scan")]) is None


def test_a_search_serves_other_samples_and_epochs_but_no_other_batch_size():
    tried = {"knobs": {}, "status": "ok", "reason": "", "step_seconds": 1.0, "chosen": True, "steps": 8}
    rows = [TuningRow(case=CASE, **tried, circumstances="now", searched_in="earlier")]

    def found(now="now", **changes):
        return tuning.reusable(rows, replace(CASE, **changes), now)

    assert found(samples=60_000, epochs=10) == rows
    assert found(batch_size=32) == []
    assert found(now="another machine") == []


@pytest.mark.parametrize("content", ["", "workload,knobs\nmlp,{", "\x00"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, content):
    (tmp_path / tuning.FILE).write_text(content)

    assert tuning.read(tmp_path) == []
