"""Which versions of a package are published, as pip sees them: its settings of an index are honoured."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.contract.errors import UsageError
from bench.machine.variants import reason_of

AVAILABLE = "Available versions:"
EARLY = re.compile(r"[a-z]", re.IGNORECASE)  # of a version that pip takes only where asked: 1.0rc1, 1.0.dev2


def versions(python: Path, package: str, early: bool, environment: Mapping[str, str] | None = None) -> list[str]:
    """The versions that can be installed for an interpreter, oldest first; early ones (dev, rc) too where `early`.

    `environment` has pip's settings, by default this process's own. UsageError where pip finds none.
    """
    command = [str(python), "-m", "pip", "index", "versions", package, *(["--pre"] if early else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith(AVAILABLE)), None)
    if done.returncode or line is None:
        raise UsageError(f"--package {package}: pip finds no versions of it: {reason_of(done.stderr)}")
    found = [version.strip() for version in line.removeprefix(AVAILABLE).split(",")]
    return found[::-1]


def is_early(version: str) -> bool:
    """Whether pip takes this version only where early ones are asked for."""
    return EARLY.search(version.partition("+")[0].replace("post", "")) is not None
