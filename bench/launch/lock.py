"""One run at a time on a machine: two would slow each other, and neither would know."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.contract.errors import UsageError

FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC  # in a folder where everybody may write, a link is not followed
LONGEST = 20  # characters of the file that are believed to be a process's number


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
    descriptor = _opened()
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, LONGEST).decode(errors="replace").strip()
            raise UsageError(
                f"another run is under way on this machine (process {holder or 'unknown'}), and two would slow each "
                f"other; wait for its end, or end it{' with: kill ' + holder if holder else ''}"
            ) from None
        except OSError:  # a file system without locks: nothing can be told
            yield
            return
        with contextlib.suppress(OSError):  # another user's file
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _held.append(_identity(os.fstat(descriptor)))
        yield
    finally:
        _held.clear()
        os.close(descriptor)


def _opened() -> int:
    """The lock's file, made where it is missing, for all users to write; another's that cannot be written is read."""
    with contextlib.suppress(FileExistsError):  # another run made it in between
        descriptor = os.open(path(), os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor
    try:
        return os.open(path(), os.O_RDWR | FLAGS)
    except PermissionError:
        return os.open(path(), os.O_RDONLY | FLAGS)
    except OSError as error:
        raise UsageError(f"{path()}: cannot be the lock of this machine's runs ({error.strerror}); remove it") from None
