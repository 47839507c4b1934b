"""Calls in a row on this backend: what each takes, and what they leave behind."""

import gc
import weakref

import keras
import numpy as np
import pytest

from bench.contract import explain
from bench.worker.timing.memory import Looks
from bench.worker.workload import calls


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


PARTS = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")


def test_every_kind_of_call_is_made_in_a_row(model, monkeypatch):
    monkeypatch.setattr(calls, "POINT_SECONDS", 0.0)
    found = calls.measure(model, PARTS, 8, single=True)

    assert list(found) == list(explain.CALLS)
    assert [one["error"] for one in found.values()] == [""] * 4
    assert [one["batch_size"] for one in found.values()] == [1, 1, 1, 8]
    assert all(len(one["seconds"]) == len(one["memory_mib"]) == explain.LOOKS for one in found.values())
    assert all(seconds > 0 for one in found.values() for seconds in one["seconds"])


def test_a_call_that_fails_is_said_and_others_go_on(model, monkeypatch):
    monkeypatch.setattr(calls, "POINT_SECONDS", 0.0)
    found = calls.measure(model, (PARTS[0], np.ones((8, 3), "float32")), 8, single=False)

    assert found["train_on_batch"]["error"]
    assert found["predict"]["error"] == ""
    assert found["predict"]["batch_size"] == 8


def test_what_calls_keep_is_seen():
    kept, clock = [], iter(range(10_000))
    looks = Looks(lambda: 3.0 * len(kept), lambda: float(len(kept)))
    found = calls.in_a_row(lambda: kept.append(1), looks, now=lambda: next(clock) / 128)

    assert found["calls"] == 12  # of 1/128 s each within a tenth of a second
    assert np.diff(found["memory_mib"]).tolist() == [12.0] * (explain.LOOKS - 1)
    assert np.diff(found["device_memory_mib"]).tolist() == [36.0] * (explain.LOOKS - 1)
    assert found["seconds"] == [1 / 128 / 12] * explain.LOOKS


def test_a_look_frees_what_came_since_the_first_and_walks_through_nothing_older():
    class Circle:
        def __init__(self):
            self.own = self

    older = Circle()
    looks = Looks()
    newer = Circle()
    spared = [any(one is thing for one in gc.get_objects()) for thing in (older, newer)]
    gone = weakref.ref(newer)
    del newer
    looks.take()
    gc.unfreeze()

    assert spared == [False, True]
    assert gone() is None
