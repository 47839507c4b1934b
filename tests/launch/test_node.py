"""A launch as a pytest node in the parent's environment, and the bare worker that it hands the case to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract import launch_record
from bench.contract.case import Case
from bench.contract.files import RecordError
from bench.contract.paths import ROOT
from bench.launch.node import worker
from bench.launch.node.replay import ReplayClock
from bench.run.prepare import NODE

CASE = Case("mlp", "fashion_mnist", 256, 3, 32, "arrays", "torch", "cpu", "float32", "train", "fit")
FAKE = Path(__file__).parents[1] / "support" / "fake_python.py"


@pytest.fixture
def launch(tmp_path, recorded_run):
    """Run a node with the interpreter that plays back; gives the finished process and the record's path."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    recorded = next((recorded_run / "launches").glob("r000*mlp-jax*"))

    def run(fault="", case=CASE, record=True, **more):
        path = tmp_path / "launch.json"
        command = [sys.executable, *NODE, f"--python={python}", *case.options(), "--seed=3"]
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment = {**own, "FAKE_RECORD": str(recorded), "FAKE_FAULT": f"torch:{fault}", **more}
        environment.pop("BENCH_STARTED_BY", None)
        listened = [*command, f"--benchmark-json={path}"] if record else command
        done = subprocess.run(listened, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done, path

    return run


def test_the_record_is_a_file_of_pytest_benchmark_with_the_launch(launch):
    done, path = launch()
    content = json.loads(path.read_text())
    (benchmark,) = content["benchmarks"]

    assert done.returncode == 0, done.stdout + done.stderr
    assert benchmark["stats"]["data"] == pytest.approx([one["seconds"] for one in content["launch"]["epochs"][1:]])
    assert launch_record.check({"launch": {**content["launch"], "repetition": 0}}, "launch").status == "ok"


def test_a_node_run_by_hand_leaves_nothing_behind(launch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    done, path = launch(record=False, TMPDIR=str(folder))

    assert done.returncode == 0, done.stdout + done.stderr
    assert not path.exists()
    assert [*folder.iterdir()] == []


def test_pytest_benchmark_compares_records(launch):
    _, path = launch()
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)

    assert done.returncode == 0, done.stderr
    assert "mlp" in done.stdout + done.stderr


def test_the_worker_gets_the_case_and_nothing_of_pytest(launch, tmp_path):
    seen = tmp_path / "seen.json"
    launch(FAKE_SEEN=str(seen))

    assert not [name for name in json.loads(seen.read_text()) if name.startswith("PYTEST")]


@pytest.mark.parametrize(("fault", "number"), [("killed", signal.SIGKILL), ("segfault", signal.SIGSEGV)])
def test_a_worker_that_a_signal_ends_ends_its_node_alike(launch, fault, number):
    done, path = launch(fault)

    assert done.returncode == -number
    assert not path.exists()


def test_the_last_words_of_a_worker_that_fails_are_the_nodes_last(launch):
    done, _ = launch("no backend")

    assert done.returncode == 1
    assert (done.stdout + done.stderr).strip().splitlines()[-1] == "ModuleNotFoundError: No module named 'torch'"


def test_a_worker_that_ends_badly_after_its_measurement_keeps_its_record(launch):
    done, path = launch("segfault at exit")

    assert done.returncode == -signal.SIGSEGV
    assert json.loads(path.read_text())["launch"]["status"] == "ok"


@pytest.mark.parametrize("fault", ["", "half a record"])
def test_nothing_of_the_worker_is_left_beside_the_record(launch, fault):
    _, path = launch(fault)

    assert [one.name for one in path.parent.glob("*measured*")] == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "it wrote none"),
        ({"schema": 2}, "it has no launch object"),
        (
            {"schema": 99, "launch": {}},
            "the worker is of another version of the suite: it writes schema 99, this one reads 1, 2; start both from "
            "one checkout",
        ),
        ({"launch": {}}, "the worker is of another version of the suite: it writes schema None, this one reads 1, 2"),
    ],
)
def test_what_a_worker_wrote_is_told_apart_in_words(tmp_path, content, fault):
    path = tmp_path / "measured"
    if content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        worker.measured(path)

    assert fault in str(caught.value)


def test_the_replayed_clock_moves_only_when_told():
    clock = ReplayClock()
    clock.load([2.0, 3.0])
    times = [clock()]
    for _ in range(2):
        clock.advance()
        times.append(clock())

    assert times == [0.0, 2.0, 5.0]
