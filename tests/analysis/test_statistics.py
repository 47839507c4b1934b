"""Estimates, intervals, verdicts."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis import statistics
from bench.analysis.statistics import Interval

OURS = [2.0, 2.2, 2.1, 1.9, 2.4]
THEIRS = [1.0, 1.1, 0.9, 1.05]


def test_a_launch_gives_its_fastest_steady_epoch():
    assert statistics.launch_value([2.0, 9.0, 1.0]) == 1.0


def test_a_mean_interval_is_students_on_the_log_scale():
    found = statistics.mean_interval(OURS, 0.95)
    expected = stats.ttest_1samp(np.log(OURS), 0).confidence_interval(0.95)

    assert found.estimate == pytest.approx(stats.gmean(OURS))
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_a_ratio_interval_is_welchs_on_the_log_scale(level):
    found = statistics.ratio_interval(OURS, THEIRS, level)
    expected = stats.ttest_ind(np.log(OURS), np.log(THEIRS), equal_var=False).confidence_interval(level)

    assert found.estimate == pytest.approx(stats.gmean(OURS) / stats.gmean(THEIRS))
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_turning_a_ratio_round_turns_its_interval_round():
    there, back = statistics.ratio_interval(OURS, THEIRS, 0.95), statistics.ratio_interval(THEIRS, OURS, 0.95)

    assert (1 / back.high, 1 / back.low) == pytest.approx((there.low, there.high))


@pytest.mark.parametrize(
    "interval",
    [
        lambda level: statistics.mean_interval([1.0, 1.4], level),
        lambda level: statistics.paired_interval([1.0, 1.4, 1.2], level, pilot=[1.0, 1.4]),
        lambda level: statistics.ratio_interval([1.0, 1.4], [1.0, 1.3], level),
    ],
)
def test_two_launches_at_a_high_level_have_no_upper_end(interval):
    found = interval(1 - 1e-9)

    assert math.isfinite(found.estimate)
    assert (found.low, found.high) == (pytest.approx(0, abs=1e-100), math.inf)
    assert statistics.time_verdict(found, 0.05) == "undecided"


def test_a_difference_interval_is_students_over_pairs():
    found = statistics.difference_interval([0.01, -0.02, 0.005], 0.95)
    expected = stats.ttest_1samp([0.01, -0.02, 0.005], 0).confidence_interval(0.95)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    "interval",
    [
        statistics.mean_interval([2.0], 0.95),
        statistics.ratio_interval([2.0], [1.0, 1.1], 0.95),
        statistics.ratio_interval([2.0, 2.1], [1.0], 0.95),
        statistics.difference_interval([0.1], 0.95),
    ],
)
def test_a_single_launch_gives_an_estimate_and_no_interval(interval):
    assert math.isfinite(interval.estimate)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert statistics.time_verdict(interval, 0.05) == "undecided"
    assert statistics.metric_verdict(interval, 0.005) == "undecided"


def test_equal_differences_are_no_more_certain_than_the_metric_is_fine():
    found = statistics.difference_interval([0.0, 0.0], 0.95, resolution=0.01)
    expected = stats.t.ppf(0.975, 1) * 0.01 / math.sqrt(6) / math.sqrt(2)

    assert (found.low, found.high) == pytest.approx((-expected, expected))
    assert statistics.metric_verdict(found, 0.005) == "undecided"


@pytest.mark.parametrize(
    "interval",
    [
        statistics.ratio_interval([2.0, 2.0], [1.0, 1.0], 0.95),
        statistics.mean_interval([2.0, 2.0], 0.95),
        statistics.paired_interval([2.0, 2.0], 0.95),
        statistics.paired_interval([2.0, 2.0, 2.1], 0.95, pilot=[2.0, 2.0]),
    ],
)
def test_without_any_variance_there_is_an_estimate_and_no_interval(interval):
    assert interval.estimate == pytest.approx(2.0, rel=0.05)
    assert math.isnan(interval.low)
    assert statistics.time_verdict(interval, 0.05) == "undecided"


def test_of_no_values_nothing_is_known():
    assert all(map(math.isnan, statistics.mean_interval([], 0.95)))


def launches(seconds, repetitions=None):
    repetitions = range(len(seconds)) if repetitions is None else repetitions
    return pd.DataFrame({"repetition": list(repetitions), "epoch_seconds": seconds})


def test_ratios_are_paired_by_repetition_whatever_the_order_of_the_rows():
    ours, theirs = launches([4.0, 9.0, 1.0], [2, 0, 1]), launches([3.0, 2.0, 5.0], [0, 2, 7])

    assert statistics.paired_ratios(ours, theirs).tolist() == [3.0, 2.0]


def test_a_paired_interval_is_students_over_the_logs_of_ratios():
    ratios = np.array([2.0, 2.2, 1.9, 2.1])
    found = statistics.paired_interval(ratios, 0.95)
    expected = stats.ttest_1samp(np.log(ratios), 0).confidence_interval(0.95)

    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_what_slows_both_sides_of_a_repetition_does_not_widen_their_ratio():
    luck = np.array([1.0, 1.5, 3.0, 1.2, 2.0])
    ours, theirs = luck * np.array([2.0, 2.1, 2.05, 1.95, 2.0]), luck

    paired, apart = statistics.paired_interval(ours / theirs, 0.95), statistics.ratio_interval(ours, theirs, 0.95)
    assert paired.high / paired.low < 1.1 < 2 < apart.high / apart.low


def test_after_a_pilot_its_deviation_alone_makes_the_interval():
    logs = np.array([0.1, -0.1, 0.05, -0.05, 0.02, -0.02])
    more = np.concatenate([logs, np.full(10, logs.mean())])
    found = statistics.paired_interval(np.exp(more), 0.95, pilot=np.exp(logs))
    half = stats.t.ppf(0.975, 5) * logs.std(ddof=1) / 4

    assert math.log(found.high / found.estimate) == pytest.approx(half)
    assert statistics.paired_interval(np.exp(logs), 0.95, pilot=np.exp(logs)) == statistics.paired_interval(
        np.exp(logs), 0.95
    )


@pytest.mark.parametrize(
    ("steady", "expected"),
    [([1.0, 1.0, 1.0, 2.0], math.sqrt(2)), ([4.0, 9.0, 1.0], 0.25), ([3.0, 3.0], 1.0)],
)
def test_a_trend_is_the_later_half_over_the_earlier(steady, expected):
    assert statistics.trend(steady) == pytest.approx(expected)


def test_a_single_steady_epoch_has_no_trend():
    assert math.isnan(statistics.trend([1.0]))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.90, 0.98, "getting faster"),
        (1.02, 1.10, "getting slower"),
        (0.96, 0.995, "settled"),
        (0.90, 0.995, "unknown"),
        (0.50, 1.60, "unknown"),
        (math.nan, math.nan, "unknown"),
    ],
)
def test_whether_epochs_have_settled_follows_from_the_whole_interval(low, high, verdict):
    assert statistics.trend_verdict(Interval(1.0, low, high)) == verdict


def test_many_comparisons_share_the_five_percent():
    assert statistics.level_of(1) == 0.95
    assert statistics.level_of(4) == pytest.approx(0.9875)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.06, 1.20, "slower"),
        (0.80, 0.94, "faster"),
        (0.96, 1.04, "equivalent"),
        (0.96, 1.20, "undecided"),
        (1.04, 1.20, "undecided"),
        (0.50, 2.00, "undecided"),
    ],
)
def test_a_time_verdict_follows_from_the_whole_interval(low, high, verdict):
    assert statistics.time_verdict(Interval(math.sqrt(low * high), low, high), 0.05) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.004, 0.004, "equivalent"),
        (0.006, 0.010, "different"),
        (-0.010, -0.006, "different"),
        (0.001, 0.010, "undecided"),
        (-0.010, 0.010, "undecided"),
    ],
)
def test_a_metric_verdict_follows_from_the_whole_interval(low, high, verdict):
    assert statistics.metric_verdict(Interval((low + high) / 2, low, high), 0.005) == verdict


def test_intervals_of_log_normal_launches_cover_the_truth_as_often_as_they_say():
    """Seeded: 2,000 comparisons of five launches with five, a true ratio of 1.5, unequal noise."""
    generator = np.random.default_rng(20)
    covered = 0
    for _ in range(2_000):
        ours = 1.5 * np.exp(generator.normal(0, 0.2, 5))
        theirs = np.exp(generator.normal(0, 0.05, 5))
        interval = statistics.ratio_interval(ours, theirs, 0.95)
        covered += interval.low <= 1.5 <= interval.high

    assert covered / 2_000 == pytest.approx(0.95, abs=0.01)


def test_the_seeds_announced_are_the_first_number_that_decides():
    """With mean 0.001, deviation 0.006 and margin 0.005 at 95 %: 0.004 √n = t(n − 1) · 0.006 lies between 11 and 12."""
    values = np.array([0.001 - 0.006, 0.001, 0.001 + 0.006])

    assert values.std(ddof=1) == pytest.approx(0.006)
    assert statistics.seeds_to_decide(values, 0.95, 0.005) == 12


def test_as_many_seeds_as_announced_would_decide():
    generator = np.random.default_rng(3)
    for mean in (0.0, 0.002, 0.008):
        values = generator.normal(mean, 0.005, 4)
        needed = statistics.seeds_to_decide(values, 0.95, 0.005)
        for count, verdicts in ((needed, {"equivalent", "different"}), (needed - 1, {"undecided"})):
            spread = np.linspace(-1, 1, count)
            more = values.mean() + spread / spread.std(ddof=1) * values.std(ddof=1)

            assert statistics.metric_verdict(statistics.difference_interval(more, 0.95), 0.005) in verdicts


def test_a_difference_at_the_margin_needs_more_seeds_than_anybody_has():
    assert statistics.seeds_to_decide([0.004, 0.005, 0.006], 0.95, 0.005) is None


def test_a_single_seed_says_nothing_about_how_many_it_takes():
    assert statistics.seeds_to_decide([0.001], 0.95, 0.005) is None


def test_the_noise_floor_is_the_ratio_of_a_cases_own_halves():
    """Of two launches there is one split, of four there are three that differ."""
    assert statistics.noise_floor([1.0, 1.3]) == pytest.approx(1.3)
    assert statistics.noise_floor([1.0, 1.0, 4.0, 4.0]) == pytest.approx(4.0)
    assert statistics.noise_floor([2.0] * 6) == pytest.approx(1.0)


def test_a_single_launch_has_no_noise_floor():
    assert math.isnan(statistics.noise_floor([1.0]))


def test_the_noise_floor_of_many_launches_is_the_one_that_theory_gives():
    """Halves of 100 logs of deviation 0.1 differ with deviation 0.1 · √(2 / 50), 95 % by less than 1.96 times that."""
    logs = np.random.default_rng(4).normal(0, 0.1, 100)
    logs = logs / logs.std() * 0.1

    assert math.log(statistics.noise_floor(np.exp(logs))) == pytest.approx(1.96 * 0.1 * 0.2, rel=0.1)
    assert statistics.noise_floor(np.exp(logs)) == statistics.noise_floor(np.exp(logs))


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "equivalent"), (1.2, "slower"), (0.8, "faster")])
def test_as_many_launches_as_announced_would_decide_a_ratio(ratio, verdict):
    theirs = np.exp(np.array([-0.05, 0.0, 0.05]))
    ours = ratio * np.exp(np.array([-0.08, 0.0, 0.08]))
    needed = statistics.launches_to_decide(ours, theirs, 0.95, 0.05)
    for count, expected in ((needed, verdict), (needed - 1, "undecided")):
        spread = np.linspace(-1, 1, count)
        spread = spread / spread.std(ddof=1)
        interval = statistics.ratio_interval(ratio * np.exp(0.08 * spread), np.exp(0.05 * spread), 0.95)

        assert statistics.time_verdict(interval, 0.05) == expected


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "equivalent"), (1.2, "slower"), (0.8, "faster")])
def test_as_many_repetitions_as_announced_would_decide_a_ratio(ratio, verdict):
    needed = statistics.repetitions_to_decide(ratio * np.exp([-0.08, 0.0, 0.08]), 0.95, 0.05)
    for count, expected in ((needed, verdict), (needed - 1, "undecided")):
        spread = np.linspace(-1, 1, count)
        interval = statistics.paired_interval(ratio * np.exp(0.08 * spread / spread.std(ddof=1)), 0.95)

        assert statistics.time_verdict(interval, 0.05) == expected


def test_after_a_pilot_the_announced_number_is_that_of_its_deviation():
    pilot = np.exp(0.09 * np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]))
    ratios = np.concatenate([pilot, np.exp(np.tile([-0.01, 0.01], 4))])
    needed = statistics.repetitions_to_decide(ratios, 0.95, 0.05, pilot)

    assert statistics.time_verdict(statistics.paired_interval(ratios, 0.95, pilot), 0.05) == "undecided"
    more = np.concatenate([ratios, np.ones(needed - len(ratios))])
    assert statistics.time_verdict(statistics.paired_interval(more, 0.95, pilot), 0.05) == "equivalent"
    fewer = more[:-1]
    assert statistics.time_verdict(statistics.paired_interval(fewer, 0.95, pilot), 0.05) == "undecided"


def test_launches_without_any_spread_do_not_say_how_many_it_takes():
    assert statistics.repetitions_to_decide([2.0, 2.0], 0.95, 0.05) is None
    assert statistics.repetitions_to_decide([2.0], 0.95, 0.05) is None
    assert statistics.launches_to_decide([2.0, 2.0], [1.0, 1.0], 0.95, 0.05) is None
    assert statistics.launches_to_decide([2.0], [1.0, 1.0], 0.95, 0.05) is None
    assert statistics.launches_to_decide([1.05, 1.05], [1.0, 1.0 + 1e-9], 0.95, 0.05) is not None
