"""Causes planted in scripts, taken apart on all backends: each is the first that is named. Minutes each."""

import io
import tempfile

import pytest

from bench.analysis import analyse
from bench.contract.catalog import training_backends
from bench.contract.paths import ROOT
from bench.plan.parse import parse_explain
from bench.run.console import RunConsole
from bench.run.explain import explain

PLANTED = ROOT / "tests" / "run" / "scripts"


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "cause"),
    [("input_that_waits", "is waiting for its input, a Waits"), ("metric_on_host", "goes into on_host")],
)
def test_a_planted_cause_is_the_first_that_is_named(script, cause, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a lock of its own, as every test has
    monkeypatch.setattr(tempfile, "tempdir", None)
    given = [f"--script={PLANTED / script}.py", "--devices=cpu", f"--output={tmp_path / 'runs'}"]
    found = analyse(explain(parse_explain(given), RunConsole(file=io.StringIO())))

    first: dict[str, str] = {}
    for one in found.explanation.advice:
        first.setdefault(one.backend, one.text)
    assert sorted(first) == sorted(training_backends())
    assert all(cause in text for text in first.values()), first
