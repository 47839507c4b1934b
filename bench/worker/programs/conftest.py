"""The glue between a case's options and its pytest node: environment first, then the record's `launch` object."""

import gc
import json
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from bench.contract.case import CASE_COLUMNS, CASE_OPTIONS, Case
from bench.contract.record import SCHEMA
from bench.worker.process import environment
from bench.worker.process.launch import Launch
from bench.worker.process.lifeline import die_with_parent
from bench.worker.process.messages import Messenger

STARTED = time.perf_counter()
die_with_parent()


KEY = pytest.StashKey[Launch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """A case column is an option of the same name."""
    group = parser.getgroup("case", "one case of the plan, and its seed")
    for option, kind in CASE_OPTIONS.items():
        group.addoption(option, type=kind, required=True)
    group.addoption("--seed", type=int, required=True, help="of the batches' order and of random layers")
    group.addoption("--knobs", type=json.loads, default={}, help="of its track, as JSON; default: the track's own")
    help_split = "of the training samples, where the workload holds out none itself; default: nothing"
    group.addoption("--validation-split", type=float, default=0.0, help=help_split)
    group.addoption(
        "--weights", type=Path, help="initial weights written by bench.worker.programs.prepare; default: drawn here"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process before any test module imports Keras."""
    case = Case(**{name: config.getoption(name) for name in CASE_COLUMNS})
    messenger = Messenger()
    began = time.perf_counter()
    try:
        shipped = case.track == "shipped"
        backend = environment.prepare(case.backend, case.device, None if shipped else case.numerics)
        import keras  # noqa: F401 - so that its time is told apart from the test's

        from bench.worker.workload import train

        default = train.defaults(case.backend, case.track) if case.task == "train" else {}
        knobs = {**default, **config.getoption("knobs")}
        if knobs.get("malloc") == "keep":
            train.keep_freed_memory()
    except Exception as error:
        messenger.send("failed", reason=f"cannot import its backend: {type(error).__name__}: {error}")
        raise
    given = {name: config.getoption(name) for name in ("seed", "weights", "validation_split")}
    launch = Launch(case, knobs=knobs, backend=backend, messenger=messenger, **given)
    launch.record["phases"] = {"import": time.perf_counter() - began}
    config.stash[KEY] = launch


@pytest.fixture
def launch(request: pytest.FixtureRequest) -> Launch:
    """The launch under way."""
    found: Launch = request.config.stash[KEY]
    return found


def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Tell the parent in one line why the launch failed."""
    if call.excinfo is not None:
        lines = str(call.excinfo.value).strip().splitlines()
        kind = call.excinfo.type.__name__
        reason = lines[0] if kind == "StartError" and lines else ": ".join([kind, *lines[:1]])
        node.config.stash[KEY].messenger.send("failed", reason=reason)


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Only what costs nothing: the parent describes the machine once a run (py-cpuinfo would take a second here)."""
    return {"machine": platform.machine(), "system": platform.system(), "python_version": platform.python_version()}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """Nothing: it would start Git in every launch."""
    return {}


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the `launch` object, the only thing the analysis reads."""
    launch = config.stash[KEY]
    launch.record["phases"]["process"] = time.perf_counter() - STARTED
    output_json["launch"] = {
        "schema": SCHEMA,
        "case": vars(launch.case),
        "seed": launch.seed,
        "status": "ok",
        "reason": "",
        "knobs": launch.knobs,
        **launch.record,
        "versions": environment.versions(launch.case.backend),
    }


def pytest_unconfigure() -> None:
    """Spare the exit: Python's collector would walk every object of the framework, up to 0.8 s a launch."""
    gc.freeze()
