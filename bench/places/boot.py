"""The first program on a node: finds the suite there, or lays it, and becomes the program that launches.

It is sent as text to any Python from 3.11 on and reads frames from its standard input, so it imports nothing of ours
before the suite is found: where the node sees the same files under the same path (a shared folder), they are used as
they are, environments included. Otherwise they are laid under CACHE, and the environments are built there.
"""

import io
import json
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "keras-backend-benchmarks"
LENGTH = 8


def read() -> tuple[dict[str, Any], list[bytes]]:
    """A frame, as bench.places.frames packs it."""
    length = int.from_bytes(exactly(LENGTH), "big")
    content = json.loads(exactly(length))
    return content, [exactly(one) for one in content["parts"]]


def exactly(length: int) -> bytes:
    """So many bytes; the end of the program where there are no more."""
    found = b""
    while len(found) < length:
        chunk = os.read(0, length - len(found))  # unbuffered: what follows is for the next program
        if not chunk:
            sys.exit("the run has gone")
        found += chunk
    return found


def tell(content: dict[str, Any]) -> None:
    """Send a frame without bytes."""
    head = json.dumps({**content, "parts": []}).encode()
    sys.stdout.buffer.write(len(head).to_bytes(LENGTH, "big") + head)
    sys.stdout.flush()


def has(root: Path, digest: str) -> bool:
    """Whether the suite lies there as the run has it."""
    if not (root / "bench" / "places" / "code.py").is_file():
        return False
    command = [sys.executable, "-c", "import sys; from pathlib import Path; from bench.places import code; "]
    command[-1] += "print(code.digest(Path(sys.argv[1])))"
    done = subprocess.run([*command, str(root)], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() == digest


def laid(digest: str) -> Path:
    """The suite under this node's cache, where it is asked for unless it lies there already."""
    home = CACHE / (platform.node() or "node")  # one for each node: the cache may be on a shared folder
    root = home / digest[:16]
    if not has(root, digest):
        tell({"event": "wants", "what": "code"})
        _, (archive,) = read()
        partial = root.with_name(f"{root.name}.{os.getpid()}")
        zipfile.ZipFile(io.BytesIO(archive)).extractall(partial)
        (home / "environments").mkdir(exist_ok=True)
        (partial / ".nox").symlink_to(home / "environments")  # which later versions of the code go on using
        partial.rename(root)
    return root


def main() -> None:
    """Find or lay the suite, build the environment of the program that launches, and become it."""
    try:
        given, _ = read()
        root = Path(given["root"])
        root = root if has(root, given["digest"]) else laid(given["digest"])
        command = [sys.executable, "-m", "bench.machine.building", "bench"]
        built = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        python = root / ".nox" / "env-bench" / "bin" / "python"
        if built.returncode or not python.exists():
            last = (built.stderr.strip().splitlines() or ["it said nothing"])[-1]
            tell({"event": "refused", "reason": f"its environment cannot be built: {last}"})
            return
        os.chdir(root)
        os.execv(python, [str(python), "-m", "bench.places.agent"])  # noqa: S606 - no shell is what is wanted
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        tell({"event": "refused", "reason": f"the suite cannot be laid there: {error}"})


if __name__ == "__main__":
    main()
