"""What the tests share: a run recorded once on a real machine, and the backends' own processes."""

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from support import campaign

from bench.contract.catalog import training_backends
from bench.machine import environments
from bench.plan.parse import parse_run
from bench.run import prepare
from bench.run.console import RunConsole
from bench.run.measure import run

RECORDED = Path(__file__).parent / "recorded"
FAKE = Path(__file__).parent / "support" / "fake_python.py"
PLAYED = next((RECORDED / "three-launches" / "launches").glob("r000*mlp-jax*"))
FACTORS = {"shipped": 1.2, "fit": 1.1, "tuned": 0.9, "loop": 0.8, "native": 0.7}


@pytest.fixture(autouse=True)
def own_lock(tmp_path_factory, monkeypatch):
    """A lock of each test's own: a run that is under way on this machine is none of its business."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def recorded_run(tmp_path):
    """A copy of a run of mlp and cnn on three backends, three launches each."""
    return Path(shutil.copytree(RECORDED / "three-launches", tmp_path / "recorded" / "three-launches"))


@pytest.fixture
def tracked(recorded_run):
    """The recorded run of mlp and cnn as if it had been made with every track, each faster than the one before."""
    description = json.loads((recorded_run / "run.json").read_text())
    plan = description["plan"]
    description["plan"] = [
        {**one, "case": {**one["case"], "track": track}} for track in FACTORS for one in plan if not one["skip"]
    ]
    for one in description["workloads"]:
        one |= {"step_flops": 1_000_000, "uncounted": []}
    description["ceilings"] = {"cpu": {"jax": 1e9, "torch": 2e9}}
    (recorded_run / "run.json").write_text(json.dumps(description))
    for path in list((recorded_run / "launches").glob("*.json")):
        content = json.loads(path.read_text())
        path.unlink()
        for track, factor in FACTORS.items():
            launch = json.loads(json.dumps(content["launch"]))
            launch["case"]["track"] = track
            for epoch in launch["epochs"]:
                epoch["seconds"] *= factor
            if track == "shipped":
                launch["batches_digest"] = "as they come"
            renamed = path.with_name(f"{path.stem}-{track}.json")
            renamed.write_text(json.dumps({**content, "launch": launch}))
    return recorded_run


@pytest.fixture(scope="session")
def fake_python(tmp_path_factory):
    """The interpreter of every backend: it plays back a recorded launch."""
    python = tmp_path_factory.mktemp("fake") / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {FAKE} "$@"\n')
    python.chmod(0o755)
    return python


def fake_options(python, results):
    """Options of a run into a folder that make this the interpreter of every backend."""
    given = [f"--python={backend}={python}" for backend in ("jax", "tensorflow", "torch")]
    return [*given, "--workloads=mlp", "--devices=cpu", f"--output={results}"]


def play_back(patch):
    """Name the recording that the fake interpreter plays back, as node and worker in one."""
    patch.setattr(prepare, "NODE", campaign.NODE)
    patch.setenv("FAKE_RECORD", str(PLAYED))


@pytest.fixture
def played(fake_python, monkeypatch):
    """The fake interpreter, with a recording to play back."""
    play_back(monkeypatch)
    return fake_python


@pytest.fixture
def fake(tmp_path, played):
    """Options that make every backend's interpreter the fake one."""
    return fake_options(played, tmp_path / "results")


def starter(fake):
    """Starts runs of three launches in this process; `said` has what they say."""
    said = io.StringIO()

    def start(*arguments, parity=False, now=time.monotonic):
        given = [*fake, "--launches=3", *([] if parity else ["--no-parity"]), *arguments]
        return run(parse_run(given), RunConsole(file=said, width=200), now)

    start.said = said
    return start


@pytest.fixture
def measure(fake):
    return starter(fake)


@pytest.fixture(scope="module")
def fake_once(tmp_path_factory, fake_python):
    """As `fake`, for runs that several tests of a module look at, or go on with in a copy."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        play_back(patch)
        yield fake_options(fake_python, folder / "results")


@pytest.fixture(scope="module")
def measure_once(fake_once):
    return starter(fake_once)


@pytest.fixture(scope="module")
def bench_once(fake_once, tmp_path_factory):
    return bench_in(tmp_path_factory.mktemp("bench"), fake_once)


def bench_in(folder, fake):
    """The command line, for runs of three launches into a folder."""
    options = [word for word in fake if not word.startswith("--output")]
    return campaign.Bench(folder, [*options, f"--output={folder / 'results'}", "--launches=1", "--no-parity"])


@pytest.fixture
def bench(fake, tmp_path):
    return bench_in(tmp_path, fake)


@pytest.fixture
def judge(request, bench, tmp_path):
    """Hold what was observed against what was expected, and note it for the table; nothing may be lost or left."""

    def hold(fault, expected, observed):
        alive, lost = campaign.marked(), bench.lost()
        left = bench.left + len(alive)
        request.config.stash[campaign.ROWS].append((fault, expected, observed, lost, left))
        for process in alive:
            process.kill()
        assert observed == expected
        assert (lost, left) == (0, 0)

    yield hold
    assert not list(tmp_path.glob("**/outside*"))


class Evaluator:
    """One backend's process, which evaluates expressions with parity's random draws."""

    def __init__(self, backend, numerics):
        python = environments.interpreter(backend, {})
        assert python, environments.missing_reason(backend)
        self._process = subprocess.Popen(
            [python, Path(__file__).parent / "support" / "evaluate.py", backend, numerics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, expression):
        """The value of an expression as an array; an error as AssertionError."""
        print(expression, file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        kind = np.dtype(answer["dtype"])
        return np.frombuffer(base64.b64decode(answer["bytes"]), kind).reshape(answer["shape"])

    def close(self):
        """End it at once: a framework that ends in good order takes seconds for it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def evaluator():
    """Evaluators by backend and numerics, each started once."""
    started = {}

    def get(backend, numerics):
        if (backend, numerics) not in started:
            started[backend, numerics] = Evaluator(backend, numerics)
        return started[backend, numerics]

    yield get
    for one in started.values():
        one.close()


@pytest.fixture(scope="session", params=training_backends())
def evaluate(request, evaluator):
    """One backend's evaluator in exact mode, each backend in turn."""
    return evaluator(request.param, "float64")


def pytest_configure(config):
    """Room for the fault campaign's table."""
    config.stash[campaign.ROWS] = []


def pytest_sessionfinish(session):
    """Where several processes run the tests, each hands its rows of the fault campaign to the one that tells them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = session.config.stash[campaign.ROWS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take such rows over."""
    node.config.stash[campaign.ROWS] += map(tuple, getattr(node, "workeroutput", {}).get("faults", ()))


def pytest_terminal_summary(terminalreporter, config):
    """Print the fault campaign's table where there was one."""
    if config.stash[campaign.ROWS]:
        terminalreporter.section("faults")
        for line in campaign.table(config.stash[campaign.ROWS]):
            terminalreporter.write_line(line)
