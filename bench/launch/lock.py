"""One run at a time on a machine: two would slow each other, and neither would know."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.contract.errors import UsageError

LONGEST = 20  # characters of the file that are believed to be a process's number
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what a file system says that has none


def path() -> Path:
    """The lock's file, the same for every run on this machine: in TMPDIR, by default /tmp."""
    return Path(tempfile.gettempdir()) / "keras-backend-benchmarks.lock"


_held: list[str] = []  # the identity of the file that this process holds


def identity() -> str:
    """The identity of the lock's file: of the one this process holds, else of the one on disk; empty without one."""
    try:
        return _held[0] if _held else _identity(path().stat())
    except OSError:
        return ""


def _identity(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the lock; UsageError, naming the other's process, while another run holds it.

    The kernel lets go of it when its holder ends, however that ends. So a file that lies there without being held is
    stale, and is taken over.
    """
    import filelock  # late: commands are parsed without it

    # The kernel's lock or none: another would outlive its holder.
    lock = filelock.FileLock(path(), mode=0o666, fallback_to_soft=False, preserve_lock_file=True, on_acquired=_sign)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UsageError(_refusal(_holder())) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:  # where nothing can be told
            reason = f"cannot be the lock of this machine's runs ({error.strerror}); remove it"
            raise UsageError(f"{path()}: {reason}") from None
    try:
        yield
    finally:
        _held.clear()
        lock.release()


def _sign(descriptor: int) -> None:
    """Write into the file who holds it."""
    _held.append(_identity(os.fstat(descriptor)))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _holder() -> str:
    """The process that holds the lock; empty where its file does not say."""
    try:
        return path().read_text(encoding="utf-8", errors="replace")[:LONGEST].strip()
    except OSError:
        return ""


def _refusal(holder: str) -> str:
    return (
        f"another run is under way on this machine (process {holder or 'unknown'}), and two would slow each other; "
        f"wait for its end, or end it{' with: kill ' + holder if holder else ''}"
    )
