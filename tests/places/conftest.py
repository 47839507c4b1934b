"""A Slurm job of three nodes, all of them this machine."""

import contextlib
import shutil
import signal
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from support.on_nodes import processes_of

STAND_IN = Path(__file__).parents[1] / "support" / "fake_srun.py"
CARDS = Path(__file__).parents[1] / "support" / "fake_cards"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Nodes n1, n2 and n3; `on(NODE)` gives what runs on one, `alive()` on any, `kill(NODE)` ends it."""
    programs, nodes = tmp_path / "programs", tmp_path / "nodes"
    programs.mkdir()
    nodes.mkdir()
    for name in ("srun", "scontrol"):
        shutil.copy(STAND_IN, programs / name)
        text = (programs / name).read_text().replace("/usr/bin/env python3", f"{sys.executable} -S")
        (programs / name).write_text(text)
        (programs / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1,n2,n3")
    monkeypatch.setenv("FAKE_NODES", str(nodes))

    def kill(node):
        for process in processes_of(nodes / node):
            with contextlib.suppress(psutil.NoSuchProcess):  # which has died with its parent
                process.kill()

    def on(node):
        return processes_of(nodes / node)

    def alive():
        return [process for node in ("n1", "n2", "n3") for process in on(node)]

    yield SimpleNamespace(kill=kill, on=on, alive=alive, folder=nodes)
    psutil.wait_procs(left := alive(), 10)
    assert [process for process in left if process.is_running()] == []


@pytest.fixture
def interrupted(job, bench):
    """Starts a run by its command and interrupts it; gives how it ended, and what is left alive on the nodes.

    Two launches at least are under way then, whose files with their number are at `under_way` below the nodes' folders.
    """

    def interrupt(under_way, *words):
        process = bench.start("run", *words, FAKE_FAULT="torch:hangs")
        deadline = time.monotonic() + 60
        while len(list(job.folder.glob(under_way))) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        return bench.end(process), psutil.wait_procs(job.alive(), 10)[1]

    return interrupt


@pytest.fixture
def cards(monkeypatch):
    """Two GPUs on every machine whose processes start from now on."""
    monkeypatch.setenv("PYTHONPATH", str(CARDS))
    monkeypatch.setenv("FAKE_CARDS", "H100,H100")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
