"""Which ladders are climbed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.contract.case import devices_in_words
from bench.contract.parity import CLIMBS, EXACT, LADDER_BATCH, LADDER_NUMERICS
from bench.plan.options import RunOptions
from bench.plan.planned import Limits, alone
from bench.plan.selection import Selection
from bench.plan.variants import NOTHING


@dataclass(frozen=True)
class Ladder:
    """One process that climbs for every workload and seed, or the reason why it is not climbed."""

    backend: str
    device: str
    numerics: str
    climbs: tuple[str, ...]
    skip: str | None = None
    variant: str = ""
    device_count: int = 1
    nudged: bool = False

    @property
    def title(self) -> str:
        """The ladder in a few words, for people."""
        several = devices_in_words(self.device_count) if self.device_count > 1 else ""
        return " ".join(filter(None, (self.backend, self.device, self.numerics, several, self.variant)))


def plan_ladders(
    options: Selection,
    tracks: Sequence[str],
    numerics: Mapping[str, Sequence[str]],
    limits: Limits,
) -> list[Ladder]:
    """One ladder for each backend that can train, device and numerics that `limits` do not rule out.

    `numerics` are those of each device.

    In exact mode it is climbed once for every track that has a ladder, otherwise for `fit` alone. Variants but the
    first, which differ in their environment, are climbed in exact mode, which tells whether they compute the same.
    So are several devices, each number of them held against one device of the same backend and variant: versions may
    share a batch in unlike ways.
    """
    planned = []
    counts = [count for count in getattr(options, "device_counts", ()) if count > 1 and not LADDER_BATCH % count]
    every = tuple(dict.fromkeys(climb for track in ("fit", *tracks) for climb in CLIMBS.get(track, ())))
    for kind in LADDER_NUMERICS:
        for device in (device for device, kinds in numerics.items() if kind in kinds):
            for variant, backend in itertools.product(_variants(options, kind), options.training):
                skip = limits.without_variant.get((backend, variant))
                skip = skip or (limits.without_gpu.get(backend) if device == "gpu" else None)
                skip = skip or limits.lacking.get((device, kind)) or _refused(options, backend, limits)
                climbs = every if kind == EXACT else CLIMBS["fit"]
                several = kind == EXACT and bool(counts)
                planned.append(Ladder(backend, device, kind, climbs, skip, variant, nudged=several))
                if several:
                    planned += _on_several(planned[-1], counts, limits)
    return planned


def _on_several(one: Ladder, counts: Sequence[int], limits: Limits) -> Iterator[Ladder]:
    """The ladders that are held against one device's, with what the workload declares as its optimizer."""
    for count in counts:
        skip = one.skip or alone(one.backend, one.device, count, limits)
        yield replace(one, climbs=CLIMBS["fit"], skip=skip, device_count=count, nudged=False)


def _variants(options: Selection, numerics: str) -> Sequence[str]:
    """The variants that are climbed in these numerics; where each trains a file of its own, files are climbed alike."""
    variants = options.variants if isinstance(options, RunOptions) else (NOTHING,)
    if variants[0].workload:
        return ("",)
    return [variant.name for variant in variants][: None if numerics == EXACT else 1]


def _refused(options: Selection, backend: str, limits: Limits) -> str | None:
    """Why a backend climbs nothing: it takes none of the workloads."""
    reasons = [limits.refused.get((backend, workload)) for workload in options.workloads]
    return reasons[0] if all(reasons) else None
