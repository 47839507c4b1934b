"""Noise gauges: what else went on while an epoch was timed; read outside the timed span, None where unknown."""

import gc
import hashlib
import os
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.worker.timing.nvml import Gpu

PROC, SYS = Path("/proc"), Path("/sys")
PROBED = bytes(2**18)  # stays in a core's own cache
PROBES = 8  # about a millisecond in all


class Counters(NamedTuple):
    """What has been counted so far: seconds of this process, ticks of the CPUs that it may use, all together.

    `wait_seconds` is the time that this process's threads were ready to run and no CPU was free for them.
    """

    cpu_seconds: float
    involuntary_switches: int
    wait_seconds: float | None
    busy_seconds: float
    stolen_ticks: int
    total_ticks: int
    full_collections: int


@dataclass(frozen=True)
class Noise:
    """What one epoch's gauges say.

    Attributes:
        steal_fraction: of the machine's time, what its host gave to other machines.
        other_cpu_seconds: CPU time that other processes took, rounded to ticks (a little below 0 is rounding).
        wait_seconds: that threads of this process were ready and no CPU was free, summed over threads.
        involuntary_switches: how often a thread was taken off its CPU.
        full_collections: how often Python's collector walked every object, which an epoch of torch waits for.
        probe_seconds: what a fixed piece of single-threaded work took, the mean of before and after the epoch.
        load: the mean number of processes that wanted to run, over a minute.
        frequency_mhz: the CPUs' mean; on virtual machines often a constant.
        temperature_celsius: the hottest zone's.
        gpu: what the driver tells of the GPU after the epoch, and the energy that it took.
    """

    steal_fraction: float | None
    other_cpu_seconds: float | None
    wait_seconds: float | None
    involuntary_switches: float
    full_collections: float
    probe_seconds: float
    load: float | None
    frequency_mhz: float | None
    temperature_celsius: float | None
    gpu: Gpu

    def shared(self, epochs: int) -> "Noise":
        """What each of so many epochs has of it; what is no sum stays as it is."""
        if epochs == 1:
            return self
        sums = ("other_cpu_seconds", "wait_seconds", "involuntary_switches", "full_collections")
        shares: dict[str, Any] = {
            name: None if (found := getattr(self, name)) is None else found / epochs for name in sums
        }
        joules = self.gpu.gpu_joules
        gpu = self.gpu._replace(gpu_joules=None if joules is None else joules / epochs)
        return replace(self, **shares, gpu=gpu)

    def to_json(self) -> dict[str, Any]:
        """The gauges' fields of an epoch in the record."""
        return {**{name: value for name, value in vars(self).items() if name != "gpu"}, **self.gpu._asdict()}


def counters(proc: Path = PROC) -> Counters:
    """The counters now; the machine's are 0 where the system does not tell them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ticks = _ticks(proc)
    user, nice, system, _idle, _iowait, irq, softirq, stolen = ticks
    busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    collections = gc.get_stats()[-1]["collections"]
    return Counters(time.process_time(), used.ru_nivcsw, _wait_seconds(proc), busy, stolen, sum(ticks), collections)


def _ticks(proc: Path) -> list[int]:
    """User, nice, system, idle, iowait, irq, softirq and stolen ticks of the CPUs that this process may use."""
    usable = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    try:
        lines = [line.split() for line in (proc / "stat").read_text().splitlines()]
        found = [[int(word) for word in line[1:9]] for line in lines if line[:1] and line[0] in usable]
    except (OSError, ValueError):
        found = []
    return [sum(column) for column in zip(*found, strict=True)] or [0] * 8


def _wait_seconds(proc: Path) -> float | None:
    """The second number of each thread's schedstat, in nanoseconds. A thread that has ended takes its share along."""
    total = 0
    try:
        for thread in (proc / "self" / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


def probe() -> float:
    """Seconds that a fixed piece of work takes on one CPU; its clock and what shares its core slow it down."""
    began = time.perf_counter()
    for _ in range(PROBES):
        hashlib.sha256(PROBED)
    return time.perf_counter() - began


def noise(before: Counters, after: Counters, probes: tuple[float, float], gpu: Gpu) -> Noise:
    """The differences between two readings."""
    ticks = after.total_ticks - before.total_ticks
    own = after.cpu_seconds - before.cpu_seconds
    return Noise(
        steal_fraction=(after.stolen_ticks - before.stolen_ticks) / ticks if ticks > 0 else None,
        other_cpu_seconds=after.busy_seconds - before.busy_seconds - own if ticks > 0 else None,
        wait_seconds=(
            None
            if before.wait_seconds is None or after.wait_seconds is None
            else max(0.0, after.wait_seconds - before.wait_seconds)
        ),
        involuntary_switches=after.involuntary_switches - before.involuntary_switches,
        full_collections=after.full_collections - before.full_collections,
        probe_seconds=sum(probes) / 2,
        load=_load(),
        frequency_mhz=_frequency_mhz(),
        temperature_celsius=_temperature_celsius(),
        gpu=gpu,
    )


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _frequency_mhz(proc: Path = PROC) -> float | None:
    try:
        lines = (proc / "cpuinfo").read_text(encoding="utf-8").splitlines()
        found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    except (OSError, ValueError):
        found = []
    return sum(found) / len(found) if found else None


def _temperature_celsius(sys: Path = SYS) -> float | None:
    found = []
    for zone in (sys / "class" / "thermal").glob("thermal_zone*/temp"):
        try:
            found.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):
            continue
    return max(found, default=None)
