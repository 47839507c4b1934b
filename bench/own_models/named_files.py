"""The files that a workload of the user's reads: those that its text names."""

from __future__ import annotations

import re
from pathlib import Path

ABSOLUTE = re.compile(r"""["'](/[^"'\n]+)["']""")


def named_files(workload: Path) -> tuple[Path, ...]:
    """The workload's own file and every other one that its text names by its whole path, as generated ones do."""
    named = map(Path, ABSOLUTE.findall(workload.read_text(encoding="utf-8", errors="replace")))
    return tuple(dict.fromkeys([workload, *(path for path in named if path.is_file())]))
