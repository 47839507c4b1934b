"""The noise gauges, from made-up files of the system and a stand-in for NVML."""

import os
import sys
from types import SimpleNamespace

import pytest

from bench.worker.timing import gauges, nvml
from bench.worker.timing.gauges import Counters
from bench.worker.timing.nvml import Gpu

QUIET = Counters(1.0, 10, 0.5, 100.0, 5, 1_000, 2)


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A system's counters; the process may use the first and the third of its CPUs."""
    monkeypatch.setattr(gauges.os, "sysconf", lambda _name: 100)
    monkeypatch.setattr(gauges.os, "sched_getaffinity", lambda _process: {0, 2})
    (tmp_path / "stat").write_text(
        "cpu  99 99 99 99 99 99 99 99 99 99\ncpu0 10 20 30 40 50 60 90 80 90 100\n"
        "cpu1 77 77 77 77 77 77 77 77 77 77\ncpu2 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
    )
    for thread, waited in (("1", 2_000_000), ("2", 3_000_000)):
        (tmp_path / "self" / "task" / thread).mkdir(parents=True)
        (tmp_path / "self" / "task" / thread / "schedstat").write_text(f"123 {waited} 4\n")
    return tmp_path


def noise(after):
    return gauges.noise(QUIET, after, (0.002, 0.004), Gpu())


def test_the_counters_are_those_of_the_cpus_that_the_process_may_use(proc):
    found = gauges.counters(proc)

    assert (found.stolen_ticks, found.total_ticks) == (81, 388)  # guest time is part of user time already
    assert found.busy_seconds == pytest.approx(2.15)  # neither idle, nor waiting for a disk, nor stolen
    assert found.wait_seconds == pytest.approx(0.005)


def test_where_the_system_tells_nothing_the_gauges_are_unknown(tmp_path):
    found = gauges.counters(tmp_path)
    told = gauges.noise(found, found, (0.001, 0.001), Gpu())

    assert (told.steal_fraction, told.other_cpu_seconds, told.wait_seconds) == (None, None, None)


def test_steal_is_a_share_of_the_machines_time():
    assert noise(QUIET._replace(stolen_ticks=15, total_ticks=1_200)).steal_fraction == 0.05


def test_what_others_took_is_the_machines_work_less_ours():
    after = QUIET._replace(cpu_seconds=2.5, busy_seconds=102.0, total_ticks=1_200)

    assert noise(after).other_cpu_seconds == pytest.approx(0.5)


def test_waiting_switches_and_collections_are_those_of_the_epoch():
    told = noise(QUIET._replace(wait_seconds=0.75, involuntary_switches=17, full_collections=3))

    assert (told.wait_seconds, told.involuntary_switches, told.full_collections) == (0.25, 7, 1)


def test_a_thread_that_ended_meanwhile_does_not_make_the_wait_negative():
    assert noise(QUIET._replace(wait_seconds=0.1)).wait_seconds == 0.0


def test_the_probe_counts_with_the_mean_of_before_and_after():
    assert noise(QUIET).probe_seconds == pytest.approx(0.003)
    assert gauges.probe() > 0


def test_temperature_and_frequency_are_told_where_the_system_has_them(tmp_path):
    zones = [tmp_path / "class" / "thermal" / f"thermal_zone{number}" for number in range(2)]
    for zone, millidegrees in zip(zones, (41_000, 55_500), strict=True):
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{millidegrees}\n")
    (tmp_path / "cpuinfo").write_text("cpu MHz\t\t: 2000.0\nmodel\t: 1\ncpu MHz\t\t: 3000.0\n")

    assert gauges._temperature_celsius(tmp_path) == 55.5
    assert gauges._frequency_mhz(tmp_path) == 2_500.0
    assert gauges._temperature_celsius(tmp_path / "nowhere") is None
    assert gauges._frequency_mhz(tmp_path / "nowhere") is None


def process(number, used):
    return SimpleNamespace(pid=number, usedGpuMemory=used)


@pytest.fixture
def driver(monkeypatch):
    """A stand-in for pynvml with one busy card, which notes how it was asked for."""
    asked = []
    library = SimpleNamespace(
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: asked.append(index) or "card",
        nvmlDeviceGetHandleByUUID=lambda name: asked.append(name) or "card",
        nvmlDeviceGetClockInfo=lambda _card, _kind: 1_980,
        nvmlDeviceGetPowerUsage=lambda _card: 412_345,
        nvmlDeviceGetTemperature=lambda _card, _kind: 61,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _card: 0x4,
        nvmlDeviceGetTotalEnergyConsumption=lambda _card: 98_765_432,
        nvmlDeviceGetComputeRunningProcesses=lambda _card: [process(os.getpid(), 2**30)],
        asked=asked,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return library


@pytest.mark.usefixtures("driver")
def test_a_gpus_clock_power_and_heat_are_read_from_the_driver():
    found = nvml.gauge()()

    assert found[:4] == (1_980.0, 412.345, 61.0, 0.0)  # the power cap alone is no disturbance
    assert found[4:] == (98_765.432, 1_024.0, 0.0)


OTHER = process(1, 5 * 2**30)


@pytest.mark.parametrize(
    ("processes", "held", "others"),
    [
        ([process(os.getpid(), 2**30), OTHER, OTHER], 1_024.0, 2.0),
        ([OTHER], 5 * 1_024.0, 0.0),  # in a container it has another number, and is alone
        ([OTHER, OTHER], None, 1.0),
        ([process(os.getpid(), None)], None, 0.0),
        ([], None, 0.0),
    ],
)
def test_this_process_memory_and_the_cards_others_are_told(driver, processes, held, others):
    driver.nvmlDeviceGetComputeRunningProcesses = lambda _card: processes
    found = nvml.gauge()()

    assert (found.gpu_mib, found.gpu_others) == (held, others)


def test_the_energy_of_a_span_is_what_the_counter_rose_by():
    assert nvml.during(Gpu(gpu_joules=100.0), Gpu(gpu_mhz=1.0, gpu_joules=350.0)) == Gpu(gpu_mhz=1.0, gpu_joules=250.0)
    assert nvml.during(Gpu(), Gpu(gpu_joules=350.0)).gpu_joules is None


@pytest.mark.parametrize("reason", [0x8, 0x20, 0x40, 0x80])
def test_a_clock_held_down_for_heat_or_want_of_power_is_throttled(driver, reason):
    driver.nvmlDeviceGetCurrentClocksThrottleReasons = lambda _card: reason | 0x4

    assert nvml.gauge()().gpu_throttled == 1.0


@pytest.mark.parametrize(("visible", "asked"), [("", 0), ("2,0", 2), ("GPU-1234,GPU-5", "GPU-1234")])
def test_the_card_is_the_first_that_the_process_may_see(driver, monkeypatch, visible, asked):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml.gauge()

    assert driver.asked == [asked]


def test_a_question_the_card_does_not_support_has_no_answer(driver):
    def refuse(_card):
        raise RuntimeError("not supported")

    driver.nvmlDeviceGetPowerUsage = driver.nvmlDeviceGetTotalEnergyConsumption = refuse
    driver.nvmlDeviceGetComputeRunningProcesses = refuse

    assert nvml.gauge()() == Gpu(1_980.0, None, 61.0, 0.0)


def test_without_library_or_driver_nothing_is_told_and_nothing_fails(driver, monkeypatch):
    driver.nvmlDeviceGetHandleByIndex = None
    assert nvml.gauge()() == Gpu()

    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.gauge()() == Gpu()
