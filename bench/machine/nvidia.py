"""NVIDIA's GPUs, found without importing a framework: which there are, who uses them, and which one is measured.

    python -m bench.machine.nvidia

prints what is found as one JSON line. Built to NVML's documentation and tested against a stand-in for the library; not
yet run on hardware.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bench.contract.errors import UsageError

AMPERE = 8.0  # the compute capability that brought TF32 and bfloat16 to the matrix units
IDLE_PERCENT = 10  # of the last second; a card that is used more is busy, whoever it is that uses it
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
CPU_WORD, CPU_WORDS = 64, 16  # NVML has a bit for each CPU, in words of so many; so many words as Linux has, too
CARDS = "BENCH_GPUS"  # the cards that a case on several devices may take, the chosen one first

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Gpu:
    """One card: its number as `nvidia-smi` has it, its memory in MiB, its compute capability, and who uses it now.

    What the driver does not tell is None; `processes` are those that compute on it.
    """

    index: int
    name: str
    uuid: str
    memory_mib: float | None
    capability: float | None
    power_limit_watts: float | None
    max_mhz: float | None
    busy_percent: float | None
    processes: tuple[int, ...]

    @property
    def in_use(self) -> str:
        """Who uses the card, in words; empty for an idle card."""
        if self.processes:
            return f"process {', '.join(map(str, self.processes))} computes on it"
        busy = self.busy_percent is not None and self.busy_percent >= IDLE_PERCENT
        return f"it was {self.busy_percent:.0f} % busy in the last second" if busy else ""


@dataclass(frozen=True)
class Found:
    """The driver's version, the newest CUDA that it supports as major and minor, and the cards that may be seen."""

    driver: str | None
    cuda: tuple[int, int] | None
    gpus: tuple[Gpu, ...]


NOTHING = Found(None, None, ())


def find(library: Any = None) -> Found:
    """The cards that CUDA_VISIBLE_DEVICES lets a process see, all where it is not set; nothing without a driver.

    Numbers in it count as `nvidia-smi` does, by the cards' place on the bus, which is what workers are told too.
    `library` is NVML's; by default the one that is installed.
    """
    try:
        nvml = library or importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # no package, no driver, a driver without a device: its errors are its own
        return NOTHING
    cards = []
    for index in range(or_default(nvml.nvmlDeviceGetCount, default=0)):
        handle = or_default(functools.partial(nvml.nvmlDeviceGetHandleByIndex, index), default=None)
        if handle is not None:  # a card that has fallen off the bus still has a number, but nothing else
            cards.append(_card(nvml, index, handle))
    cuda = or_default(nvml.nvmlSystemGetCudaDriverVersion, default=0)
    driver = or_default(nvml.nvmlSystemGetDriverVersion, default=None)
    return Found(driver, (cuda // 1000, cuda % 1000 // 10) if cuda else None, _visible(cards, os.environ.get(VISIBLE)))


def _card(nvml: Any, index: int, handle: Any) -> Gpu:
    capability = or_default(lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle), default=None)
    return Gpu(
        index=index,
        name=or_default(lambda: str(nvml.nvmlDeviceGetName(handle)), default="NVIDIA GPU"),
        uuid=or_default(lambda: str(nvml.nvmlDeviceGetUUID(handle)), default=""),
        memory_mib=or_default(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**20, default=None),
        capability=capability and float(f"{capability[0]}.{capability[1]}"),
        power_limit_watts=or_default(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000, default=None),
        max_mhz=or_default(lambda: float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)), default=None),
        busy_percent=or_default(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu), default=None),
        processes=or_default(
            lambda: tuple(int(one.pid) for one in nvml.nvmlDeviceGetComputeRunningProcesses(handle)), default=()
        ),
    )


def or_default(question: Callable[[], Answer], default: Answer) -> Answer:
    try:
        return question()
    except Exception:  # NVML has an error of its own for each card that does not support a question
        return default


def _visible(cards: Sequence[Gpu], words: str | None) -> tuple[Gpu, ...]:
    """As CUDA reads the variable: a word that names no card hides those after it."""
    if words is None:
        return tuple(cards)
    seen: list[Gpu] = []
    for word in (word.strip() for word in words.split(",")):
        named = [
            card for card in cards if word == str(card.index) or (word[:4] == "GPU-" and card.uuid.startswith(word))
        ]
        if len(named) != 1:
            break
        seen += named
    return tuple(seen)


