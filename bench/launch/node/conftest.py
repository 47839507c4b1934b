"""The glue between a case's options and its pytest node: a bare worker measures, pytest-benchmark records.

The node runs in the parent's environment, the worker in its backend's, which needs Keras and the backend alone.
"""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.contract.case import CASE_DEFAULTS, CASE_OPTIONS
from bench.contract.files import RecordError
from bench.contract.lifeline import die_with_parent
from bench.contract.messages import Messenger
from bench.launch.node import worker

die_with_parent()

MEASURED = pytest.StashKey[dict[str, Any]]()
RETURNED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """A case column is an option of the same name; the options go to the worker as they are."""
    group = parser.getgroup("case", "one case of the plan, its seed, and the interpreter of its worker")
    for option, kind in CASE_OPTIONS.items():
        default = CASE_DEFAULTS.get(option)
        group.addoption(option, type=kind, required=default is None, default=default)
    group.addoption("--python", type=Path, required=True, help="of the environment with Keras and the backend")
    group.addoption("--seed", type=int, required=True, help="of the batches' order and of random layers")
    group.addoption("--knobs", type=json.loads, help="of its track, as JSON; default: the track's own")
    help_split = "of the training samples, where the workload holds out none itself; default: nothing"
    group.addoption("--validation-split", type=float, help=help_split)
    group.addoption("--weights", type=Path, help="initial weights; default: the worker draws them")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the worker of this case measured; a worker that fails ends this process as it ended itself."""
    config = request.config
    output = _output(config)
    returncode = worker.run([*_command(config), f"--output={output}"])
    try:
        content, fault = worker.measured(output), ""
    except RecordError as error:
        content, fault = {}, str(error)
    output.unlink(missing_ok=True)  # before this process may end at once
    if not config.getoption("benchmark_json"):
        output.parent.rmdir()
    if fault:
        if returncode == 0:
            Messenger().send("failed", reason=f"the worker ended well but left no usable record ({fault})")
        worker.end_like(returncode)
    config.stash[MEASURED], config.stash[RETURNED] = content, returncode
    return content


def _output(config: pytest.Config) -> Path:
    """Where the worker writes: beside the record, where the run clears what a killed node leaves."""
    record = config.getoption("benchmark_json")
    return Path(f"{record}.measured" if record else Path(tempfile.mkdtemp(prefix="bench-"), "measured")).resolve()


def _command(config: pytest.Config) -> list[str]:
    given = {option: config.getoption(option.lstrip("-").replace("-", "_")) for option in CASE_OPTIONS}
    given |= {f"--{name}": config.getoption(name) for name in ("seed", "weights")}
    given["--validation-split"] = config.getoption("validation_split")
    knobs = config.getoption("knobs")
    given["--knobs"] = None if knobs is None else json.dumps(knobs)
    program = f"bench.worker.programs.{given['--task']}"
    words = [f"{option}={value}" for option, value in given.items() if value is not None]
    return [str(config.getoption("python")), "-m", program, *words]


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Only what costs nothing: the parent describes the machine once a run (py-cpuinfo would take a second here)."""
    return {"machine": platform.machine(), "system": platform.system(), "python_version": platform.python_version()}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """Nothing: it would start Git in every launch."""
    return {}


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add the `launch` object, the only thing the analysis reads."""
    output_json["launch"] = config.stash[MEASURED]["launch"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The record is written: a worker that ended badly after its measurement is told by its end."""
    if config.stash.get(RETURNED, 0):
        worker.end_like(config.stash[RETURNED])
