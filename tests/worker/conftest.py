"""The worker's tests run in one backend's environment at a time, set up as a worker is."""

import functools
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench.contract.case import Case
from bench.contract.paths import ROOT
from bench.worker.process import environment

KEY = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--backend", required=True)


def pytest_configure(config):
    os.environ.pop("PYTHONPATH", None)  # lends pytest to this process, and not to the workers that it starts
    config.stash[KEY] = environment.prepare(config.getoption("backend"), "cpu", "float32")


@pytest.fixture
def backend_name(request):
    return request.config.getoption("backend")


@pytest.fixture
def backend(request):
    return request.config.stash[KEY]


def small_case(backend_name, **columns):
    """A small case; any column can be set."""
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


def launched(case, folder, *options, environment=None):
    """Run a worker by its command; gives the finished process and what it measured."""
    path = folder / "measured.json"
    program = f"bench.worker.programs.{case.task}"
    command = [sys.executable, "-m", program, *case.options(), "--seed=3", f"--output={path}", *options]
    given = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "check": False, "timeout": 300}
    done = subprocess.run(command, **given)
    return done, json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def case(backend_name):
    """A small case; any column can be set."""
    return functools.partial(small_case, backend_name)


@pytest.fixture
def launch(case, tmp_path):
    """Run a worker by its command; gives the finished process and what it measured."""
    return lambda *options, **columns: launched(case(**columns), tmp_path, *options)


@pytest.fixture(scope="session")
def described(tmp_path_factory):
    """The folder of the initial weights that `recorded` starts from, and what was described with them."""
    from bench.worker.programs.prepare import describe

    folder = tmp_path_factory.mktemp("described")
    return folder, describe("mlp", [3], folder / "0-mlp")


@pytest.fixture(scope="session")
def recorded(request, tmp_path_factory, described):
    """The `launch` object of a launch of `mlp` from the drawn weights, for all tests that do nothing else to it.

    Each is made once. Its folder for temporary files is in `left`.
    """

    @functools.cache
    def record(*options, **columns):
        folder = tmp_path_factory.mktemp("recorded")
        left = folder / "left"
        left.mkdir()
        # JAX's setting is of this process, which is strict
        environment = {name: value for name, value in os.environ.items() if name != "JAX_DEFAULT_MATMUL_PRECISION"}
        weights = f"--weights={described[0] / '0-mlp-seed3.npz'}"
        chosen = small_case(request.config.getoption("backend"), **columns)
        done, content = launched(chosen, folder, weights, *options, environment={**environment, "TMPDIR": str(left)})
        assert done.returncode == 0, done.stdout + done.stderr
        return SimpleNamespace(launch=content["launch"], content=content, left=left)

    return record
