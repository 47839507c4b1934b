"""The ladders' recordings: read, and what is wrong with them before anything is compared."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.analysis.parity.distances import RECORDED_RUNGS, ROUNDED_RUNGS, SHARED_RUNGS, Array
from bench.contract.case import devices_in_words, stem
from bench.contract.parity import CLIMBS, EXACT, KNOWN, is_climbed, is_left_out
from bench.contract.run_json import ParityRun, RunDescription

LADDER = ["workload", "backend", "device", "numerics", "track", "optimizer", "variant"]
ABOUT = (*LADDER, "device_count", "seed", "error", "batches_digest", "unseen", "classes", "labels", "kinds", "unlike")
OLDER = {
    "optimizer": "own",
    "variant": "",
    "classes": True,
    "labels": 0,
    "kinds": {},
    "device_count": 1,
    "unlike": [],
}  # what recordings did not say when nothing else was climbed


class Recording(NamedTuple):
    """One ladder's file: what was climbed, and for each rung the arrays by location, in the order of their making."""

    about: dict[str, Any]
    rungs: dict[str, dict[str, Array]]


def load(folder: Path) -> tuple[list[Recording], list[str]]:
    """The recordings of a folder, exact mode's first, and in words which files could not be read."""
    recordings, problems = [], []
    for path in sorted(folder.glob("[!.]*.npz")):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                about = json.loads(str(archive["about"]))
                rungs: dict[str, dict[str, Array]] = {}
                for name in archive.files:
                    rung, slash, location = name.partition("/")
                    if slash:
                        array = archive[name]
                        parts = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
                        rungs.setdefault(rung, {})[location] = parts
            recordings.append(Recording({name: {**OLDER, **about}[name] for name in ABOUT}, rungs))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            problems.append(f"left out: {path.name}: not a readable recording ({type(error).__name__})")
    return sorted(recordings, key=lambda recording: recording.about["numerics"] != EXACT), problems


def ended_as_known(recordings: Sequence[Recording]) -> list[str]:
    """In words the ladders of exact mode that ended where a finding says why; other numerics are climbed without it."""
    return [
        f"parity: {title(one.about)}, seed {one.about['seed']}: ended early: {one.about['error']}"
        for one in recordings
        if _is_known(one)
    ]


def _is_known(recording: Recording) -> bool:
    return recording.about["numerics"] == EXACT and KNOWN in recording.about["error"]


def faults(recordings: Sequence[Recording], planned: ParityRun, description: RunDescription) -> list[str]:
    """What is wrong in words: recordings that are not there, ended early, are no numbers, or of something else."""
    return [
        *_unclimbed(planned, recordings, description),
        *_not_numbers(recordings),
        *_other_types(recordings),
        *_other_batches(recordings, description.reference),
    ]


def title(about: Any) -> str:
    """What tells one ladder from the others, for people."""
    track = "" if about["track"] == "fit" else f" {about['track']}"
    variant = f" {about['variant']}" if about["variant"] else ""
    several = f" {devices_in_words(about['device_count'])}" if about["device_count"] > 1 else ""
    place = f"{about['backend']} {about['device']}{track} {about['numerics']}"
    return f"{stem(about['workload'])} {place}{several}{variant}"


def _unclimbed(planned: ParityRun, recordings: Sequence[Recording], description: RunDescription) -> list[str]:
    """What was planned and is not there, with the reason."""
    problems = []
    there = {tuple(one.about[name] for name in (*LADDER, "device_count", "seed")) for one in recordings}
    for ladder in planned.ladders:
        several = devices_in_words(ladder.device_count) if ladder.device_count > 1 else ""
        name = " ".join(filter(None, (ladder.backend, ladder.device, ladder.numerics, several, ladder.variant)))
        if ladder.skip:
            continue
        if ladder.status != "ok":
            problems.append(f"parity: {name} was not climbed: {ladder.status}, {ladder.reason}")
            continue
        for workload, seed, climb in itertools.product(
            filter(is_climbed, description.workloads), planned.seeds, ladder.climbs
        ):
            key = (workload.workload, ladder.backend, ladder.device, ladder.numerics)
            if ladder.device_count > 1 and workload.without_devices:
                continue
            which = (*key, *climb.split("-"), ladder.variant, ladder.device_count, seed)
            if which not in there and not is_left_out(workload, climb):
                of = "" if climb in CLIMBS["fit"] else f" {climb}"
                problems.append(f"parity: {stem(workload.workload)}: {name}{of} left no recording of seed {seed}")
    for recording in recordings:
        missing = [rung for rung in _expected(recording) if rung not in recording.rungs]
        who = f"parity: {title(recording.about)}, seed {recording.about['seed']}"
        if _is_known(recording):
            continue  # a remark
        if recording.about["error"]:
            problems.append(f"{who}: ended early: {recording.about['error']}")
        elif missing:
            problems.append(f"{who}: not recorded: {', '.join(missing)}")
    return problems


