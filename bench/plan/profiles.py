"""How much a run measures, by the name of a profile."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract.case import QUICK_EPOCHS


@dataclass(frozen=True)
class Profile:
    """How much a run measures where the options do not say; None means all workloads, and the workload's own epochs."""

    workloads: tuple[str, ...] | None
    launches: int
    epochs: int | None
    help: str


PROFILES = {
    "quick": Profile(("mlp", "cnn"), 1, QUICK_EPOCHS, "a smoke test: few samples, one launch"),
    "default": Profile(("mlp", "cnn"), 5, None, "mlp and cnn, five launches, large workloads cut on a CPU"),
    "full": Profile(None, 10, None, "every workload on all its samples, ten launches"),
}
