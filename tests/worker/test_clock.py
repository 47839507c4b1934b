"""The epoch clock, with an injected time."""

import pytest

from bench.worker.timing.clock import EpochClock
from bench.worker.timing.gauges import Counters
from bench.worker.timing.nvml import Gpu


class Time:
    """A clock that moves when told, and a diary of who looked at it."""

    def __init__(self):
        self.now, self.cpu, self.stolen, self.total, self.diary = 0.0, 0.0, 0, 0, []
        self.left, self.joules = 0.0, 0.0

    def read(self):
        self.diary.append("now")
        return self.now

    def counters(self):
        self.diary.append("counters")
        return Counters(self.cpu, 0, None, 0.0, self.stolen, self.total, 0)

    def probe(self):
        self.diary.append("probe")
        return 0.001

    def gpu(self):
        self.diary.append("gpu")
        self.joules += 300.0
        return Gpu(gpu_mhz=1_980.0, gpu_joules=self.joules)

    def synchronize(self):
        self.diary.append("synchronize")
        self.now += self.left

    def barrier(self):
        self.diary.append("barrier")
        self.now += 0.25  # what was still under way

    def work(self, seconds, cpu=0.0, stolen=0, total=0):
        self.now, self.cpu, self.stolen, self.total = (
            self.now + seconds,
            self.cpu + cpu,
            self.stolen + stolen,
            self.total + total,
        )


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def clock(time):
    return EpochClock("accuracy", time.barrier, now=time.read, counters=time.counters, probe=time.probe, gpu=time.gpu)


LOGS = {"loss": 0.5, "accuracy": 0.75}


def test_an_epoch_lasts_from_its_begin_until_the_barrier_returns(clock, time):
    clock.on_epoch_begin(0)
    time.work(2.0)
    clock.on_epoch_end(0, LOGS)

    assert clock.epochs[0].seconds == 2.25


def test_gauges_are_read_outside_the_timed_span(clock, time):
    clock.on_epoch_begin(0)
    clock.on_epoch_end(0, LOGS)

    assert time.diary[2:] == ["gpu", "probe", "counters", "now", "barrier", "now", "counters", "gpu", "probe"]


def test_what_the_gauges_say_stands_among_the_epochs_other_values(clock, time):
    clock.on_epoch_begin(0)
    time.work(1.0)
    clock.on_epoch_end(0, LOGS)
    recorded = clock.epochs[0].to_json()

    assert recorded["probe_seconds"] == 0.001
    assert recorded["gpu_mhz"] == 1_980.0
    assert recorded["gpu_joules"] == 300.0
    assert recorded["undrained_seconds"] is None
    assert recorded["seconds"] == 1.25
    assert all(value is None or isinstance(value, int | float) for value in recorded.values())


@pytest.fixture
def on_gpu(time):
    return EpochClock(
        "accuracy",
        time.barrier,
        now=time.read,
        counters=time.counters,
        probe=time.probe,
        gpu=time.gpu,
        synchronize=time.synchronize,
    )


def epochs(clock, time, *left, seconds=0.75):
    """Let epochs of a second pass, after each of which the device works on for so long."""
    for index, more in enumerate(left):
        clock.on_epoch_begin(index)
        time.work(seconds)
        time.left = more
        clock.on_epoch_end(index, LOGS)


def test_on_a_gpu_the_frameworks_own_call_is_timed_after_the_epoch(on_gpu, time):
    epochs(on_gpu, time, 0.5)

    assert time.diary[6:9] == ["barrier", "now", "counters"]
    assert time.diary[9:12] == ["now", "synchronize", "now"]
    assert (on_gpu.epochs[0].seconds, on_gpu.epochs[0].undrained_seconds) == (1.0, 0.5)


def test_a_barrier_that_returns_too_early_fails_the_launch(on_gpu, time):
    epochs(on_gpu, time, 0.0, 0.06, 0.06, 0.04)

    with pytest.raises(RuntimeError, match="the barrier returned before the device had finished: in 2 of 3 steady ep"):
        on_gpu.check_drained()


def test_one_call_held_up_is_no_fault_of_the_barrier(on_gpu, time):
    epochs(on_gpu, time, 0.0, 0.0, 0.06)
    on_gpu.check_drained()


def test_a_call_to_an_idle_device_is_no_fault_nor_compiling(on_gpu, time):
    epochs(on_gpu, time, 3.0, 0.04, 0.05)
    on_gpu.check_drained()


def test_of_a_short_epoch_a_wait_for_a_cpu_is_no_fault(on_gpu, time):
    epochs(on_gpu, time, 0.0, 0.009, seconds=-0.2)
    on_gpu.check_drained()


def test_on_a_cpu_nothing_is_held_against_the_barrier(clock, time):
    epochs(clock, time, 0.5, 0.5)
    clock.check_drained()


@pytest.fixture
def planned(time):
    """A clock that knows how many epochs are to come."""

    def make(epochs, **more):
        gauges = {"counters": time.counters, "probe": time.probe, "gpu": time.gpu}
        return EpochClock("accuracy", time.barrier, now=time.read, epochs=epochs, **gauges, **more)

    return make


def short_epochs(clock, time, *seconds, between=0.0, cpu=0.0):
    """Let epochs pass, with work of other callbacks between them."""
    for index, one in enumerate(seconds):
        clock.on_epoch_begin(index)
        time.work(one, cpu=cpu)
        clock.on_epoch_end(index, {"loss": float(index), "accuracy": 0.5})
        time.work(between)


