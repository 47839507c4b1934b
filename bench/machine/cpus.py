"""The machine's CPUs shared out among its GPUs: whole cores, as many for each, and near it where that can be."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from bench.contract.errors import UsageError

SYS = Path("/sys/devices/system/cpu")
Core = tuple[int, ...]  # the numbers of its CPUs, two where it runs two threads at once


def cores(usable: Iterable[int], root: Path = SYS) -> list[Core]:
    """The cores that have these CPUs, those of a socket side by side; each CPU is one where the system does not say."""
    found: dict[tuple[str, str], list[int]] = {}  # by socket, and by the CPUs of the whole core
    for cpu in sorted(usable):
        of_cpu = root / f"cpu{cpu}" / "topology"
        where = _read(of_cpu / "physical_package_id"), _read(of_cpu / "thread_siblings_list") or str(cpu)
        found.setdefault(where, []).append(cpu)
    return [tuple(found[where]) for where in sorted(found, key=lambda where: (len(where[0]), where[0]))]


def shares(near: Sequence[Collection[int]], among: Sequence[Core]) -> list[tuple[int, ...]]:
    """CPUs for each of several processes, none twice, with as many cores for each.

    `near` has for each the CPUs that it should have where there are enough; empty where that does not matter.
    UsageError where there are fewer cores than processes: two on one core would slow each other.
    """
    size = len(among) // len(near)
    if not size:
        cpus = f"{len(among)} CPU core{'s' if len(among) > 1 else ''} may be used for {len(near)} GPUs"
        raise UsageError(f"{cpus}, and each launch needs one of its own; leave --per out, or let fewer GPUs be seen")
    free, taken = list(among), [list[Core]() for _ in near]
    for only_near in (True, False):  # what is near goes to its own first
        for wanted, own in zip(near, taken, strict=True):
            chosen = [core for core in free if not only_near or set(core) <= set(wanted)][: size - len(own)]
            own += chosen
            free = [core for core in free if core not in chosen]
    return [tuple(sorted(cpu for core in own for cpu in core)) for own in taken]


def here() -> list[Core]:
    """The cores that this process may run on."""
    return cores(os.sched_getaffinity(0))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
