"""The order of the launches."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.case import Case, in_turns
from bench.plan.planned import PlannedCase, PlannedLaunch


def schedule(cases: Sequence[PlannedCase], seed: int, begun: int = 0) -> list[PlannedLaunch]:
    """Every launch in its order, until each case has its number of them; `begun` repetitions are there already.

    Repetition r takes seed + r, and its own order of groups and of backends within each. Rotated by half the repetition
    and turned round in every other one, three backends go through all six orders in six repetitions, so that a drift of
    the machine, or what a neighbour leaves behind, hits all of them alike. A group that takes fewer
    repetitions than another is left out in between, and so is a case of a group: all are spread over the same time, and
    of two cases of a group the one with more launches takes part in every repetition of the other.
    """
    wanted = {planned.case: planned.launches for planned in cases if planned.skip is None}
    most = max(wanted.values(), default=0)
    ordered = []
    for repetition in range(begun, most):
        groups = _groups(list(wanted))
        for group in groups[::-1] if repetition % 2 else groups:
            turn = repetition // 2 % len(group)
            order = group[turn:] + group[:turn]
            if repetition % 2:
                order.reverse()
            most_of_group = max(wanted[case] for case in group) - begun
            if _due(most_of_group, most - begun, repetition - begun):
                place = (repetition - begun) * most_of_group // (most - begun)
                rank = _ranks(most_of_group)[place]
                due = [case for case in order if rank < wanted[case] - begun]
                ordered += [PlannedLaunch(case, repetition, seed + repetition) for case in due]
    return ordered


def _ranks(repetitions: int) -> list[int]:
    """Van der Corput ranks of the repetitions: the first n are spread evenly, for every n.

    A case with fewer repetitions than another takes some of the other's, so all its launches have a partner.
    """
    digits = max(repetitions - 1, 1).bit_length()
    order = sorted(range(repetitions), key=lambda one: int(f"{one:0{digits}b}"[::-1], 2))
    return [order.index(repetition) for repetition in range(repetitions)]


def _due(launches: int, repetitions: int, repetition: int) -> bool:
    """Whether something is launched in this repetition, so that its launches are spread evenly over all of them."""
    return (repetition + 1) * launches // repetitions > repetition * launches // repetitions


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that take turns, together."""
    groups: dict[Case, list[Case]] = {}
    for case in cases:
        groups.setdefault(in_turns(case), []).append(case)
    return list(groups.values())
