"""The recording half of parity, on this backend."""

import functools
import json
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.contract.parity import LADDER_BATCH
from bench.contract.paths import ROOT
from bench.worker.errors import StartError
from bench.worker.exact.batches import ladder_data
from bench.worker.exact.climb import OBSERVED
from bench.worker.exact.observed import observed
from bench.worker.programs.prepare import describe
from bench.worker.workload import load

RUNGS = ["weights", "outputs", "loss", "gradients", "losses", "one step", "all steps", "predictions", "metric"]


@pytest.fixture(scope="module")
def climb(request, tmp_path_factory):
    """The recordings of one process in some numerics, climbed once, by workload number.

    It climbs for: 0 the perceptron, 1 it once more, 2 one made for a GPU, 3 one whose optimizer fails, 4 the perceptron
    as a class of its own, which computes something else from what is not float64.
    """
    folder = tmp_path_factory.mktemp("ladders")
    source = (ROOT / "models" / "perceptron.py").read_text()
    large, broken, tells = (folder / f"{name}.py" for name in ("large", "broken", "tells"))
    tells.write_text(f"{source.replace('build=build', 'build=Tells')}".replace("workload = ", f"{TELLS}workload = "))
    large.write_text(source.replace("quick_samples=", "memory_mib=10**6, quick_samples="))
    broken.write_text(source.replace("keras.optimizers.Adam()", "Broken()") + BROKEN)
    for number in (0, 1):
        describe("perceptron", [0], folder / f"{number}-perceptron")
    (folder / "4-tells-seed0.npz").write_bytes((folder / "0-perceptron-seed0.npz").read_bytes())
    load.save_weights(folder / "3-broken-seed0.npz", [np.zeros((784, 10), np.float32), np.zeros(10, np.float32)])

    @functools.cache
    def once(numerics, steps=3):
        workloads = ["perceptron", "perceptron", large, broken, tells]
        return climbed(request.config.getoption("backend"), folder, numerics, workloads, steps)

    return once


def climbed(backend_name, folder, numerics, workloads, steps=3, climb="fit-own"):
    """Climb in a process of its own, by the command that the parent uses; gives the recordings by number."""
    command = [sys.executable, "-m", "bench.worker.programs.parity", f"--backend={backend_name}", "--device=cpu"]
    command += [f"--numerics={numerics}", f"--steps={steps}", "--test-samples=1000", "--seeds=0", f"--climbs={climb}"]
    command += [f"--weights={folder}", f"--output={folder}", "--workloads", *map(str, workloads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recordings = {}
    for path in folder.glob(f"*-seed0-{backend_name}-cpu-{numerics}-{climb}.npz"):
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files if name != "about"}
            recordings[int(path.name.partition("-")[0])] = json.loads(str(archive["about"])), arrays
    return recordings


def test_exact_mode_records_every_rung_in_float64(climb):
    about, arrays = climb("float64")[0]

    assert about["error"] == ""
    assert about["flags"]["deterministic"] is False
    assert list(dict.fromkeys(name.partition("/")[0] for name in arrays)) == RUNGS
    assert {array.dtype for array in arrays.values()} == {np.dtype("float64")}
    assert arrays["losses/loss"].shape == (3,)
    assert arrays["predictions/output 0"].shape == (1_000, 10)


def test_a_model_of_its_own_class_is_given_float64_wherever_exact_mode_calls_it(climb):
    recordings = climb("float64")
    (about, told), (_, plain) = recordings[4], recordings[0]

    assert about["error"] == ""
    for name in ("loss/loss", "losses/loss", "predictions/output 0", "metric/accuracy"):
        assert told[name] == pytest.approx(plain[name], rel=1e-12)


def test_the_rungs_hang_together(climb):
    """Against NumPy: what one dense layer, cross-entropy and Adam give."""
    _, arrays = climb("float64")[0]
    batches = load.batches(load.load_dataset("fashion_mnist"), 60_000, LADDER_BATCH, 0)
    x, labels = batches.x[:OBSERVED].reshape(OBSERVED, -1).astype(float), batches.y[:OBSERVED]
    kernel, bias = (arrays[f"weights/sequential/dense/{name}"] for name in ("kernel", "bias"))
    logits = x @ kernel + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    wrong = (shares - np.eye(10)[labels]) / len(x)

    assert arrays["outputs/sequential/dense"] == pytest.approx(logits, rel=1e-12)
    assert arrays["loss/loss"] == pytest.approx(-np.log(shares[range(len(x)), labels]).mean(), rel=1e-12)
    assert arrays["gradients/sequential/dense/kernel"] == pytest.approx(x.T @ wrong, abs=1e-14)
    steps = arrays["one step/sequential/dense/kernel"] - kernel
    assert np.abs(steps).max() == pytest.approx(1e-3, rel=1e-3)  # Adam's first step is its learning rate
    assert not np.array_equal(arrays["all steps/sequential/dense/kernel"], arrays["one step/sequential/dense/kernel"])


@pytest.mark.parametrize("numerics", ["float32", "bfloat16"])
def test_other_numerics_climb_a_short_ladder_from_the_same_weights(climb, numerics):
    _, arrays = climb(numerics, steps=25)[0]

    assert {name.partition("/")[0] for name in arrays} == {"weights", "outputs", "loss", "gradients", "losses"}
    assert arrays["losses/loss"].shape == (20,)
    assert arrays["weights/sequential/dense/kernel"].dtype == np.float32


def test_bfloat16_is_in_force(climb):
    rounded, exact = climb("bfloat16", steps=25)[0][1], climb("float64")[0][1]
    apart = np.abs(rounded["outputs/sequential/dense"] - exact["outputs/sequential/dense"]).max()

    assert 1e-4 < apart / np.abs(exact["outputs/sequential/dense"]).max() < 1e-1


def in_bytes(arrays):
    return {name: array.tobytes() for name, array in arrays.items()}


def test_climbing_twice_gives_the_same_bytes(climb):
    """So nothing is left over from a rung."""
    recordings = climb("float64")

    assert in_bytes(recordings[0][1]) == in_bytes(recordings[1][1])


@pytest.mark.long
def test_another_process_gives_the_same_bytes(climb):
    first, second = climb("float64")[0][1], climb.__wrapped__("float64")[0][1]

    assert in_bytes(first) == in_bytes(second)


def test_a_model_that_fails_leaves_its_reason_and_the_rungs_until_then(climb):
    about, arrays = climb("float64")[3]

    assert about["error"].startswith("RuntimeError: no step today")
    assert list(dict.fromkeys(name.partition("/")[0] for name in arrays)) == RUNGS[:4]


def test_outputs_are_noted_once_for_each_call():
    shared = keras.layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    nested = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="inner")], name="nested")
    model = keras.Model(inputs, shared(nested(shared(inputs))))
    with observed() as (seen, _):
        model(np.ones((2, 3)))
    names = [name for name, _ in seen]

    assert [name.split("/")[-1] for name in names][:4] == ["shared", "inner", "nested", "shared#2"]
    assert all(array.shape == (2, 3) for _, array in seen)


