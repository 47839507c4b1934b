"""The lock that a run holds."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.launch import lock

TRY = """
from bench.contract.errors import UsageError
from bench.launch import lock
try:
    with lock.alone():
        print("held")
except UsageError as error:
    print(error)
"""


def another():
    """What another process says that wants the lock."""
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip()


def test_who_holds_the_lock_is_told_and_stays_written_in_it():
    with lock.alone():
        refusal = another()
        said = lock.path().read_text()

    assert f"another run is under way on this machine (process {os.getpid()})" in refusal
    assert refusal.endswith(f"end it with: kill {os.getpid()}")
    assert said == f"{os.getpid()}\n"
    assert another() == "held"


def test_every_user_may_write_the_locks_file():
    before = os.umask(0o077)
    try:
        with lock.alone():
            assert lock.path().stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_a_link_in_the_locks_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    lock.path().symlink_to(tmp_path / "precious")

    with pytest.raises(UsageError, match=r"cannot be the lock of this machine's runs .*; remove it"), lock.alone():
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_lock_whose_file_is_replaced_is_still_known_by_its_own():
    with lock.alone():
        own = lock.identity()
        lock.path().rename(lock.path().with_name("elsewhere"))
        lock.path().write_text("")

        assert lock.identity() == own
    assert lock.identity() not in ("", own)


def test_on_a_file_system_without_locks_a_run_begins_all_the_same(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    begun = []
    with lock.alone():
        begun.append(1)
    assert begun
