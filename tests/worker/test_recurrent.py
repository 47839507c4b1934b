"""Recurrent layers and embeddings without Keras: in exact mode every step is that of `fit`, to rounding."""

import keras
import numpy as np
import pytest
from test_ladder import climbed
from test_network import compiled

from bench.worker.backends import kinds, network
from bench.worker.errors import StartError
from bench.worker.programs.prepare import describe
from models import gru, lstm

layers = keras.layers

# As a user writes it; the layers are read in every way that there is.
SOURCE = """
import dataclasses

import keras
from models import Target, {like}

layers = keras.layers


def build():
    x = inputs = {inputs}
    {body}
    return keras.Model(inputs, x)


workload = dataclasses.replace({like}.{name}, build=build, target=Target("accuracy", 0.5))
"""
ROWS = """
    x = layers.LSTM(6, return_sequences=True)(layers.Reshape((4, 196))(x))
    x = layers.LSTM(5, use_bias=False, return_sequences=True, go_backwards=True)(x)
    x = layers.GRU(5, reset_after=False)(x)
    x = layers.Dense(10)(x)
"""
TOKENS = """
    x = layers.GRU(5, use_bias=False, return_sequences=True)(layers.Embedding(100, 6)(x))
    x = layers.Dense(100)(x)
"""


@pytest.fixture(scope="module")
def climb(request, tmp_path_factory):
    """What `fit` and `native` record with momentum SGD, of the rows of images and of tokens in turn."""
    folder = tmp_path_factory.mktemp("ladders")
    sources = {
        "rows": SOURCE.format(like="lstm", name="workload", inputs="keras.Input((28, 28))", body=ROWS.strip()),
        "tokens": SOURCE.format(
            like="gpt2_small", name="small", inputs='keras.Input((64,), dtype="int32")', body=TOKENS.strip()
        ),
    }
    paths = [folder / f"{name}.py" for name in sources]
    for number, (path, source) in enumerate(zip(paths, sources.values(), strict=True)):
        path.write_text(source)
        found = describe(str(path), [0], folder / f"{number}-{path.stem}")
        assert (found["without_native"], found["without_native_ladder"]) == ("", "")
    backend_name = request.config.getoption("backend")
    return [climbed(backend_name, folder, "float64", paths, climb=f"{track}-SGD") for track in ("fit", "native")]


@pytest.mark.parametrize("number", [0, 1], ids=["rows", "tokens"])
def test_recurrent_layers_and_embeddings_train_as_in_fit_to_rounding(climb, number):
    (_, by_fit), (about, without) = (recordings[number] for recordings in climb)

    assert about["error"] == ""
    assert set(without) == {name for name in by_fit if not name.startswith("outputs/")}
    for name, value in without.items():
        assert value.dtype == np.float64
        assert np.abs(value - by_fit[name]).max() < 1e-12, name
        assert np.abs(value).max() > 0 or name.startswith("weights/"), name


@pytest.mark.parametrize("model", [gru, lstm], ids=["gru", "lstm"])
def test_the_recurrent_workloads_are_trained_without_keras(model):
    assert network.refusals(compiled(model.build())) == ("", "")


def over_rows(kind, *, call=None, **options):
    inputs = keras.Input((4, 3), batch_size=2)
    x = getattr(layers, kind)(5, **options)(inputs, **(call or {}))
    return keras.Model(inputs, layers.Dense(3)(x[0] if options.get("return_state") else x))


def bidirectional():
    return keras.Sequential([keras.Input((4, 3)), layers.Bidirectional(layers.GRU(5)), layers.Dense(3)])


def begun():
    inputs = keras.Input((4, 3))
    state = layers.Dense(5)(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(5)(inputs, initial_state=state)))


def embedded(**options):
    return keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(9, 5, **options), layers.Flatten(), layers.Dense(3)]
    )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: over_rows("LSTM", dropout=0.1), "LSTM (lstm) with dropout=0.1; 0.0 is read"),
        (lambda: over_rows("GRU", recurrent_dropout=0.1), "GRU (gru) with recurrent_dropout=0.1; 0.0 is read"),
        (lambda: over_rows("LSTM", stateful=True), "with stateful=True"),
        (lambda: over_rows("GRU", return_state=True), "with return_state=True"),
        (lambda: over_rows("GRU", activation="relu"), "with activation relu; tanh is read"),
        (lambda: over_rows("LSTM", recurrent_activation="hard_sigmoid"), "recurrent_activation hard_sigmoid; sigmoid"),
        (lambda: over_rows("LSTM", recurrent_constraint="non_neg"), "with recurrent_constraint="),
        (lambda: over_rows("LSTM", call={"mask": np.ones((2, 4), bool)}), "is called with a mask"),
        (begun, "GRU (gru) with an initial state, not read"),
        (bidirectional, "bidirectional) is not among what it reads"),
        (lambda: embedded(mask_zero=True), "embedding) with mask_zero=True; False is read"),
        (lambda: embedded(embeddings_constraint="non_neg"), "with embeddings_constraint="),
        (lambda: embedded(embeddings_regularizer="l2"), "adds a loss of its own"),
    ],
)
def test_a_recurrent_layer_or_embedding_set_otherwise_is_refused_by_name(make, reason):
    keras.utils.clear_session(free_memory=False)
    with pytest.raises(StartError) as refused:
        network.read(compiled(make()))

    assert str(refused.value).startswith("native: ")
    assert reason in str(refused.value)


def test_only_a_recurrent_network_has_a_loop_to_unroll():
    assert "unroll" in kinds.idle_knobs({"Dense", "Conv2D"})
    assert "unroll" not in kinds.idle_knobs({"Dense", "GRU"})
