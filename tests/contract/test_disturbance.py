"""When an epoch, or a launch, counts as disturbed."""

import pytest

from bench.contract.disturbance import disturbed, launch_disturbed

QUIET = {"seconds": 1.0, "validation_seconds": 0.0, "steal_fraction": 0.01, "other_cpu_seconds": 0.05}
STOLEN = {**QUIET, "steal_fraction": 0.2}


def test_a_quiet_epoch_is_not_disturbed():
    assert disturbed(QUIET) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steal_fraction": 0.12}, "the host took 12% of the machine's time"),
        ({"other_cpu_seconds": 0.5}, "other processes took 50% of a CPU"),
        ({"gpu_throttled": 1.0}, "the driver held the GPU's clock down"),
        ({"gpu_others": 1.0}, "another process used the GPU"),
    ],
)
def test_each_rule_says_what_disturbed(change, words):
    assert disturbed({**QUIET, **change}) == words


def test_how_long_an_epoch_took_does_not_matter():
    assert disturbed({**QUIET, "seconds": 100.0}) == ""


def test_gauges_that_could_not_be_read_do_not_disturb():
    assert disturbed({"seconds": 1.0, "steal_fraction": None, "other_cpu_seconds": None, "gpu_throttled": None}) == ""


def test_a_few_ticks_of_a_short_epoch_are_rounding():
    assert disturbed({**QUIET, "seconds": 0.1, "other_cpu_seconds": 0.03}) == ""
    assert disturbed({**QUIET, "seconds": 0.1, "other_cpu_seconds": 0.05}) != ""


def test_of_epochs_timed_together_the_whole_span_is_judged():
    epoch = {**QUIET, "seconds": 0.01, "other_cpu_seconds": 0.009}

    assert disturbed(epoch) == ""  # rounding
    assert disturbed({**epoch, "span_epochs": 10}) == "other processes took 90% of a CPU"


def test_others_are_measured_against_the_validation_too_which_the_counters_span():
    assert disturbed({**QUIET, "seconds": 1.0, "validation_seconds": 3.0, "other_cpu_seconds": 0.4}) == ""


def test_a_launch_is_disturbed_from_half_of_its_steady_epochs_on():
    assert launch_disturbed([QUIET, STOLEN, QUIET, QUIET]) == ""
    assert launch_disturbed([QUIET, STOLEN, STOLEN, QUIET, QUIET]).startswith("2 of 4 steady epochs, for example: ")


def test_the_cold_epoch_does_not_count():
    assert launch_disturbed([STOLEN, QUIET, QUIET]) == ""
