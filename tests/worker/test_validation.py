"""Held-out samples, early stopping and the arithmetic in force, in whole launches on this backend."""

import keras
import numpy as np
import pytest

from bench.contract.paths import ROOT
from bench.worker.workload import load, numerics

BITS = {"float64": 52, "float32": 23, "bfloat16": 7, "float16": 10}


@pytest.fixture
def stopping(tmp_path):
    """A workload file: mlp, which stops as soon as its held-out loss has not fallen; it never falls by so much."""
    source = (ROOT / "models" / "mlp.py").read_text()
    more = (
        "validation_split=0.1,\n    early_stopping=lambda: keras.callbacks.EarlyStopping("
        '"val_loss", min_delta=100.0, patience=1, restore_best_weights=True),\n    quick_samples'
    )
    path = tmp_path / "stopping.py"
    path.write_text(source.replace("quick_samples", more))
    return str(path)


@pytest.mark.parametrize("track", ["shipped", "fit", "loop", "native"])
def test_held_out_samples_are_evaluated_after_each_epoch_alone(launch, track):
    done, content = launch("--validation-split=0.1", samples=1_440, track=track)
    assert done.returncode == 0, done.stdout + done.stderr
    found = content["launch"]

    assert found["samples_per_epoch"] == (1_296 if track == "shipped" else 1_280)
    assert not found["stopped_early"]
    for epoch in found["epochs"]:
        assert 0.3 < epoch["validation_metric"] < 1
        assert epoch["validation_loss"] > 0
        assert epoch["validation_seconds"] > 0


def test_without_held_out_samples_there_is_no_validation(recorded):
    epochs = recorded().launch["epochs"]

    assert {epoch["validation_metric"] for epoch in epochs} == {None}
    assert {epoch["validation_seconds"] for epoch in epochs} == {0.0}


@pytest.mark.parametrize("track", ["fit", "loop"])
def test_after_an_early_stop_the_best_weights_are_tested(launch, stopping, track):
    done, content = launch(workload=stopping, samples=1_440, epochs=6, track=track)
    assert done.returncode == 0, done.stdout + done.stderr
    found = content["launch"]
    losses = [epoch["validation_loss"] for epoch in found["epochs"]]

    assert found["stopped_early"]
    assert len(losses) == 2
    # The first epoch is the best by so wide a margin, so its weights were put back.
    assert abs(found["test"]["loss"] - losses[0]) < abs(found["test"]["loss"] - losses[1])


def test_the_last_samples_are_held_out_for_every_seed():
    data = load.load_dataset("fashion_mnist")
    trained, held_out = load.hold_out(data, 1_000, 0.25)

    assert trained == 750
    assert np.array_equal(held_out.x, data.x_train[750:1_000])
    assert load.hold_out(data, 1_000, 0.0) == (1_000, None)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_launch_in_half_precision_says_what_it_computed_with(recorded, kind):
    launch = recorded(numerics=kind).launch
    found = launch["resolved"]

    assert (found["dtype_policy"], found["compute_dtype"]) == (f"mixed_{kind}", kind)
    assert (found["matmul_bits"], found["convolution_bits"]) == (BITS[kind], BITS[kind])
    assert (found["optimizer"] == "LossScaleOptimizer") == (kind == "float16")
    assert launch["test"]["metric"] > 0.5


WIDE = """
@keras.saving.register_keras_serializable()
class Wide(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x, training=False):
        types = {keras.backend.standardize_dtype(one.dtype) for one in (x, self.factor)}
        if types != {"float64"}:
            raise TypeError(f"computes in {types}")
        return x * self.factor
"""


@pytest.mark.parametrize("track", ["shipped", "fit", "tuned", "loop"])
def test_weights_and_activations_of_a_float64_training_are_float64(launch, tmp_path, track):
    source = (ROOT / "models" / "mlp.py").read_text()
    path = tmp_path / "wide.py"
    path.write_text(source.replace("keras.layers.Dense(10)", "keras.layers.Dense(10), Wide()") + WIDE)
    done, content = launch(workload=str(path), numerics="float64", track=track)

    assert done.returncode == 0, done.stdout + done.stderr
    found = content["launch"]["resolved"]
    assert {found[name] for name in ("dtype_policy", "compute_dtype", "variable_dtype")} == {"float64"}
    assert (found["matmul_bits"], found["convolution_bits"]) == (BITS["float64"], BITS["float64"])


def test_native_trains_in_float64_from_the_same_weights_and_batches(recorded):
    wide, narrow = (recorded(numerics=kind, track="native").launch for kind in ("float64", "float32"))

    assert wide["weights_digest"] == narrow["weights_digest"]
    assert wide["batches_digest"] == narrow["batches_digest"]
    assert wide["test"]["loss"] == pytest.approx(narrow["test"]["loss"], rel=1e-3)
    assert wide["test"]["loss"] != float(np.float32(wide["test"]["loss"]))


def test_a_launch_in_float32_computes_in_float32(recorded):
    assert recorded().launch["resolved"]["matmul_bits"] == BITS["float32"]


def test_an_arithmetic_that_is_not_what_its_name_says_is_noticed(monkeypatch):
    """What TF32 does to a product's operands, which no CPU does, stands in for a backend that is set wrongly."""
    exact = keras.ops.matmul

    def rounded(left, right):
        kept = np.float32(2.0**10)
        return exact(keras.ops.round(left * kept) / kept, right)

    monkeypatch.setattr(keras.ops, "matmul", rounded)
    found = numerics.in_force(keras.DTypePolicy("float32"))

    assert (found["matmul_bits"], found["convolution_bits"]) == (10, 23)


def test_the_loops_loss_is_scaled_as_fits_is(recorded):
    """In float16 a loop that did not scale the loss would lose the small gradients; Keras undoes what it scales."""
    loop, fit = (recorded(numerics="float16", **column).launch for column in ({"track": "loop"}, {}))

    assert loop["test"]["metric"] == pytest.approx(fit["test"]["metric"], abs=0.03)
