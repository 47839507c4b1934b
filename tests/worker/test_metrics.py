"""The metrics of our own, on this backend."""

import numpy as np
import pytest

from models.metrics import METRICS

LABELS = np.array([[0, 1], [3, 2]], np.int32)


@pytest.mark.parametrize("name", ["bits_per_dimension", "bits_per_token"])
def test_who_knows_nothing_needs_the_logarithm_of_the_classes_in_bits(name):
    metric = METRICS[name].make()
    metric.update_state(LABELS, np.zeros((2, 2, 16), np.float32))

    assert metric.name == name
    assert float(metric.result()) == pytest.approx(4, abs=1e-6)


def test_bits_are_the_mean_surprise_over_all_places():
    metric = METRICS["bits_per_token"].make()
    chances = np.array([[[0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]], [[0, 0, 0.875, 0.125], [0, 0, 0.5, 0.5]]])
    metric.update_state(LABELS, np.log(chances + 1e-30).astype(np.float32))

    assert float(metric.result()) == pytest.approx((1 + 2 + 3 + 1) / 4, abs=1e-5)
