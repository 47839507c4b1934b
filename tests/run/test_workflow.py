"""Steps over one value: what is kept of a run however one of them ends."""

import io
from dataclasses import replace

import pytest
from support.playback import described, state

from bench.contract.errors import RunError
from bench.contract.machines import Machine
from bench.contract.run_json import RunDescription
from bench.plan.options import RunOptions
from bench.run.console import RunConsole
from bench.run.workflow import Run, make_folder, measure_run, prepare_run

MACHINE = Machine(cpu="Abacus", logical_cpus=1, memory_mib=1, gpus=(), system="Linux", flags={})
ABOUT = {"schema": 1, "id": "a-run", "reference": "jax", "workloads": (), "machine": MACHINE, "launches": 1}


def named(run):
    """A step that lets run.json say something."""
    return run.describing(prepared_by="jax")


def failing(error):
    def step(_run):
        raise error

    return step


@pytest.fixture
def begun(tmp_path):
    """A run about which nothing is known yet."""
    said = io.StringIO()
    options = RunOptions(output=tmp_path / "results")
    return Run(options=options, console=RunConsole(file=said, width=200), now=lambda: 7.0, began=4.0)


@pytest.fixture
def planned(begun):
    """A run that can be measured."""
    description = RunDescription(**ABOUT, plan=(), state="running")
    return replace(prepare_run(begun, [make_folder]), description=description, spent=10.0)


def test_run_json_is_written_between_the_steps(planned):
    seen = []
    done = measure_run(planned, [named, lambda run: seen.append(described(run.folder)) or run])

    assert [(one["prepared_by"], one["state"]) for one in seen] == [("jax", "running")]
    assert state(done.folder) == "finished"
    assert described(done.folder)["wall_seconds"] == 13.0


def test_an_interrupted_step_keeps_what_those_before_it_found(planned):
    done = measure_run(planned, [named, failing(KeyboardInterrupt()), failing(AssertionError("never taken"))])

    assert (state(done.folder), described(done.folder)["prepared_by"]) == ("interrupted", "jax")
    assert "interrupted: what was measured is kept" in planned.console.file.getvalue()


def test_a_step_that_fails_leaves_a_run_that_can_go_on(planned):
    with pytest.raises(ValueError, match="a fault of ours"):
        measure_run(planned, [named, failing(ValueError("a fault of ours"))])

    assert (state(planned.folder), described(planned.folder)["prepared_by"]) == ("interrupted", "jax")


def test_a_full_disk_ends_in_one_line_that_says_how_to_go_on(planned):
    with pytest.raises(RunError, match=f"No space left.*kept; mend it and go on with --resume {planned.folder.name}$"):
        measure_run(planned, [failing(OSError(28, "No space left on device"))])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_before_anything_is_measured_nothing_is_left_behind(begun, error):
    with pytest.raises(error):
        prepare_run(begun, [make_folder, failing(error())])

    assert not begun.options.output.exists()


def test_a_run_that_goes_on_keeps_its_folder_whatever_fails(begun, tmp_path):
    with pytest.raises(ValueError, match="too early"):
        prepare_run(replace(begun, continued=tmp_path), [make_folder, failing(ValueError("too early"))])

    assert tmp_path.exists()
