"""An interruption while a process is being started: nobody may know the process yet, and it must not be left.

By SIGTERM, which ends a run as Ctrl-C does: a shell that starts the tests in the background lets them ignore Ctrl-C.
"""

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from bench.launch import ask as asking
from bench.launch import process as launching
from bench.launch import strays
from bench.launch.interruption import held_back, interruptible

HANGS = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"


def launch(tmp_path):
    launching.launch([sys.executable, "-c", f"{HANGS}; time.sleep(600)"], log=tmp_path / "log", limit_seconds=30.0)


def ask(tmp_path):
    (tmp_path / "hangs.py").write_text(f"{HANGS}; time.sleep(600)")
    asking.ask(sys.executable, "hangs")


def marked():
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(strays.MARK) == strays.mark():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("work", [launch, ask])
def test_an_interruption_in_the_midst_of_a_start_leaves_nothing(work, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    start = subprocess.Popen

    class Interrupted(start):
        def _execute_child(self, *words, **given):
            os.kill(os.getpid(), signal.SIGTERM)  # before anybody could know the process
            super()._execute_child(*words, **given)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        work(tmp_path)

    assert not marked()


@pytest.mark.parametrize("work", [launch, ask])
def test_an_interruption_of_what_is_waited_for_ends_its_children_too(work, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def interrupt():
        while len(marked()) < 2:  # it and its child
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with interruptible(), pytest.raises(KeyboardInterrupt):
        work(tmp_path)

    assert not marked()


def test_what_is_held_back_comes_once_and_afterwards():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("handled"))
    try:
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            came.append("within")
    finally:
        signal.signal(signal.SIGTERM, before)

    assert came == ["within", "handled"]