def test_the_cells_of_a_recurrent_layer_are_left_out():
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.LSTM(2, name="memory")])
    with observed() as (seen, kinds):
        model(np.ones((2, 4, 3)))

    assert kinds[seen[0][0]] == "LSTM tanh"
    assert seen[0][0].split("/")[-1] == "memory"
    assert not any("cell" in name for name, _ in seen)


def test_afterwards_layers_are_called_as_before():
    original = keras.Layer.__call__
    with observed():
        assert keras.Layer.__call__ is not original

    assert keras.Layer.__call__ is original


def test_regularisation_is_part_of_loss_and_gradient(backend):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_regularizer="l2")])
    model.set_weights([np.array([[1.0], [2.0]], np.float32)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    x, y = (keras.ops.convert_to_tensor(np.array(part, np.float32)) for part in ([[1, 1]], [[3]]))
    loss, (gradient,) = backend.gradients(model, x, y)

    assert float(loss) == pytest.approx(0.01 * 5)
    assert keras.ops.convert_to_numpy(gradient).ravel() == pytest.approx([0.02, 0.04])


def test_a_workload_made_for_a_gpu_alone_is_not_climbed(climb):
    assert sorted(climb("float64")) == [0, 1, 3, 4]  # not 2


def test_a_ladder_draws_as_many_batches_as_it_has_steps():
    drawn = SimpleNamespace(dataset="planted_chain_small", class_weight=None)
    dataset, batches = ladder_data(drawn, 0, 3)

    assert len(dataset.x_train) == len(batches.x) == 3 * LADDER_BATCH


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("keras.layers.Dense(5)", "labels from 0 to 9, but the model has 5 outputs"),
        ("keras.layers.Dense(10), Late()", "late/kernel is made only when data comes"),
        ("keras.layers.Dense(10), keras.layers.Reshape((3,))", "does not build: ValueError"),
        ("keras.layers.Dense(10), Fussy()", "does not take its data: ValueError: .*not these"),
    ],
)
def test_an_unusable_workload_is_refused_by_name_with_the_reason(tmp_path, change, said):
    path = tmp_path / "mine.py"
    source = (ROOT / "models" / "perceptron.py").read_text().replace("keras.layers.Dense(10)", change)
    path.write_text(source + LAYERS)

    with pytest.raises(StartError, match=said) as caught:
        describe(str(path), [0], None)
    assert str(path) in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "Arguments received" not in str(caught.value)


BROKEN = """

class Broken(keras.optimizers.SGD):
    def apply(self, *arguments, **options):
        raise RuntimeError("no step today")
"""
TELLS = """
class Tells(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, inputs):
        wide = keras.backend.standardize_dtype(inputs.dtype) == "float64"
        return self.dense(self.flat(inputs)) * (1.0 if wide else 2.0)


"""
LAYERS = """

class Late(keras.layers.Layer):
    def build(self, shape):
        pass

    def call(self, inputs):
        if not hasattr(self, "kernel") and not isinstance(inputs, keras.KerasTensor) and LATE:
            self._tracker.unlock()
            self.kernel = self.add_weight(shape=(1,), name="kernel")
        return inputs

    def compute_output_shape(self, shape):
        return shape


class Fussy(keras.layers.Layer):
    def call(self, inputs):
        raise ValueError("not these")

    def compute_output_shape(self, shape):
        return shape


LATE = True
"""
