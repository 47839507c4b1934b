"""Parity across numbers of devices: what several compute, held against one device of the same backend in exact mode."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis.parity.distances import RUNGS
from bench.analysis.parity.recordings import Recording, rungs_of, title
from bench.analysis.parity.rounded import Row
from bench.analysis.parity.rows import ladder_rows
from bench.contract.backend_facts import Finding
from bench.contract.case import devices_in_words
from bench.contract.catalog import backend_names, facts_of
from bench.contract.parity import EXACT, KNOWN

SAME = ("workload", "backend", "device", "variant")  # of a ladder and the one that it is held against
EQUAL, EXCUSED, UNFINISHED = "equal", "known difference", "not climbed to the end"
ALIKE = "known difference, alike on two backends"
Place = tuple[str, str, str, str, int]  # of a ladder: SAME and the number of devices


class Shared(NamedTuple):
    """The rows of several devices' ladders, and of each ladder how it ended, in a word or two.

    `problems` are what broke, `remarks` what is known to differ, with its finding, and weights that devices disagree
    on.
    """

    rows: list[Row]
    outcomes: dict[Place, str]
    problems: list[str]
    remarks: list[str]


def compare_devices(recordings: Sequence[Recording], seeds: Sequence[int]) -> Shared:
    """Hold each recording of several devices against one device of the same backend."""
    found = Shared([], {}, [], [])
    ladders: dict[Place, list[Recording]] = {}
    for one in recordings:
        if one.about["device_count"] > 1 and one.about["numerics"] == EXACT:
            ladders.setdefault(_place(one), []).append(one)
    for place, climbed in ladders.items():
        rows = [row for one in climbed for row in _rows(one, recordings)]
        found.rows.extend(rows)
        found.outcomes[place] = _outcome(climbed, rows, seeds, found)
    excused = {place: climbed for place, climbed in ladders.items() if found.outcomes[place] == EXCUSED}
    _hold_together(excused, recordings, found)
    return found


def _hold_together(
    excused: Mapping[Place, Sequence[Recording]], recordings: Sequence[Recording], found: Shared
) -> None:
    """Hold ladders that differ from one device in the same known ways against each other, backend against backend.

    What is known to differ makes the same other computation on both, so that any other fault shows here.
    """
    groups: dict[tuple[Hashable, ...], list[Place]] = {}
    for place, climbed in excused.items():
        titles = tuple(one.title for one in differences(climbed[0]))
        groups.setdefault((place[0], *place[2:], titles), []).append(place)
    for group in groups.values():
        first = group[0]
        for place in group[1:]:
            seeds = {one.about["seed"]: one for one in excused[first]}
            pairs = [(one, seeds[one.about["seed"]]) for one in excused[place] if one.about["seed"] in seeds]
            rows = [row for ours, theirs in pairs for row in _judged(ours, _with_gradients(theirs, recordings))]
            found.rows.extend(rows)
            failed = next((row for row in rows if not row["passed"]), None)
            if failed is not None:
                several = devices_in_words(first[4])
                found.problems.append(
                    f"{_parting(failed, f'{first[1]} on {several}')}; both are known to differ from 1 device alike"
                )
                found.outcomes[place] = f"parts from {first[1]} at {failed['rung']}"
            elif rows:
                found.outcomes[first] = found.outcomes[place] = ALIKE


def _with_gradients(recording: Recording, recordings: Sequence[Recording]) -> Recording:
    """With one device's gradients, by which variables are measured and which several devices do not show."""
    one = _golden(recording, recordings)
    return (
        recording
        if one is None
        else Recording(recording.about, {**recording.rungs, "gradients": one.rungs["gradients"]})
    )


def differences(recording: Recording) -> list[Finding]:
    """What is known to differ on several devices of a recording's backend, for what its model has in it."""
    backend, kinds = recording.about["backend"], set(recording.about["kinds"].values())
    known = facts_of(backend).findings if backend in backend_names() else ()
    return [one for one in known if one.devices and any(re.fullmatch(one.layers, kind) for kind in kinds)]


def _place(recording: Recording) -> Place:
    about = recording.about
    return about["workload"], about["backend"], about["device"], about["variant"], about["device_count"]


def _golden(ours: Recording, recordings: Sequence[Recording]) -> Recording | None:
    """The ladder of one device, of the same seed, that a recording is held against; None where there is none."""
    wanted = {name: ours.about[name] for name in (*SAME, "seed", "track", "optimizer", "numerics")}
    fitting = (
        one
        for one in recordings
        if one.about["device_count"] == 1
        and not one.about["error"]
        and all(one.about[name] == value for name, value in wanted.items())
    )
    return next(fitting, None)


def _rows(ours: Recording, recordings: Sequence[Recording]) -> Iterator[Row]:
    golden = _golden(ours, recordings)
    if golden is not None:
        yield from _judged(ours, golden)


def _judged(ours: Recording, golden: Recording) -> Iterator[Row]:
    for row in ladder_rows(ours, golden, tuple(RUNGS)):
        yield {**row, "passed": bool(row["error"] <= row["tolerance"])}


def _parting(failed: Row, opponent: str) -> str:
    """Where a ladder parts, and how far."""
    return (
        f"parity: {title(failed)} part from {opponent} at {failed['rung']}, {_where(failed)}: "
        f"error {failed['error']:.1e}, tolerance {failed['tolerance']:.1e}, seed {failed['seed']}"
    )


def _outcome(climbed: Sequence[Recording], rows: Sequence[Row], seeds: Sequence[int], found: Shared) -> str:
    """How a ladder ended; says in `found` what broke, and what is known."""
    first = climbed[0]
    unlike = first.about["unlike"]
    if unlike:
        many = f" and {len(unlike) - 1} more" if len(unlike) > 1 else ""
        found.remarks.append(
            f"parity: {title(first.about)}: its devices disagree on {unlike[0]}{many}, which is not trained; what is "
            "evaluated has the first device's"
        )
    failed = next((row for row in rows if not row["passed"]), None)
    if failed is None:
        return _unfailed(climbed, rows, seeds, found)
    known = differences(first)
    said = _parting(failed, "1 device of it")
    if not known:
        found.problems.append(said)
        return f"parts at {failed['rung']}"
    titles = " and ".join(one.title for one in known)
    found.remarks.append(f"{said}; a known difference, {KNOWN}{titles}")
    return EXCUSED


def _unfailed(climbed: Sequence[Recording], rows: Sequence[Row], seeds: Sequence[int], found: Shared) -> str:
    """`equal` where a ladder was climbed whole for every seed, and held against one device."""
    first = climbed[0]
    held = {row["seed"] for row in rows}
    whole = all(rung in one.rungs for one in climbed for rung in rungs_of(one.about))
    if held >= set(seeds) and whole and not any(one.about["error"] for one in climbed):
        return EQUAL
    if not held:
        found.problems.append(f"parity: {title(first.about)}: no ladder of 1 device to be held against")
    return UNFINISHED


def _where(row: Any) -> str:
    return f"{row['location']} ({row['element']})" if row["element"] else str(row["location"])
