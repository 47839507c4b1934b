"""What run.json says of a machine that was measured on: its fingerprint, checked."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from bench.contract.typed import Amount, Number, Typed, Whole


class Gpu(Typed, frozen=True, kw_only=True):
    """What a figure depends on of the GPU that is measured."""

    name: str | None = None
    memory_mib: Number | None = None
    power_limit_watts: Number | None = None
    max_mhz: Number | None = None
    driver: str | None = None
    cuda: str | None = None


class MeasuredGpu(Gpu, frozen=True, kw_only=True):
    """One of the GPUs of a node that had a launch on each at once; `index` is its number, as nvidia-smi counts."""

    index: Whole

    @property
    def kind(self) -> dict[str, str]:
        """In what two GPUs have to agree to be alike, besides what their nodes have to."""
        facts = {f"GPU {name}": str(getattr(self, name)) for name in ("power_limit_watts", "max_mhz")}
        memory = "unknown" if self.memory_mib is None else f"{self.memory_mib / 1024:.0f} GiB"
        return {"GPU": str(self.name), "GPU memory": memory, **facts}


class Machine(Typed, frozen=True, kw_only=True):
    """The machine's fingerprint; what earlier versions did not record is UNSET.

    `measured_gpus` is there for a node of a cluster whose GPUs had a launch each at once.
    """

    cpu: str
    logical_cpus: Whole | None
    physical_cpus: Whole | UnsetType | None = UNSET
    usable_cpus: tuple[Whole, ...] | UnsetType | None = UNSET
    memory_mib: Amount | None
    gpus: tuple[str, ...]
    gpu: Gpu | UnsetType | None = UNSET
    measured_gpus: tuple[MeasuredGpu, ...] | UnsetType = UNSET
    system: str
    python: str | UnsetType = UNSET
    load_average: tuple[Number, ...] | UnsetType = UNSET
    flags: dict[str, str]

    def part(self, name: str) -> object:
        """One of the fields by name; None where it was not recorded."""
        value = getattr(self, name)
        return None if value is UNSET else value

    @property
    def cards(self) -> tuple[MeasuredGpu, ...]:
        """The GPUs of the node that had a launch each at once; none where a launch had the machine to itself."""
        return self.measured_gpus if isinstance(self.measured_gpus, tuple) else ()

    @property
    def kind(self) -> dict[str, str]:
        """In what two machines have to agree to be alike: what figures depend on. What was not recorded is left out."""
        facts = {
            "CPU": self.cpu,
            "logical CPUs": str(self.logical_cpus),
            "GPUs": ", ".join(self.gpus) or "none",
            "flags": ", ".join(f"{name}={value}" for name, value in self.flags.items()) or "none set",
        }
        if self.memory_mib is not None:
            facts["memory"] = f"{self.memory_mib / 1024:.0f} GiB"  # of two alike one may have a few MiB less
        if isinstance(self.usable_cpus, tuple):
            facts["usable CPUs"] = str(len(self.usable_cpus))  # which of them they are is a matter of the place
        if isinstance(self.gpu, Gpu):
            facts |= {
                f"GPU {name}": str(getattr(self.gpu, name)) for name in ("driver", "power_limit_watts", "max_mhz")
            }
        return facts
