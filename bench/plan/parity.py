"""Which ladders are climbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.parity import CLIMBS, LADDER_NUMERICS
from bench.plan.options import Selection
from bench.plan.planned import Limits


@dataclass(frozen=True)
class Ladder:
    """One process that climbs for every workload and seed, or the reason why it is not climbed."""

    backend: str
    device: str
    numerics: str
    climbs: tuple[str, ...]
    skip: str | None = None

    @property
    def title(self) -> str:
        """The ladder in a few words, for people."""
        return f"{self.backend} {self.device} {self.numerics}"


def plan_ladders(
    options: Selection,
    tracks: Sequence[str],
    numerics: Mapping[str, Sequence[str]],
    limits: Limits,
) -> list[Ladder]:
    """One ladder for each backend that can train, device and numerics that `limits` do not rule out.

    `numerics` are those of each device.

    In exact mode it is climbed once for every track that has a ladder, otherwise for `fit` alone.
    """
    planned = []
    every = tuple(dict.fromkeys(climb for track in ("fit", *tracks) for climb in CLIMBS.get(track, ())))
    for kind in LADDER_NUMERICS:
        for device in (device for device, kinds in numerics.items() if kind in kinds):
            for backend in options.training:
                skip = limits.without_gpu.get(backend) if device == "gpu" else None
                skip = skip or limits.lacking.get((device, kind)) or _refused(options, backend, limits)
                climbs = every if kind == "float64" else CLIMBS["fit"]
                planned.append(Ladder(backend, device, kind, climbs, skip))
    return planned


def _refused(options: Selection, backend: str, limits: Limits) -> str | None:
    """Why a backend climbs nothing: it takes none of the workloads."""
    reasons = [limits.refused.get((backend, workload)) for workload in options.workloads]
    return reasons[0] if all(reasons) else None
