"""What the transformers share, on this backend."""

import keras
import numpy as np
import pytest

from models import gpt, gpt2_small
from models._transformer import Positions, Tokens


def test_a_token_twice_in_a_batch_takes_one_step():
    """Adam's first step is the learning rate, whatever the gradient, where it is summed before it is squared."""
    layers = [keras.Input((4,), dtype="int32"), Tokens(3, 1), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.set_weights([np.zeros((3, 1)), np.full((4, 1), 0.5), np.zeros(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.train_on_batch(np.array([[0, 0, 1, 0]], np.int32), np.array([[1.0]]))

    assert model.get_weights()[0].ravel().tolist() == pytest.approx([0.1, 0.1, 0.0], abs=1e-5)


@pytest.mark.parametrize(("parts", "added"), [(None, [0, 1, 2, 3]), (2, [0, 0, 1, 1])])
def test_each_position_or_each_part_gets_a_vector_of_its_own(parts, added):
    layer = Positions(parts)
    layer.build((None, 4, 2))
    vectors = np.arange(2.0 * (parts or 4)).reshape(-1, 2)
    layer.set_weights([vectors])
    outputs = keras.ops.convert_to_numpy(layer(np.ones((3, 4, 2), np.float32)))

    assert np.array_equal(outputs, np.broadcast_to(1 + vectors[added], (3, 4, 2)))


@pytest.mark.parametrize("build", [gpt.build, gpt2_small.small.build])
def test_no_prediction_depends_on_what_comes_later(build):
    model = build()
    (length,) = model.input_shape[1:]
    tokens = np.random.default_rng(0).integers(0, 16, (2, length), np.int32)
    later = tokens.copy()
    later[:, length // 2 :] = (later[:, length // 2 :] + 1) % 16
    before, after = (model.predict(one, verbose=0)[:, : length // 2] for one in (tokens, later))

    assert np.allclose(before, after, atol=1e-6)
    assert not np.allclose(*(model.predict(one, verbose=0)[:, -1] for one in (tokens, later)), atol=1e-3)
