"""Whole runs, with an interpreter that plays back recorded launches."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from bench import record
from bench import run as running
from bench.environments import ROOT
from bench.options import UsageError, parse_run
from bench.run import RunError, find_run, run

FAKE = Path(__file__).with_name("fake_python.py")


@pytest.fixture
def fake(tmp_path, recorded_run, monkeypatch):
    """Options that make every backend's interpreter the fake one."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("FAKE_RECORD", str(next((recorded_run / "launches").glob("r000*mlp-jax*"))))
    given = [f"--python={backend}={python}" for backend in ("jax", "tensorflow", "torch")]
    return [*given, "--workloads=mlp", "--launches=3", f"--output={tmp_path / 'results'}"]


@pytest.fixture
def measure(fake):
    said = io.StringIO()

    def start(*arguments):
        return run(parse_run([*fake, *arguments]), Console(file=said, width=200))

    start.said = said
    return start


def launches(folder, backend="-"):
    return [record.read(path)["launch"] for path in sorted((folder / "launches").glob(f"*{backend}*.json"))]


def state(folder):
    return json.loads((folder / "run.json").read_text())["state"]


def test_a_run_leaves_a_record_for_every_launch(measure):
    folder = measure()

    assert state(folder) == "finished"
    assert [launch["status"] for launch in launches(folder)] == ["ok"] * 9
    assert {(launch["repetition"], launch["seed"]) for launch in launches(folder, "torch")} == {(0, 0), (1, 1), (2, 2)}


def test_the_backends_take_turns(measure):
    folder = measure()
    names = sorted((folder / "logs").glob("r*.log"), key=lambda path: path.stat().st_mtime_ns)

    assert [name.name[:4] for name in names] == ["r000"] * 3 + ["r001"] * 3 + ["r002"] * 3
    assert [name.stem.split("-")[3] for name in names[:6]] == [
        "jax",
        "tensorflow",
        "torch",
        "torch",
        "tensorflow",
        "jax",
    ]


def test_nothing_but_records_lies_among_the_records(measure):
    folder = measure()

    assert all(path.name.startswith("r0") for path in (folder / "launches").iterdir())


def test_a_plain_line_says_how_each_launch_went(measure):
    measure()

    assert "[1/9] mlp jax cpu: " in measure.said.getvalue()
    assert "9 launches (3 of each case), about" in measure.said.getvalue()


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("killed", "failed", "killed by signal 9 (SIGKILL)"),
        ("no backend", "failed", "exit status 1: ModuleNotFoundError: No module named 'torch'"),
        ("no record", "failed", "left no usable record"),
        ("half a record", "failed", "left no usable record"),
        ("hangs", "timeout", "no end after 2 s; killed"),
    ],
)
def test_a_worker_at_fault_becomes_a_record_and_the_run_goes_on(measure, monkeypatch, fault, status, reason):
    monkeypatch.setenv("FAKE_FAULT", f"torch:{fault}")
    monkeypatch.setattr(running, "LIMIT_SECONDS", 2.0)
    monkeypatch.setattr(running, "LIMIT_FACTOR", 0.0)
    folder = measure()

    assert state(folder) == "finished"
    assert [launch["status"] for launch in launches(folder, "jax")] == ["ok"] * 3
    assert {launch["status"] for launch in launches(folder, "torch")} == {status}
    assert all(reason in launch["reason"] for launch in launches(folder, "torch"))


def test_a_case_that_fails_twice_in_a_row_is_given_up(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:killed")

    assert len(launches(measure(), "torch")) == 2


def test_a_backend_without_environment_is_a_row_with_the_way_to_mend_it(measure, monkeypatch):
    monkeypatch.setattr(
        running.environments, "interpreter", lambda backend, given: given[backend] if backend != "torch" else None
    )
    folder = measure()

    assert all('nox -s "env(torch)"' in launch["reason"] for launch in launches(folder, "torch"))
    assert [launch["status"] for launch in launches(folder, "tensorflow")] == ["ok"] * 3


def test_where_the_reference_has_no_environment_another_backend_prepares(measure, monkeypatch):
    monkeypatch.setattr(
        running.environments, "interpreter", lambda backend, given: given[backend] if backend != "jax" else None
    )

    assert json.loads((measure() / "run.json").read_text())["prepared_by"] == "tensorflow"


def test_where_no_backend_works_the_run_ends_with_every_reason(measure, monkeypatch, tmp_path):
    monkeypatch.setattr(running.environments, "interpreter", lambda _backend, _given: None)

    with pytest.raises(RunError, match=r"jax.*tensorflow.*torch"):
        measure()
    assert not list((tmp_path / "results").iterdir())


def test_a_workload_that_cannot_be_used_is_a_usage_error_and_leaves_nothing(measure, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_FAULT", "prepare:error")

    with pytest.raises(UsageError, match="does not build"):
        measure()
    assert not list((tmp_path / "results").iterdir())


def test_a_dry_run_lists_the_cases_and_leaves_nothing(measure, tmp_path):
    assert measure("--dry-run") is None
    assert "mlp torch cpu: 60000 samples, 10 epochs" in measure.said.getvalue()
    assert not list((tmp_path / "results").iterdir())


def test_what_earlier_runs_took_is_what_a_run_is_expected_to_take(measure):
    folder = measure()
    for path in (folder / "launches").iterdir():
        content = record.read(path)
        record.write(path, {**content, "launch": {**content["launch"], "wall_seconds": 77.0}})
    measure("--dry-run")

    assert "mlp jax cpu: 60000 samples, 10 epochs, batch 128; about 77 s a launch" in measure.said.getvalue()


def test_a_results_folder_that_cannot_be_written_is_said_before_anything_runs(measure, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        measure(f"--output={tmp_path / 'file' / 'results'}")


def test_ctrl_c_leaves_an_interrupted_run_that_can_be_read(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "tensorflow:hangs")
    with subprocess.Popen(
        [sys.executable, "-m", "bench", "run", *fake],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "results").glob("*/launches/.r000-c01*.pid")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
    folder = find_run("latest", tmp_path / "results")

    assert process.returncode == 1
    assert "Traceback" not in complaints
    assert "interrupted: what was measured is kept" in said
    assert state(folder) == "interrupted"
    assert [launch["case"]["backend"] for launch in launches(folder)] == ["jax"]
    assert (folder / "report.md").exists()
    (pid,) = (folder / "launches").glob(".*.pid")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_failed_case_shows_in_the_exit_status(fake, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:killed")
    command = [sys.executable, "-m", "bench", "run", *fake]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "2 of 3 launches: killed by signal 9 (SIGKILL)" in " ".join(done.stdout.split())


def test_a_run_is_found_by_id_by_path_and_as_the_latest(measure):
    first, second = measure(), measure()
    output = first.parent

    assert find_run(first.name, output) == first
    assert find_run(str(first), output / "elsewhere") == first
    assert find_run("latest", output) == max(first, second)


def test_an_unknown_run_is_answered_with_the_known_ones(measure):
    folder = measure()

    with pytest.raises(UsageError, match=folder.name):
        find_run("yesterday", folder.parent)
