"""The tracks on this backend: each trains the same network from the same weights to the same place."""

import itertools
import json
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.contract.case import input_kinds, input_unavailable
from bench.contract.catalog import facts_of_all
from bench.contract.paths import ROOT
from bench.worker import backends
from bench.worker.backends import kinds
from bench.worker.process import environment
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import inputs, load, train

STEPS, BATCH = 6, 16
layers = keras.layers


def convolutional():
    inputs = keras.Input((28, 28))
    x = layers.Reshape((28, 28, 1))(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = layers.Add()([x, layers.Conv2D(4, 3, padding="same", use_bias=False)(x)])
    x = layers.AveragePooling2D(2)(layers.ReLU()(x))
    x = layers.GlobalAveragePooling2D()(layers.Activation("tanh")(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def attentive():
    inputs = keras.Input((28, 28))
    x = layers.LayerNormalization()(layers.Dense(8, activation="silu")(inputs))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return keras.Model(inputs, layers.Dense(10, activation="linear")(layers.GlobalAveragePooling1D()(x)))


def recurrent():
    inputs = keras.Input((28, 28))
    x = layers.LSTM(4, return_sequences=True)(layers.Reshape((7, 112))(inputs))
    return keras.Model(inputs, layers.Dense(10)(layers.GRU(4)(x)))


def dropping():
    middle = [layers.Flatten(), layers.Dense(8, activation="gelu"), layers.Dropout(0.5), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28)), *middle])


LONG = pytest.mark.long  # torch compiles the whole step for a minute or two
EVERY = [
    pytest.param("native", attentive, id="native-attentive"),
    pytest.param("native", convolutional, id="native-convolutional", marks=LONG),
    pytest.param("native", recurrent, id="native-recurrent", marks=LONG),
    pytest.param("loop", attentive, id="loop-attentive", marks=LONG),
    pytest.param("loop", convolutional, id="loop-convolutional", marks=LONG),
]


@pytest.fixture(scope="module")
def batches():
    return load.batches(load.load_dataset("fashion_mnist"), STEPS * BATCH, BATCH, 0)


@pytest.fixture
def model():
    """A compiled model, always with the same weights."""

    def make(build, optimizer=None):
        keras.utils.set_random_seed(0)
        made = build()
        random = np.random.default_rng(0)
        made.set_weights([random.normal(0.5, 0.3, weight.shape) for weight in made.get_weights()])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile(optimizer or keras.optimizers.SGD(2**-5, momentum=0.5), loss, metrics=["accuracy"])
        return made

    return make


def configurations(backend, track, build):
    """Every configuration of the knobs that change something in such a network."""
    idle = kinds.idle_knobs({type(layer).__name__ for layer in build().layers})
    every = backends.candidates(backend, track).items()
    known = {name: values[:1] if name in idle else values for name, values in every}
    return [dict(zip(known, values, strict=True)) for values in itertools.product(*known.values())]


def trained(backend, track, knobs, model, batches):
    """The losses of two passes and the metric of the second; the weights are in the model."""
    trainer = backends.trainer(backend, track, model, "accuracy", knobs)
    placed = trainer.place(*(inputs.in_batches(part, BATCH) for part in batches.parts))
    first, second = trainer.train(placed), trainer.train(placed)
    trainer.store()
    return [*first.losses, *second.losses], second.metric


@pytest.mark.parametrize(("track", "build"), EVERY)
def test_every_configuration_of_a_loop_trains_as_fit_does(backend_name, model, batches, track, build):
    trains_as_fit(backend_name, track, configurations(backend_name, track, build), lambda: model(build), batches)


@pytest.mark.parametrize("track", train.OWN_LOOP)
def test_a_loop_trains_a_convolutional_network_as_fit_does(backend_name, model, batches, track):
    knobs = train.defaults(backend_name, track)
    trains_as_fit(backend_name, track, [knobs], lambda: model(convolutional), batches)


