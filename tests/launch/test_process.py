"""One process, watched: one outcome whatever happens. The workers here are a few lines of Python each."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.contract.case import Case
from bench.contract.catalog import training_backends
from bench.launch import log
from bench.launch import process as launching
from bench.launch.process import launch
from bench.machine import environments
from bench.run.prepare import NODE

SEND = """
import os, socket, sys
channel = socket.socket(fileno=int(os.environ["BENCH_MESSAGES"]))
def send(text):
    channel.sendall(text.encode() + b"\\n")
    return channel.recv(1)
"""


@pytest.fixture
def work(tmp_path):
    def run(code, limit_seconds=30.0, on_message=lambda _message: None):
        command = [sys.executable, "-c", code]
        return launch(command, log=tmp_path / "log", limit_seconds=limit_seconds, on_message=on_message)

    return run


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_ends_well_is_ok(work, tmp_path):
    outcome = work("print('chatter')")

    assert (outcome.status, outcome.reason) == ("ok", "")
    assert (tmp_path / "log").read_text() == "chatter\n"


def test_a_failed_worker_is_explained_by_its_last_words(work):
    outcome = work("import sys; print('loading'); sys.exit('no module named jax')")

    assert (outcome.status, outcome.reason) == ("failed", "exit status 1: no module named jax")


def test_a_failed_worker_that_told_why_is_explained_by_that(work):
    outcome = work(SEND + """send('{"event": "failed", "reason": "labels from 0 to 12"}'); print('x'); sys.exit(1)""")

    assert outcome.reason == "labels from 0 to 12"


def test_a_killed_worker_is_explained_by_its_signal(work):
    outcome = work("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")

    assert (outcome.status, outcome.reason) == ("failed", "killed by signal 11 (SIGSEGV)")


@pytest.mark.parametrize("words", ["MemoryError", "RESOURCE_EXHAUSTED: Out of memory", "torch.OutOfMemoryError: CUDA"])
def test_a_worker_without_memory_is_told_apart(work, words):
    assert work(f"import sys; sys.exit({words!r})").status == "out of memory"


def test_a_worker_killed_by_the_kernel_for_want_of_memory_is_told_apart(work, monkeypatch):
    kills = iter([3, 4])
    monkeypatch.setattr(launching, "_oom_kills", lambda: next(kills))

    assert work("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").status == "out of memory"


def test_a_worker_past_its_limit_is_killed_with_its_children(work, tmp_path):
    children = tmp_path / "children"
    outcome = work(
        f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(children)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
""",
        limit_seconds=3.0,
    )

    assert (outcome.status, outcome.reason) == ("timeout", "no end after 3 s; killed")
    wait_until_gone([int(word) for word in children.read_text().split()])


def test_a_child_that_outlives_its_worker_is_ended(work, tmp_path):
    child = tmp_path / "child"
    outcome = work(
        f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(child)!r}, "w").write(str(child.pid))
"""
    )

    assert outcome.status == "ok"
    wait_until_gone([int(child.read_text())])


def wait_until_gone(pids):
    deadline = time.monotonic() + 10
    while any(alive(pid) and not zombie(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.01)


def zombie(pid):
    """Whether a process has ended and nobody has asked for its status: in a container, init may never do so."""
    try:
        with Path(f"/proc/{pid}/stat").open(encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_worker_waits_until_its_message_has_been_dealt_with(work):
    order = []
    outcome = work(
        SEND + """assert send('{"event": "epoch", "epoch": 0}') == b"."\nsend('{"event": "done"}')""",
        on_message=lambda message: order.append(message["event"]),
    )

    assert outcome.status == "ok"
    assert order == ["epoch", "done"]


def test_a_garbled_message_does_no_harm(work):
    assert work(SEND + "send('{garbled'); send('[1, 2]')").status == "ok"


def test_a_worker_that_dies_with_its_answer_unread_is_a_failure_like_any_other(work):
    code = SEND.replace("return channel.recv(1)", "pass")
    outcome = work(code + """for _ in range(3): send('{"event": "epoch"}')\nos.kill(os.getpid(), 9)""")

    assert outcome.reason == "killed by signal 9 (SIGKILL)"


def test_settings_for_pytest_do_not_reach_a_worker(work, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-disable")
    monkeypatch.setenv("PYTEST_PLUGINS", "logging")

    assert work("import os, sys; sys.exit(bool({'PYTEST_ADDOPTS', 'PYTEST_PLUGINS'} & set(os.environ)))").status == "ok"


def test_an_interpreter_that_cannot_be_started_is_a_failure_with_its_name(tmp_path):
    outcome = launch(["/nowhere/python"], log=tmp_path / "log", limit_seconds=1)

    assert outcome.status == "failed"
    assert "/nowhere/python" in outcome.reason


def test_an_endless_log_keeps_its_beginning_and_its_end(work, tmp_path, monkeypatch):
    monkeypatch.setattr(log, "KEPT_BYTES", 100)
    work("print('first'); print('x' * 10_000); print('last')")

    text = (tmp_path / "log").read_text()
    assert text.startswith("first")
    assert text.endswith("last\n")
    assert "bytes left out" in text
    assert len(text) < 300


def test_a_worker_that_ended_while_stopped_is_within_its_limit(work, monkeypatch):
    """As by Ctrl-Z: its last message and its end are there when this process wakes, and the limit has passed."""
    now, jumped = time.monotonic, []
    monkeypatch.setattr(launching.time, "monotonic", lambda: now() + 100 * bool(jumped))

    def wake(message):
        time.sleep(1.0)  # until the worker has ended
        jumped.append(message)

    outcome = work(SEND + """channel.sendall(b'{"event": "a"}\\n')""", limit_seconds=50.0, on_message=wake)

    assert outcome.status == "ok"


def test_an_interruption_while_a_worker_is_being_started_leaves_none(work, monkeypatch):
    started, start = [], subprocess.Popen

    def interrupted(*words, **given):
        started.append(start(*words, **given))
        raise KeyboardInterrupt

    monkeypatch.setattr(launching.subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work("import time; time.sleep(600)")

    started[0].stdout.close()
    started[0].wait(10)
    assert not alive(started[0].pid)


CASE = Case("mlp", "fashion_mnist", 256, 3, 32, "arrays", "", "cpu", "float32", "train", "fit")


def real_worker(backend, asked, *options):
    """The command of a launch in a backend's own environment that asks for a backend."""
    python = environments.interpreter(backend, {})
    assert python, environments.missing_reason(backend)
    return [sys.executable, *NODE, f"--python={python}", *replace(CASE, backend=asked).options(), "--seed=0", *options]


@pytest.mark.parametrize("backend", training_backends())
def test_an_environment_without_the_backend_says_so_to_its_parent(backend, tmp_path):
    other = "torch" if backend != "torch" else "jax"
    outcome = launch(real_worker(backend, other), log=tmp_path / "log", limit_seconds=120)

    assert outcome.status == "failed"
    assert outcome.reason == f"cannot import its backend: ModuleNotFoundError: No module named '{other}'"


@pytest.mark.parametrize("backend", training_backends())
def test_the_parent_hears_of_every_epoch(backend, tmp_path):
    heard = []
    command = real_worker(backend, backend, f"--benchmark-json={tmp_path / 'launch.json'}")
    outcome = launch(command, log=tmp_path / "log", limit_seconds=300, on_message=heard.append)

    assert (outcome.status, outcome.remark) == ("ok", "")
    assert [message["event"] for message in heard] == ["fit", "epoch", "epoch", "epoch", "evaluate"]