def test_short_epochs_are_timed_in_one_span_and_share_it(planned, time):
    clock = planned(8)
    short_epochs(clock, time, 1.0, *[0.02] * 7, between=7.0)
    found = [(epoch.span_epochs, round(epoch.seconds, 6)) for epoch in clock.epochs]

    # Five make 0.1 s, but then two were left that are too short for a span; the barrier's 0.25 s come once.
    assert found == [(1, 1.25), *[(7, round(0.02 + 0.25 / 7, 6))] * 7]
    assert [epoch.loss for epoch in clock.epochs] == [*range(8)]
    assert time.diary.count("barrier") == 2


def test_spans_of_short_epochs_end_where_they_are_long_enough(planned, time):
    clock = planned(12)
    short_epochs(clock, time, 1.0, *[0.03] * 11)

    assert [epoch.span_epochs for epoch in clock.epochs] == [1, *[4] * 8, *[3] * 3]


def test_an_epoch_that_is_long_enough_stands_alone(planned, time):
    clock = planned(4)
    short_epochs(clock, time, 0.01, 0.06, 0.07, 0.06)

    assert [epoch.span_epochs for epoch in clock.epochs] == [1] * 4


def test_a_training_that_ends_within_a_span_is_recorded(planned, time):
    clock = planned(9)
    short_epochs(clock, time, 1.0, 0.02, 0.02)
    clock.on_train_end()

    assert [(epoch.span_epochs, round(epoch.seconds, 6)) for epoch in clock.epochs] == [(1, 1.25), (2, 0.02), (2, 0.02)]


def test_epochs_of_a_span_share_what_its_gauges_say(planned, time):
    taken = iter(range(100))
    clock = planned(5, callback_seconds=lambda: float(next(taken)))
    short_epochs(clock, time, 1.0, *[0.02] * 4, cpu=0.5)
    recorded = clock.epochs[-1].to_json()

    assert recorded["gpu_joules"] == 300.0 / 4
    assert recorded["cpu_seconds"] == 0.5
    assert recorded["callback_seconds"] == 1.0
    assert recorded["involuntary_switches"] == 0


def test_validation_within_a_span_is_no_part_of_its_epochs(planned, time):
    clock = planned(4)
    for index in range(4):
        clock.on_epoch_begin(index)
        time.work(0.02)
        clock.on_test_begin()
        time.work(2.0)
        clock.on_test_end()
        clock.on_epoch_end(index, LOGS)

    # Before a validation the device is waited for, within the epoch: 0.25 s.
    assert [round(epoch.validation_seconds, 6) for epoch in clock.epochs] == [2.25] * 4
    assert clock.epochs[-1].span_epochs == 1  # 0.27 s are long enough


def test_when_the_barrier_returns_what_was_asked_for_is_done(backend, backend_name):
    """On the CPU JAX alone works on after a call has returned; TensorFlow's and torch's return when it is done."""
    backend.barrier()
    backend.synchronize()
    if backend_name != "jax":
        return
    import jax

    matrix = jax.numpy.ones((1_500, 1_500))
    for _ in range(5):
        matrix = matrix @ matrix
    backend.barrier()

    assert matrix.is_ready()


def test_validation_is_timed_apart_and_subtracted(clock, time):
    clock.on_epoch_begin(0)
    time.work(2.0, cpu=3.0)
    clock.on_test_begin()
    time.work(10.0, cpu=12.0)
    clock.on_test_end()
    time.work(1.0, cpu=0.5)
    clock.on_epoch_end(0, LOGS)
    epoch = clock.epochs[0]

    assert epoch.validation_seconds == 10.25
    assert epoch.seconds == 2.0 + 0.25 + 1.0 + 0.25
    assert epoch.cpu_seconds == 3.5


def test_what_passes_before_the_first_epoch_is_setup(clock, time):
    time.work(5.0)
    clock.start()
    time.work(1.5)
    for number in range(2):
        clock.on_epoch_begin(number)
        time.work(1.0)
        clock.on_epoch_end(number, LOGS)

    assert clock.setup_seconds == 1.5
    assert [epoch.seconds for epoch in clock.epochs] == [1.25, 1.25]


def test_cpu_seconds_and_steal_are_those_of_the_epoch(clock, time):
    time.work(1.0, cpu=5.0, stolen=50, total=100)
    clock.on_epoch_begin(0)
    time.work(1.0, cpu=1.8, stolen=10, total=200)
    clock.on_epoch_end(0, LOGS)

    assert clock.epochs[0].cpu_seconds == pytest.approx(1.8)
    assert clock.epochs[0].noise.steal_fraction == 0.05


def test_where_the_system_tells_no_ticks_steal_is_unknown(clock):
    clock.on_epoch_begin(0)
    clock.on_epoch_end(0, LOGS)

    assert clock.epochs[0].noise.steal_fraction is None


def test_the_parent_is_told_after_the_span(time):
    told = []

    def notify(index, epoch):
        told.append((index, epoch.seconds))
        time.work(100.0)

    clock = EpochClock("accuracy", time.barrier, notify, now=time.read, counters=time.counters, probe=time.probe)
    for number in range(2):
        clock.on_epoch_begin(number)
        time.work(1.0)
        clock.on_epoch_end(number, LOGS)

    assert told == [(0, 1.25), (1, 1.25)]