def trains_as_fit(backend_name, track, every, make, batches):
    """In float32, so nearly; the ladder proves it in exact mode."""
    reference = make()
    logs = reference.fit(batches.x, batches.y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
    for knobs in every:
        ours = make()
        losses, metric = trained(backend_name, track, knobs, ours, batches)

        assert len(losses) == 2 * STEPS, knobs
        assert [np.mean(losses[:STEPS]), np.mean(losses[STEPS:])] == pytest.approx(logs["loss"], rel=1e-4), knobs
        assert metric == pytest.approx(logs["accuracy"][1], abs=1e-6), knobs
        for variable, expected in zip(ours.weights, reference.get_weights(), strict=True):
            found = keras.ops.convert_to_numpy(variable.value)
            assert found == pytest.approx(expected, rel=1e-3, abs=1e-4), (knobs, variable.path)


@pytest.mark.parametrize("track", train.OWN_LOOP)
def test_nesterovs_momentum_and_adam_are_taken_over(backend_name, model, batches, track):
    for optimizer in (lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), keras.optimizers.Adam):
        reference, ours = model(attentive, optimizer()), model(attentive, optimizer())
        logs = reference.fit(batches.x, batches.y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
        knobs = {name: values[0] for name, values in backends.candidates(backend_name, track).items()}
        losses, _ = trained(backend_name, track, knobs, ours, batches)

        assert np.mean(losses[STEPS:]) == pytest.approx(logs["loss"][1], rel=2e-3)  # torch places epsilon elsewhere


@pytest.mark.parametrize("track", train.OWN_LOOP)
def test_a_rate_of_learning_that_falls_does_so_after_the_same_steps(backend_name, model, batches, track):
    """The second fall is within the second pass, after which nothing moves any more: one step off would show."""

    def falling():
        rates = keras.optimizers.schedules.PiecewiseConstantDecay([2, STEPS + 1], [0.05, 0.01, 0.0])
        return keras.optimizers.SGD(rates, momentum=0.0)

    reference = model(attentive, falling())
    reference.fit(batches.x, batches.y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    for knobs in configurations(backend_name, track, attentive):
        ours = model(attentive, falling())
        trained(backend_name, track, knobs, ours, batches)
        for variable, expected in zip(ours.weights, reference.get_weights(), strict=True):
            found = keras.ops.convert_to_numpy(variable.value)
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), (knobs, variable.path)


def test_dropout_drops_while_training(backend_name, model, batches):
    knobs = {name: values[0] for name, values in backends.candidates(backend_name, "native").items()}
    still = [
        trained(backend_name, "native", knobs, model(dropping, keras.optimizers.SGD(0.0)), batches)[0] for _ in range(2)
    ]

    assert len(set(np.round(still[0], 6))) == 2 * STEPS  # the second pass draws other masks
    assert np.isfinite(still).all()


@pytest.mark.parametrize("kind", input_kinds())
def test_every_input_hands_fit_the_same_batches(backend_name, model, batches, kind):
    installed = [facts.name for facts in facts_of_all() if find_spec(facts.packages[0])]
    if reason := input_unavailable(kind, backend_name, installed):
        pytest.skip(reason)
    weights = []
    for handed in ("arrays", kind):
        ours = model(attentive)
        given = inputs.arguments(handed, batches.parts, BATCH)
        ours.fit(**given, epochs=2, shuffle=False, verbose=0)
        weights.append(ours.get_weights())

    for one, other in zip(*weights, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_an_input_of_another_framework_is_refused_with_the_reason(backend_name):
    other = "tf.data" if backend_name != "tensorflow" else "DataLoader"

    assert f"the environment of {backend_name} does not have" in input_unavailable(other, backend_name)


def test_an_input_is_made_by_the_framework_that_it_is_named_for(monkeypatch):
    made = SimpleNamespace(MAKERS={"tf.data": lambda parts, size: {"x": (parts, size)}})
    asked = []
    monkeypatch.setattr(backends, "inputs", lambda name: asked.append(name) or made)

    assert inputs.arguments("tf.data", ["parts"], BATCH) == {"x": (["parts"], BATCH)}
    assert asked == ["tensorflow"]


def test_the_versions_of_a_launch_name_the_framework_of_its_input(backend_name, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(__version__="1.2"))

    assert environment.versions(backend_name, "openvino")["openvino"] == "1.2"
    assert "openvino" not in environment.versions(backend_name)


@pytest.mark.parametrize("track", ["shipped", "tuned", "loop", "native"])
def test_every_track_records_what_fit_records(recorded, track):
    found, fit = recorded(track=track).launch, recorded().launch

    assert len(found["epochs"]) == 3
    assert found["weights_digest"] == fit["weights_digest"]
    assert (found["batches_digest"] == fit["batches_digest"]) is (track != "shipped")
    assert found["epochs"][-1]["metric"] > 0.5
    assert found["test"]["metric"] == pytest.approx(fit["test"]["metric"], abs=0.05)
    assert ("malloc" in found["knobs"]) is (track != "shipped")
    if track in ("tuned", "loop"):  # the same arithmetic, so nearly the same numbers
        assert found["epochs"][-1]["loss"] == pytest.approx(fit["epochs"][-1]["loss"], rel=1e-3)


def test_a_launch_takes_the_knobs_it_is_given(launch):
    done, content = launch("--knobs", json.dumps({"steps_per_execution": 1, "malloc": "keep"}), track="tuned")
    assert done.returncode == 0, done.stdout + done.stderr

    assert content["launch"]["resolved"]["malloc"] == "keep"
    assert content["launch"]["resolved"]["input"] == "arrays"


def test_shipped_leaves_precision_to_the_framework(recorded, backend_name):
    flags = recorded(track="shipped").launch["resolved"]["flags"]
    own = {"jax": {"jax_default_matmul_precision": None}, "tensorflow": {"tensor_float_32": True}, "torch": {}}

    assert {name: flags[name] for name in own[backend_name]} == own[backend_name]


def test_freed_memory_is_kept_only_where_it_is_asked_for():
    """In a process of its own, since it cannot be undone: the second of two large blocks costs no page faults."""
    code = """
import resource, sys
sys.path.insert(0, {root!r})
from bench.worker.workload import train
import numpy as np
{keep}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""

    def second(keep):
        done = subprocess.run(
            [sys.executable, "-c", code.format(root=str(ROOT), keep=keep)], capture_output=True, text=True, check=True
        )
        return int(done.stdout.splitlines()[-1])

    assert second("train.keep_freed_memory()") < 100
    assert second("") > 100


def test_the_clock_sees_the_epochs_of_a_loop(backend_name, backend, model, batches, case):
    ticks = itertools.count()
    clock = EpochClock("accuracy", backend.barrier, now=lambda: float(next(ticks)))
    given = train.defaults(backend_name, "loop")
    train.train(case(track="loop", batch_size=BATCH), model(attentive), batches.parts, given, clock)

    assert len(clock.epochs) == 3
    assert all(epoch.seconds == 1.0 for epoch in clock.epochs)
    assert clock.epochs[-1].loss < clock.epochs[0].loss
