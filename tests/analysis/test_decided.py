"""Verdicts that are looked at after each repetition: still right, and soon there."""

import numpy as np
import pytest

from bench.analysis.calibration.looking import MOST, NAIVE, ONCE, OWN, WAYS, looked_at, looks_alike, mixture, table
from bench.analysis.statistics import Interval, level_at_look, limit_verdict, repetitions_to_decide

DRAWS = 4_000


@pytest.mark.parametrize("error", [0.05, 0.0125, 0.002])
def test_all_looks_together_spend_the_error_and_no_more(error):
    """Of series without any effect, however long they are looked at; Bonferroni alone would spend half of it."""
    series = 60_000
    (factor,) = looks_alike([error], looks=30, series=series, seed=1).values()
    used = (1 - level_at_look(1 - error, 3)) * 3 / error
    noise = 3 / np.sqrt(error * series)

    assert used <= factor * (1 + noise)
    assert used >= 0.85 * factor


def test_each_look_has_a_smaller_share_than_the_one_before():
    spent = 1 - level_at_look(0.95, np.arange(2, 50))

    assert spent[0] == pytest.approx(0.05)
    assert (np.diff(spent) < 0).all()


def test_beyond_what_was_drawn_looks_share_as_if_they_had_nothing_in_common():
    assert 1 - level_at_look(1 - 1e-9, 3) == pytest.approx(1e-9 / 3, rel=1e-3)


def test_before_the_first_look_the_level_is_the_interval_s_own():
    assert level_at_look(0.95, 2) == pytest.approx(0.95)
    assert level_at_look(0.95, 1) == pytest.approx(0.95)


@pytest.mark.parametrize(("ratio", "low", "high"), [(1.0, 0.95, 1.05), (1.05, 1.0, 1.1), (1.12, 1.0, 2.0)])
def test_an_interval_at_the_end_of_looking_covers_the_truth_as_often_as_it_says(ratio, low, high):
    """Looking without a share of the error covers it less often; so this test can fail."""
    drawn = np.exp(np.random.default_rng(0).normal(np.log(ratio), 0.05, (DRAWS, MOST)))
    covered, naive = (
        np.mean([looked_at(one, ratio, way).covered for one in drawn]) for way in (WAYS[OWN], WAYS[NAIVE])
    )

    assert covered >= 0.95
    assert naive < covered
    if low < ratio < high and ratio == 1.05:  # at the margin a verdict is always wrong, and looking finds it
        assert naive < 0.93


def test_a_large_difference_is_sure_at_the_first_look():
    drawn = np.exp(np.random.default_rng(0).normal(np.log(3), 0.05, (200, MOST)))
    found = [looked_at(one, 3.0, WAYS[OWN]) for one in drawn]

    assert np.mean([one.repetitions for one in found]) < 3.6
    assert {one.verdict for one in found} == {"slower"}


def test_how_many_launches_would_decide_it_counts_the_looks():
    ratios = [1.10, 1.16, 1.07, 1.18]

    alone, looked = (repetitions_to_decide(ratios, 0.95, 0.05, looked=one) for one in (False, True))
    assert alone < looked


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((1.2, 1.11, 1.3), "exceeded"), ((1.0, 0.9, 1.1), "kept"), ((1.1, 1.0, 1.2), "undecided")],
)
def test_a_limit_is_exceeded_kept_or_undecided_by_the_interval_alone(interval, verdict):
    assert limit_verdict(Interval(*interval), 0.1) == verdict


def test_without_an_interval_a_limit_is_undecided():
    assert limit_verdict(Interval(1.0, np.nan, np.nan), 0.1) == "undecided"


def test_a_table_says_of_each_way_how_often_it_was_wrong_and_how_long_it_took():
    seconds = np.exp(np.random.default_rng(1).normal(0, 0.05, (30, 4)))
    key = ("mlp", "made up", 1, 1, 1, "arrays", "jax", "cpu", "float32", "train", "fit", "", 1)
    ways = {"own": WAYS[OWN], "once": WAYS[ONCE]}
    found = table({key: seconds}, 50, ways=ways).set_index(["way", "factor"])

    assert found.loc[("once", 2.0), "repetitions"] == 5
    assert found.loc[("own", 2.0), "repetitions"] < 5
    assert found.loc[("own", 2.0), "decided"] == 1


def test_a_confidence_sequence_holds_at_every_look_and_is_wider_at_the_first():
    limits = [mixture(0.01)(0.95, count) for count in (3, 12)]

    assert limits[0] > WAYS[OWN].limit(0.95, 3)
    assert limits[0] > limits[1] > WAYS[ONCE].limit(0.95, 12)
