"""A search over versions, each step a run that is played back."""

import io
import json
import os

import pytest
from support.playback import state

from bench import __main__ as command_line
from bench.contract.errors import UsageError
from bench.plan.parse import parse_bisect
from bench.run import bisect as searching
from bench.run import prepare
from bench.run.bisect import bisect, conclusion, is_found
from bench.run.console import RunConsole
from bench.run.measure import run

VERSIONS = [f"3.{number}" for number in range(6)]
SLOWER = json.dumps({f"keras={version}": 1.5 for version in VERSIONS[3:]})


@pytest.fixture
def search(played, tmp_path, monkeypatch):
    """Search from 3.0 to 3.5 on torch; what was said, measured and built is noted."""
    monkeypatch.setenv("FAKE_SLOWER", SLOWER)
    monkeypatch.setenv("FAKE_SPREAD", "0.001")
    monkeypatch.setattr(prepare, "interpreters", lambda options, _: dict.fromkeys(options.backends, played))
    monkeypatch.setattr(searching.environments, "interpreter", lambda *_: played)

    class Search:
        def __init__(self):
            self.said, self.steps, self.built = io.StringIO(), [], []
            self.given = ["--good=3.0", "--bad=3.5", "--backends=torch", "--devices=cpu"]
            self.given.append(f"--output={tmp_path / 'results'}")

        def __call__(self, *arguments, measure=run):
            def measured(options, console):
                self.steps.append(options.vary)
                return measure(options, console)

            options = parse_bisect([*self.given, "--no-parity", *arguments])
            console = RunConsole(file=self.said, width=200)
            build = lambda *asked: self.built.append(asked)  # noqa: E731
            found = bisect(options, console, measured, build, lambda *_: VERSIONS)
            return found, conclusion(options, found)

    return Search()


def test_the_first_slower_version_is_found_with_the_evidence_of_each_step(search):
    found, words = search()

    assert words == "the first bad version of keras is 3.3; 3.2 is good"
    assert is_found(found)
    assert [step.version for step in found.steps] == ["3.5", "3.2", "3.3"]
    assert [step.outcome for step in found.steps] == ["bad", "good", "bad"]
    assert all(step.words.startswith("torch ") and "repetitions" in step.words for step in found.steps)
    assert "3.2: good: torch 0.99" in search.said.getvalue()


def test_every_version_is_held_against_the_good_one_and_built_first(search):
    search()

    assert search.steps == ["keras=3.0,3.5", "keras=3.0,3.2", "keras=3.0,3.3"]
    assert ("torch", (), ("keras==3.3",)) in search.built


def test_the_same_command_goes_on_where_the_search_was(search):
    first, _ = search()
    search.steps.clear()
    again, words = search()

    assert again == first
    assert search.steps == []
    assert words.startswith("the first bad version of keras is 3.3")


def test_a_step_that_was_interrupted_goes_on(search):
    def interrupted(options, console):
        folder = run(options, console)
        content = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**content, "state": "interrupted"}))
        return folder

    found, words = search(measure=interrupted)
    assert words == "the search was interrupted; the same command goes on"
    assert not is_found(found)

    found, words = search()
    assert words == "the first bad version of keras is 3.3; 3.2 is good"
    results = parse_bisect(search.given).output
    assert state(results / found.steps[0].run) == "finished"
    assert len(list(results.glob("2*"))) == 3  # no run was made twice


def test_without_a_difference_it_says_so(search, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", "{}")
    found, words = search("--fail-slower=40%")

    assert words == "3.5 is good against 3.0: there is nothing to search for"
    assert not is_found(found)


def test_what_cannot_be_decided_is_said_with_the_versions_that_are_left(search, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", json.dumps({"keras=3.5": 2, "keras=3.2": 1.33, "keras=3.3": 2}))
    _, words = search("--fail-slower=33%", "--launches=3")

    assert words == "the first bad version of keras is one of 3.2, 3.3; 3.1 is good"


def test_a_version_that_cannot_be_installed_is_passed_over_with_its_reason(search, played, monkeypatch):
    monkeypatch.setattr(
        prepare, "interpreters", lambda _, variant: {"torch": None if "keras=3.2" in variant.name else played}
    )
    found, _ = search()

    passed = next(step for step in found.steps if step.version == "3.2")
    assert passed.outcome == "not measured"
    assert "keras==3.2" in passed.words


def test_a_version_that_computes_something_else_is_bad(search, monkeypatch):
    monkeypatch.setenv("FAKE_SLOWER", "{}")
    monkeypatch.setenv("FAKE_LADDER", "torch:parts")
    monkeypatch.setenv("FAKE_VARIANT", "keras=3.5")
    options = parse_bisect([*search.given, "--fail-slower=40%"])
    found = bisect(options, RunConsole(file=search.said, width=200), run, lambda *_: None, lambda *_: ["3.0", "3.5"])

    assert found.steps[0].outcome == "bad"
    assert found.steps[0].words.startswith("torch parts at outputs of dense")


def test_a_version_that_is_not_published_is_refused_before_anything_is_measured(search):
    search.given[1] = "--bad=3.9"
    with pytest.raises(UsageError, match=r"--bad 3\.9: keras has no such version"):
        search()
    assert search.steps == []


def test_pip_keeps_its_settings_of_an_index_and_no_worker_sees_them(monkeypatch, capsys):
    seen = {}

    def noted(_options, _console, build, versions):
        seen.update(build=build.keywords, versions=versions.keywords, here=os.environ.get("PIP_INDEX_URL"))
        raise UsageError("enough")

    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@example.org/simple")
    monkeypatch.setattr(searching, "bisect", noted)
    assert command_line.main(["bisect", "--good=3.0", "--bad=3.5"]) == 2

    assert seen["here"] is None
    assert all("secret" in seen[name]["environment"]["PIP_INDEX_URL"] for name in ("build", "versions"))
    assert "secret" not in capsys.readouterr().err