def rungs_of(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The rungs of a whole ladder; track `native` shows no layers' outputs, several devices show training alone."""
    if about["device_count"] > 1:
        return SHARED_RUNGS
    rungs = RECORDED_RUNGS if about["numerics"] == EXACT else ROUNDED_RUNGS
    return tuple(rung for rung in rungs if rung != "outputs" or about["track"] != "native")


def _expected(recording: Recording) -> tuple[str, ...]:
    """The rungs that a recording has unless it ended early, as it does where a loss is no finite number."""
    rungs = rungs_of(recording.about)
    losses = recording.rungs.get("losses", {}).get("loss", np.zeros(1))
    return rungs if np.isfinite(losses).all() else rungs[: rungs.index("losses")]


def _other_types(recordings: Sequence[Recording]) -> list[str]:
    """Exact recordings that are not exact: a layer with a type of its own, or an operation that has no float64."""
    first: dict[tuple[str, str, str], dict[str, None]] = {}  # the backends, each once
    for recording in recordings:
        about = recording.about
        for location, kind in inexact_outputs(recording)[:1] if about["numerics"] == EXACT else ():
            first.setdefault((about["workload"], location, kind), {})[about["backend"]] = None
    return [
        f"parity: {stem(workload)}: layer {location} computes in {kind} on {', '.join(who)}, not float64"
        for (workload, location, kind), who in first.items()
    ]


def inexact_outputs(recording: Recording) -> list[tuple[str, str]]:
    """The layers whose outputs are floating-point numbers but not float64, and their types."""
    outputs = recording.rungs.get("outputs", {})
    return [
        (location, array.dtype.name)
        for location, array in outputs.items()
        if array.dtype.kind == "f" and array.dtype != np.float64
    ]


def _not_finite(array: Array) -> npt.NDArray[np.bool_]:
    return ~np.isfinite(array)


def _not_numbers(recordings: Sequence[Recording]) -> list[str]:
    """Where a recording first has a value that is not a number: the workload's fault, or the backend's."""
    first: dict[tuple[str, str], dict[str, dict[str, None]]] = {}  # by numerics the backends, each once
    for recording in recordings:
        for rung, arrays in recording.rungs.items():
            # Infinite outputs can be meant, as where attention is masked; infinite losses and gradients cannot.
            wrong = np.isnan if rung == "outputs" else _not_finite
            where = next((name for name, array in arrays.items() if wrong(array).any()), None)
            if where is not None:
                array = arrays[where]
                places = {"outputs": f"layer {where}", "losses": f"the loss of step {array.size}"}
                what = f"{places.get(rung, f'{rung}, {where},')} gives {array[wrong(array)].flat[0]}"
                kinds = first.setdefault((recording.about["workload"], what), {})
                kinds.setdefault(recording.about["numerics"], {})[recording.about["backend"]] = None
                break
    return [
        f"parity: {stem(workload)}: {what} in {kind} on {', '.join(backends)}"
        for (workload, what), kinds in first.items()
        for kind, backends in kinds.items()
    ]


def _other_batches(recordings: Sequence[Recording], reference: str) -> list[str]:
    """Recordings that did not see the reference's batches: what follows would mean nothing."""
    digests: dict[tuple[str, int], str] = {}
    started = [recording for recording in recordings if recording.about["batches_digest"]]
    for recording in sorted(started, key=lambda recording: recording.about["backend"] != reference):
        digests.setdefault((recording.about["workload"], recording.about["seed"]), recording.about["batches_digest"])
    return [
        f"parity: {title(recording.about)}, seed {recording.about['seed']}: its batches are not those of {reference}"
        for recording in started
        if recording.about["batches_digest"] != digests[recording.about["workload"], recording.about["seed"]]
    ]
