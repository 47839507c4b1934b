"""Same start, same data."""

import keras
import numpy as np
import pytest

from bench.worker.errors import StartError
from bench.worker.workload import load
from models.datasets import Dataset

TINY = Dataset(np.arange(10.0, dtype=np.float32), np.arange(10, dtype=np.int32), np.zeros(2), np.zeros(2))


def test_batches_are_the_first_samples_permuted_without_the_partial_last_batch():
    found = load.batches(TINY, samples=8, batch_size=3, seed=0)

    assert len(found.x) == 6
    assert set(found.y) < set(range(8))
    assert np.array_equal(found.x, found.y)


def test_batches_follow_from_the_seed_alone():
    again = [load.batches(TINY, 10, 2, seed).digest for seed in (0, 0, 1)]

    assert again[0] == again[1] != again[2]


def test_the_order_of_seed_0_is_the_same_everywhere():
    assert load.batches(TINY, 10, 2, seed=0).y.tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


def test_samples_that_are_their_own_labels_are_kept_once():
    images = TINY._replace(y_train=TINY.x_train)
    found = load.batches(images, 10, 2, seed=0)

    assert found.y is found.x


def test_a_drawn_data_set_has_as_many_samples_as_asked_for():
    asked, own = load.load_dataset("planted_rule", 40), load.load_dataset("planted_rule")

    assert load.is_synthetic("planted_rule")
    assert not load.is_synthetic("fashion_mnist")
    assert (len(asked.x_train), len(own.x_train)) == (40, 32_000)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_a_variant_is_loaded_by_its_name(activation):
    model = load.load_workload(f"activations-{activation}").build()

    assert {layer.activation.__name__ for layer in model.layers[1:3]} == {activation}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("activations-elu", 'workloads["elu"] = Workload(…)'),
        ("activations", "workload = Workload(…)"),
        ("mlp-relu", 'workloads["relu"] = Workload(…)'),
    ],
)
def test_a_variant_that_is_not_there_is_refused_in_one_line(name, wanted):
    with pytest.raises(StartError) as caught:
        load.load_workload(name)

    assert str(caught.value) == f"workload {name} defines no `{wanted}`"


def test_a_digest_notices_value_shape_and_type():
    arrays = [np.zeros(4, np.float32), np.ones(4, np.float32), np.zeros((2, 2), np.float32), np.zeros(4, np.int32)]

    assert len({load.digest([array]) for array in arrays}) == 4


def test_weights_come_back_as_they_were(tmp_path):
    weights = [
        np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in [(3, 4), (4,), (), (12, 1)] * 4
    ]
    written = load.save_weights(tmp_path / "weights.npz", weights)

    assert load.digest(load.load_weights(tmp_path / "weights.npz")) == written


@pytest.mark.parametrize("labels", [[0, 10], [-1, 3]])
def test_labels_out_of_range_are_refused_with_the_range(labels):
    with pytest.raises(StartError, match="the model has 10 outputs"):
        load.check_labels(np.array(labels), 10, "fashion_mnist, training set")


def test_an_unknown_data_set_is_answered_with_the_known_ones():
    with pytest.raises(StartError, match="known: fashion_mnist"):
        load.load_dataset("mnist")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_that_name", "does not import: ModuleNotFoundError"),
        ("workload = 3", "defines no `workload"),
        ("def", "does not import: SyntaxError"),
    ],
)
def test_a_workload_file_that_cannot_be_used_is_named(tmp_path, source, message):
    path = tmp_path / "mine.py"
    path.write_text(source)

    with pytest.raises(StartError, match=message) as caught:
        load.load_workload(str(path))
    assert str(path) in str(caught.value)


class Recorder(keras.layers.Layer):
    """Passes its input on and keeps a copy."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs):
        if "Symbolic" not in type(inputs).__name__ and "Tracer" not in type(inputs).__name__:
            self.seen.append(keras.ops.convert_to_numpy(inputs).ravel().tolist())
        return inputs


def test_the_model_sees_the_planned_batches_in_their_order_in_every_epoch():
    planned = load.batches(TINY, samples=10, batch_size=3, seed=5)
    recorder = Recorder()
    model = keras.Sequential([keras.Input((1,)), recorder, keras.layers.Dense(10)])
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True, jit_compile=False
    )
    model.build()
    recorder.seen.clear()
    model.fit(planned.x[:, None], planned.y, batch_size=3, epochs=2, shuffle=False, verbose=0)

    expected = planned.x.reshape(3, 3).tolist()
    assert recorder.seen[-6:] == expected * 2
