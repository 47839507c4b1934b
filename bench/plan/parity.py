"""Which ladders are climbed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.parity import CLIMBS, EXACT, LADDER_NUMERICS
from bench.plan.options import RunOptions
from bench.plan.planned import Limits
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

    @property
    def title(self) -> str:
        """The ladder in a few words, for people."""
        return f"{self.backend} {self.device} {self.numerics} {self.variant}".strip()


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
    """
    planned = []
    every = tuple(dict.fromkeys(climb for track in ("fit", *tracks) for climb in CLIMBS.get(track, ())))
    for kind in LADDER_NUMERICS:
        for device in (device for device, kinds in numerics.items() if kind in kinds):
            for variant, backend in itertools.product(_variants(options, kind), options.training):
                skip = limits.without_variant.get((backend, variant))
                skip = skip or (limits.without_gpu.get(backend) if device == "gpu" else None)
                skip = skip or limits.lacking.get((device, kind)) or _refused(options, backend, limits)
                climbs = every if kind == EXACT else CLIMBS["fit"]
                planned.append(Ladder(backend, device, kind, climbs, skip, variant))
    return planned


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
