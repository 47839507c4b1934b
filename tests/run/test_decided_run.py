"""Runs that stop as soon as they are sure, played back."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.playback import described, launches

from bench import report
from bench.analysis import analyse
from bench.contract.case import FIRST_LOOK, Case
from bench.plan.parse import parse_run
from bench.plan.planned import PlannedLaunch
from bench.report.parts.verdicts import stops, verdicts
from bench.run.console import RunConsole
from bench.run.decided import _due
from bench.run.measure import run

pytestmark = pytest.mark.xdist_group("decided")  # its runs are made once
UNTIL = ("--until=decided", "--launches=6")


@pytest.fixture(scope="module")
def sooner(measure_once):
    """A run of three backends, of which torch is twice as slow and the others are about as fast as each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_SLOWER", '{"torch": 2}')
        folder = measure_once(*UNTIL)
    return SimpleNamespace(folder=folder, said=measure_once.said.getvalue(), analysis=analyse(folder))


def counts(folder):
    return {backend: len(launches(folder, f"-{backend}-")) for backend in ("jax", "tensorflow", "torch")}


def said(sentences):
    return "\n".join(one.text for one in sentences)


def test_a_case_whose_verdicts_are_sure_is_not_launched_again(sooner):
    assert counts(sooner.folder) == {"jax": 6, "tensorflow": 6, "torch": FIRST_LOOK}
    planned = described(sooner.folder)["plan"]
    assert {one["case"]["backend"]: one["launches"] for one in planned} == counts(sooner.folder)


def test_what_stops_is_said_when_it_stops(sooner):
    assert "from 3 launches of each case, about" in sooner.said
    assert "sure after 3 repetitions, and not launched again: mlp torch cpu fit" in sooner.said
    assert "at most about" in sooner.said  # the time left


def test_the_report_says_where_it_stopped_and_why(sooner):
    text = said(stops(sooner.analysis))

    assert "sure after 3 repetitions: torch against jax" in text
    assert "not sure after 6 repetitions, the most that were allowed: tensorflow against jax" in text


def test_intervals_are_wider_than_those_of_a_run_that_nobody_looked_into(sooner):
    content = described(sooner.folder)
    folder = Path(shutil.copytree(sooner.folder, sooner.folder.parents[1] / "unlooked"))
    content["options"].pop("until")
    (folder / "run.json").write_text(json.dumps(content))

    looked, not_looked = (analyse(one).comparisons.table.set_index("backend") for one in (sooner.folder, folder))
    assert (looked["ratio"] == not_looked["ratio"]).all()
    assert (looked["ratio_high"] > not_looked["ratio_high"]).all()
    assert (looked["metric_high"] == not_looked["metric_high"]).all()  # metrics end nothing


@pytest.mark.usefixtures("measure")
def test_a_run_that_was_interrupted_goes_on_and_comes_to_the_same(sooner, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", '{"torch": 2}')
    folder = Path(shutil.copytree(sooner.folder, tmp_path / "results" / sooner.folder.name))
    for path in [*(folder / "launches").glob("r004*"), *(folder / "launches").glob("r005*")]:
        path.unlink()
    plan = [{**one, "launches": 6} for one in described(folder)["plan"]]
    (folder / "run.json").write_text(json.dumps({**described(folder), "plan": plan, "state": "interrupted"}))

    run(parse_run([f"--resume={folder.name}", f"--output={folder.parent}"]), RunConsole(file=io.StringIO()))
    assert counts(folder) == counts(sooner.folder)


def test_a_disturbed_repetition_is_measured_anew_before_anybody_looks(measure, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", '{"torch": 2}')
    monkeypatch.setenv("FAKE_FAULT", "torch:stolen once")
    folder = measure(*UNTIL, "--backends=jax,torch")

    attempts = sorted((one["repetition"], one["attempt"]) for one in launches(folder, "-torch-"))
    assert attempts == [(0, 1), (0, 2), (1, 1), (2, 1)]


def test_a_budget_ends_it_too(measure):
    ticks = iter(range(0, 100_000, 10))
    folder = measure(*UNTIL, "--backends=jax,tensorflow", "--budget=60s", now=lambda: next(ticks))

    assert 2 <= counts(folder)["jax"] < 6
    assert "the budget ended before every verdict was sure" in measure.said.getvalue()
    assert "not sure after" in said(stops(analyse(folder)))
    assert "the most that were allowed" not in said(stops(analyse(folder)))


def test_where_variants_are_compared_only_verdicts_on_them_count(measure, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", '{"env:MINE=b": 2}')
    folder = measure(*UNTIL, "--vary=env:MINE=a,b", "--backends=jax,torch")  # jax and torch are about as fast

    assert counts(folder) == {"jax": 2 * FIRST_LOOK, "tensorflow": 0, "torch": 2 * FIRST_LOOK}


@pytest.mark.parametrize(("factor", "verdict", "status"), [(2, "exceeded", 1), (0.9, "kept", 0)])
def test_a_variant_that_is_slower_than_allowed_fails_the_run(measure, monkeypatch, factor, verdict, status):
    monkeypatch.setenv("FAKE_SLOWER", json.dumps({"env:MINE=b": factor}))
    folder = measure(*UNTIL, "--vary=env:MINE=a,b", "--backends=torch", "--reference=torch", "--fail-slower=30%")
    found = analyse(folder)

    assert list(found.comparisons.table["limit_verdict"]) == [verdict]
    assert f"the limit of 30 % by which env:MINE=b may be slower is {verdict} on torch" in said(verdicts(found))
    assert any("more than --fail-slower allows" in text for text in found.problems) == bool(status)
    assert report.write(found, folder).problems == found.problems


def test_a_limit_is_sure_sooner_than_the_difference_itself(measure, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", '{"env:MINE=b": 1.02}')
    given = (*UNTIL, "--vary=env:MINE=a,b", "--backends=torch", "--reference=torch")

    assert counts(measure(*given, "--fail-slower=40%"))["torch"] < counts(measure(*given))["torch"]


@pytest.mark.parametrize(("places", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2, 3])])
def test_between_looks_each_place_has_something_to_do(places, expected):
    case = Case("mlp", "fashion_mnist", 640, 3, 128, "arrays", "jax", "cpu", "float32", "train", "fit")
    other = replace(case, backend="torch")
    rest = [PlannedLaunch(one, repetition, repetition) for repetition in range(4) for one in (case, other)]

    assert sorted({one.repetition for one in _due(rest, places)}) == expected
