"""A step taken apart on this backend: every training is measured, and what is planted is seen."""

import json
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.contract import explain
from bench.contract.paths import ROOT
from bench.worker import backends
from bench.worker.programs.prepare import describe
from bench.worker.workload import calls, load, parts, trainings

KEPT = []


class Keeps(keras.callbacks.Callback):
    """Keeps a MiB of every epoch."""

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        KEPT.append(np.ones(2**17))


class CompilesAgain(keras.callbacks.Callback):
    """Throws away what was compiled, before every epoch."""

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        self.model.make_train_function(force=True)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The perceptron with these callbacks, its epochs of four steps; no setting is tried."""
    monkeypatch.setattr(parts, "_tried", lambda _bench: ())
    monkeypatch.setattr(parts, "ROUNDS", 1)
    monkeypatch.setattr(calls, "POINT_SECONDS", 0.0)

    def make(*callbacks, name="perceptron"):
        workload = load.load_workload(name)
        object.__setattr__(workload, "callbacks", (lambda: callbacks) if callbacks else None)
        model = workload.build()
        load.save_weights(tmp_path / "weights.npz", model.get_weights())
        drawn = load.batches(load.dataset_of(workload), 256, 128, 0)
        return trainings.Bench(workload, drawn.parts, tmp_path / "weights.npz", 0, "float32", 4)

    yield make
    KEPT.clear()


def test_every_training_of_a_step_is_measured_by_its_command(backend_name, tmp_path):
    describe("perceptron", [3], tmp_path / "0-perceptron")
    given = {"backend": backend_name, "device": "cpu", "numerics": "float32", "workload": "perceptron", "seed": 3}
    given |= {"step-seconds": 1.0, "weights": tmp_path / "0-perceptron-seed3.npz", "output": tmp_path / "found.json"}
    given |= {"trace": tmp_path / "found-trace"}
    words = [f"--{name}={value}" for name, value in given.items()]
    command = [sys.executable, "-m", "bench.worker.programs.explain", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    measured = [name for name, one in found["trainings"].items() if not one["error"]]

    assert set(explain.TAKEN_AWAY) - set(measured) == {explain.QUIET}  # which is for a workload with callbacks
    assert all(found["trainings"][name]["epoch_seconds"] > 0 for name in measured)
    assert found["trainings"][explain.SINGLE]["batch_size"] == 1
    assert len(found["memory_mib"]) == explain.LEAKING_EPOCHS
    assert (found["metrics"], found["callbacks"], found["compilations"]) == (["accuracy"], [], 0)
    assert (tmp_path / found["operations"]["trace"]).is_file()
    assert found["validation_seconds"] > 0
    assert isinstance(found["partial_batch_seconds"], float)
    assert [one["error"] for one in found["calls"].values()] == [""] * len(explain.CALLS)


@pytest.mark.parametrize(("single", "tried"), [(0.9, True), (0.001, False), (None, True)])
def test_a_larger_batch_is_tried_where_work_of_each_step_may_have_a_share(single, tried):
    took = {explain.AS_IT_IS: 1.0, explain.RESIDENT: 1.0, explain.SINGLE: single}  # None: nobody knows
    found = {name: SimpleNamespace(epoch_seconds=seconds, steps=64) for name, seconds in took.items()}

    assert parts._may_gain(SimpleNamespace(trainings=found), "per step") is tried


def test_what_is_tried_and_takes_far_longer_has_no_further_turn(bench, backend, monkeypatch):
    took = {"slow": 0.9, "fast": 0.1}
    monkeypatch.setattr(parts, "_tried", lambda _bench: [("", name, None, {}) for name in took])
    monkeypatch.setattr(parts, "ROUNDS", 3)
    turns, fit = Counter(), trainings.Training.fit

    def noted(training, *words, **named):
        fit(training, *words, **named)
        name = next((name for name, one in made.trainings.items() if one is training), "")
        turns[name] += 1
        training.epoch_seconds = took.get(name, 0.2)

    monkeypatch.setattr(trainings.Training, "fit", noted)
    made = bench()
    parts.measure(made, backend)

    assert (turns["slow"], turns["fast"], turns[explain.AS_IT_IS]) == (2, 4, 4)


def test_what_compiles_again_in_warm_epochs_is_counted(bench, backend, backend_name):
    again = parts.measure(bench(CompilesAgain()), backend)["compilations"]

    assert (again > 0) is (backend_name != "torch")  # which compiles nothing unless it is told to


def test_a_last_batch_of_another_size_is_tried_once_after_all_else(bench, backend, monkeypatch):
    given, fit = [], trainings.Training.fit

    def noted(training, *words, **named):
        fit(training, *words, **named)
        given.append(len(training.handed()["x"]))
        training.cold_seconds, training.epoch_seconds = 5.0, 2.0

    monkeypatch.setattr(trainings.Training, "fit", noted)
    found = parts.measure(bench(), backend)

    assert given[-1] == 128 + 64
    assert not any(samples % 128 for samples in given[:-1] if samples > 128)
    assert found["partial_batch_seconds"] == 3.0


def test_a_device_is_looked_at_as_often_as_the_host(bench, backend, monkeypatch):
    assert backend.held_device_mib() is None  # on a CPU
    monkeypatch.setattr(backend, "held_device_mib", lambda: 7.0)
    found = parts.measure(bench(), backend)

    assert found["device_memory_mib"] == [7.0] * explain.LEAKING_EPOCHS
    assert found["calls"]["predict"]["device_memory_mib"] == [7.0] * explain.LOOKS


def test_memory_that_is_kept_is_seen_to_grow(bench, backend):
    held = parts.measure(bench(Keeps()), backend)["memory_mib"]

    assert np.median(np.diff(held[2:])) > 0.9


def test_callbacks_are_taken_away_from_all_but_the_first(bench, backend):
    made = bench(Keeps())
    parts.measure(made, backend)

    with_them = {name for name, one in made.trainings.items() if one.callbacks}
    assert {explain.AS_IT_IS, explain.SHORT} <= with_them
    assert not with_them & {explain.QUIET, explain.RESIDENT, explain.UNMEASURED, explain.PLAIN, explain.SINGLE}


def test_a_training_that_fails_leaves_its_reason_and_the_others_go_on(bench, backend):
    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
            raise ValueError("not today")

    found = parts.measure(bench(Fails()), backend)["trainings"]

    assert "not today" in found[explain.AS_IT_IS]["error"]
    assert found[explain.PLAIN]["error"] == ""


def test_every_backend_says_what_an_explanation_needs(backend_name):
    assert isinstance(backends.explain(backend_name).tries_jit(True), bool)
