"""The worker's tests run in one backend's environment at a time, set up as a worker is."""

import json
import subprocess
import sys

import pytest

from bench.contract.case import Case
from bench.contract.paths import ROOT
from bench.worker.process import environment

KEY = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--backend", required=True)


def pytest_configure(config):
    config.stash[KEY] = environment.prepare(config.getoption("backend"), "cpu", "float32")


@pytest.fixture
def backend_name(request):
    return request.config.getoption("backend")


@pytest.fixture
def backend(request):
    return request.config.stash[KEY]


@pytest.fixture
def case(backend_name):
    """A small case; any column can be set."""

    def make(**columns):
        return Case(
            **{
                "workload": "mlp",
                "dataset": "fashion_mnist",
                "samples": 1_300,
                "epochs": 3,
                "batch_size": 128,
                "input": "arrays",
                "backend": backend_name,
                "device": "cpu",
                "numerics": "float32",
                "task": "train",
                "track": "fit",
                **columns,
            }
        )

    return make


@pytest.fixture
def launch(case, tmp_path):
    """Run a worker by its command; gives the finished process and what it measured."""

    def run(*options, **columns):
        path = tmp_path / "measured.json"
        program = f"bench.worker.programs.{columns.get('task', 'train')}"
        command = [sys.executable, "-m", program, *case(**columns).options(), "--seed=3", f"--output={path}", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        return done, json.loads(path.read_text()) if path.exists() else None

    return run
