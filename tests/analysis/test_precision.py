"""Precision to order: how many launches a pilot asks for."""

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from scipy import stats
from support import recordings

from bench.analysis import precision
from bench.analysis.calibration import simulation
from bench.analysis.frames import LAUNCH_COLUMNS, Run
from bench.contract import run_json
from bench.contract.case import Case
from bench.contract.run_json import Planned

PILOT, MOST = 6, 1_000
NOWHERE = {"node": "", "gpu": ""}  # as a local run has it
LOGS = {  # of a pilot's launches, by backend
    "jax": [0.0, 0.1, -0.1, 0.05, 0.0, -0.05],
    "tensorflow": [1.1, 1.0, 0.8, 1.2, 0.95, 0.95],
    "torch": [1.5, 1.2, 1.6, 1.3, 1.55, 1.45],
}
SECONDS = {"jax": 5.0, "tensorflow": 10.0, "torch": 20.0}


def case(backend):
    return Case("mlp", "fashion_mnist", 60_000, 10, 128, "arrays", backend, "cpu", "float32", "train", "fit")


def pilot(backends=("jax", "tensorflow")):
    """A run of six repetitions."""
    rows = []
    for backend in backends:
        for repetition, log in enumerate(LOGS[backend]):
            row = dict.fromkeys(LAUNCH_COLUMNS) | asdict(case(backend)) | {"status": "ok", "counted": True}
            row |= {"repetition": repetition, "seed": repetition, "epoch_seconds": math.exp(log)} | NOWHERE
            row |= {"wall_seconds": SECONDS[backend], "weights_digest": "w", "batches_digest": "b", "parameters": 1}
            rows.append(row)
    planned = [Planned(case=case(backend), skip=None, target_attempted=False) for backend in backends]
    description = replace(run_json.read(recordings.description([])), plan=tuple(planned))
    return Run(description, pd.DataFrame(rows, columns=LAUNCH_COLUMNS), pd.DataFrame(), pd.DataFrame(), [])


def order(run, within=None, budget=None, most=MOST):
    return precision.order(run, PILOT, most, within, budget)


def deviation(backend):
    return float(np.std(np.subtract(LOGS[backend], LOGS["jax"]), ddof=1))


def test_the_number_follows_steins_rule():
    found = order(pilot(), within=0.03)
    quantile = stats.t.ppf(0.975, PILOT - 1)
    wanted = math.ceil((quantile * deviation("tensorflow") / math.log(1.03)) ** 2)

    assert found.launches == {case("jax").key: wanted, case("tensorflow").key: wanted}
    assert found.within == pytest.approx(0.03)
    assert found.seconds == found.wanted_seconds == pytest.approx((wanted - PILOT) * 15.0)


def test_a_pilot_that_is_precise_enough_is_all():
    found = order(pilot(), within=0.5)

    assert set(found.launches.values()) == {PILOT}
    assert found.seconds == 0


def test_a_noisier_backend_gets_more_launches_and_the_reference_takes_part_in_all():
    found = order(pilot(("jax", "tensorflow", "torch")), within=0.05).launches

    assert found[case("torch").key] > found[case("tensorflow").key] > PILOT
    assert found[case("jax").key] == found[case("torch").key]


def without(run, backend, repetitions):
    """The run without some of a backend's launches."""
    gone = (run.launches["backend"] == backend) & run.launches["repetition"].isin(repetitions)
    return run._replace(launches=run.launches[~gone])


def test_launches_that_failed_take_their_degrees_of_freedom_along():
    found = order(without(pilot(), "tensorflow", [4, 5]), within=0.05).launches
    ratios = np.subtract(LOGS["tensorflow"], LOGS["jax"])[:4]
    wanted = math.ceil((stats.t.ppf(0.975, 3) * np.std(ratios, ddof=1) / math.log(1.05)) ** 2)

    assert found[case("tensorflow").key] == wanted


def test_where_too_few_launches_of_a_pilot_are_left_nothing_is_ordered():
    assert order(without(pilot(), "tensorflow", [2, 3, 4, 5]), within=0.05).launches == {}


def test_several_comparisons_share_the_level():
    alone, together = order(pilot(), 0.05), order(pilot(("jax", "tensorflow", "torch")), 0.05)

    assert together.launches[case("tensorflow").key] > alone.launches[case("tensorflow").key]


def test_a_budget_that_suffices_changes_nothing():
    assert order(pilot(), within=0.05, budget=1e6) == order(pilot(), within=0.05)


def test_a_budget_that_does_not_suffice_says_what_it_reaches_and_what_was_wanted():
    wanted = order(pilot(), within=0.03)
    found = order(pilot(), within=0.03, budget=wanted.seconds / 3)

    assert found.wanted_seconds == wanted.seconds
    assert found.seconds <= wanted.seconds / 3
    assert found.within == pytest.approx(0.03 * math.sqrt(3), rel=0.15)


def test_a_budget_alone_is_used_up():
    found = order(pilot(), budget=600.0)

    assert 600.0 - 15.0 <= found.seconds <= 600.0


def test_no_budget_left_leaves_the_pilot():
    found = order(pilot(), within=0.03, budget=0.0)

    assert set(found.launches.values()) == {PILOT}
    assert found.seconds == 0


def test_more_launches_than_allowed_are_not_promised():
    found = order(pilot(), within=0.001, most=50)

    assert set(found.launches.values()) == {50}
    assert found.wanted_seconds == math.inf
    assert found.within > 0.001


def test_a_case_without_an_opponent_keeps_its_pilot():
    found = order(pilot(("jax",)), within=0.03)

    assert found.launches == {}
    assert found.seconds == 0


def test_the_ordered_intervals_cover_the_truth_and_are_as_narrow_as_ordered():
    found = simulation.ordered(within=0.05, pilot=PILOT, between=0.12, draws=2_000)

    assert found["coverage"] > 0.94
    assert found["narrow_enough"] == 1.0
