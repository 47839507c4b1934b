"""Which of the machines that a run finds are not of the kind that is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

Kind = dict[str, str]  # facts in which two have to agree to be alike, each in words


def unlike(kinds: Mapping[str, Kind], before: Mapping[str, Kind]) -> dict[str, str]:
    """Of nodes or their GPUs by name those that are not of the kind that is measured, each with the reason.

    That is the kind of a run that goes on, else the one of which there are most, of several the first.
    """
    counted = Counter(tuple(kind.items()) for kind in kinds.values())
    wanted = next(iter(before.values())) if before else dict(counted.most_common(1)[0][0]) if counted else {}
    reasons = {}
    for name, kind in kinds.items():
        differ = [
            f"{fact} {kind.get(fact, 'unknown')}, not {wanted.get(fact, 'unknown')}"
            for fact in dict.fromkeys([*kind, *wanted])
            if kind.get(fact) != wanted.get(fact)
        ]
        if differ:
            reasons[name] = f"unlike the others ({'; '.join(differ)}); --pool-unlike measures on all"
    return reasons