def choose_several(found: Found, number: int | None, shared: bool, count: int) -> tuple[Gpu, ...]:
    """The card that is measured, see `choose`, and up to `count` - 1 more for cases on several, idle ones first.

    Only the processes of such a case see these; in use, and not `shared`, a card is none of them.
    """
    first = choose(found, number, shared)
    others = [gpu for gpu in found.gpus if gpu.index != first.index and (shared or not gpu.in_use)]
    cards = (first, *sorted(others, key=lambda gpu: bool(gpu.in_use))[: count - 1])
    os.environ[CARDS] = ",".join(str(gpu.index) for gpu in cards)
    return cards


def choose_each(found: Found, shared: bool) -> tuple[Gpu, ...]:
    """The cards that are measured side by side: all that may be seen and that nobody else uses, those too if `shared`.

    Raises UsageError where all are in use.
    """
    cards = tuple(gpu for gpu in found.gpus if shared or not gpu.in_use)
    if found.gpus and not cards:
        who = "; ".join(f"GPU {gpu.index} ({gpu.name}): {gpu.in_use}" for gpu in found.gpus)
        raise UsageError(f"every GPU is in use: {who}; wait for the end of one, or say --shared-gpu")
    return cards


def choose(found: Found, number: int | None, shared: bool) -> Gpu:
    """The card that is measured, number `number` or the first that may be seen; workers will see it alone.

    Raises UsageError for a number that is not there, and for a card that somebody else uses, unless `shared`.
    """
    there = {gpu.index: gpu for gpu in found.gpus}
    card = there.get(number) if number is not None else found.gpus[0]
    if card is None:
        listed = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in found.gpus) or "none"
        raise UsageError(f"--gpu {number}: no such GPU may be seen here; there are: {listed}")
    if card.in_use and not shared:
        idle = [str(gpu.index) for gpu in found.gpus if not gpu.in_use]
        other = f", measure another (--gpu {' or '.join(idle)})" if idle else ""
        raise UsageError(
            f"GPU {card.index} ({card.name}) is in use: {card.in_use}; wait for its end{other}, or say --shared-gpu"
        )
    os.environ |= settings_for(card.index)
    return card


def settings_for(index: int) -> dict[str, str]:
    """The environment variables of a process that is to see one card alone."""
    return {ORDER: "PCI_BUS_ID", VISIBLE: str(index)}


def near(index: int, library: Any = None) -> frozenset[int]:
    """The CPUs on a card's side of the machine, as the driver names them; empty where it does not."""

    def asked() -> frozenset[int]:
        nvml = library or importlib.import_module("pynvml")
        nvml.nvmlInit()
        words = nvml.nvmlDeviceGetCpuAffinity(nvml.nvmlDeviceGetHandleByIndex(index), CPU_WORDS)
        numbers = range(CPU_WORDS * CPU_WORD)
        return frozenset(cpu for cpu in numbers if int(words[cpu // CPU_WORD]) >> cpu % CPU_WORD & 1)

    return or_default(asked, default=frozenset())


def prefix(count: int = 1) -> list[str]:
    """The beginning of a command that runs on the chosen card, or on `count` of them, when typed by hand."""
    given = {name: os.environ[name] for name in (ORDER, VISIBLE) if name in os.environ}
    if count > 1:
        given[VISIBLE] = ",".join(os.environ.get(CARDS, "").split(",")[:count])
    return _env(given)


def prefix_for(index: int) -> list[str]:
    """The beginning of a command that runs on one card, whichever is chosen here."""
    return _env(settings_for(index))


def _env(settings: Mapping[str, str]) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in settings.items())]


def lacking(gpus: Sequence[Gpu]) -> dict[tuple[str, str], str]:
    """The numerics that a device here does not have, each with the reason: `(device, numerics)` to words."""
    capabilities = [gpu.capability for gpu in gpus if gpu.capability is not None]
    missing = {("cpu", "tf32"): "a CPU has no TF32"}
    if capabilities and min(capabilities) < AMPERE:
        for kind in ("tf32", "bfloat16"):
            missing["gpu", kind] = (
                f"{kind} needs a GPU of compute capability {AMPERE}, this one has {min(capabilities)}"
            )
    return missing


if __name__ == "__main__":
    print(json.dumps(asdict(find())))
