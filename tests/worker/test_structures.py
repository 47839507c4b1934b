"""Models with several inputs or outputs, and samples that count differently, through every track and parity."""

import keras
import numpy as np
import pytest
from test_ladder import climbed

from bench.own_models.adopt import write
from bench.plan.parse import parse_run
from bench.worker.errors import StartError
from bench.worker.programs.prepare import describe
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import load, train
from bench.worker.workload.compiled import metric_name
from bench.worker.workload.model import compilation, compile_model, fresh
from models.datasets import npz

SAMPLES = 160
RANDOM = np.random.default_rng(0)
USER, FILM = RANDOM.integers(0, 7, SAMPLES), RANDOM.integers(0, 5, (SAMPLES, 1))
TASTE = RANDOM.normal(size=(SAMPLES, 3)).astype("float32")
YES = (TASTE[:, :1] > 0).astype("float32")
INPUTS = {"user": USER, "film": FILM, "taste": TASTE}
NAMED = {f"{part}/{name}": array for part in ("x_train", "x_test") for name, array in INPUTS.items()}
LABELS = {"y_train": YES, "y_test": YES}
BUILD = """\
import keras
from keras import layers, ops

def build():
    user, film = keras.Input((), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="film")
    taste = keras.Input((3,), name="taste")
    both = [layers.Embedding(7, 4)(user), layers.Flatten()(layers.Embedding(5, 4)(film)), layers.Dense(4)(taste)]
    joined = layers.Dropout(0.1)(layers.concatenate(both))
    model = keras.Model({inputs}, {outputs})
    model.compile("adam", {compiled})
    return model
"""
BY_NAME = '{"taste": taste, "user": user, "film": film}'
YES_OR_NO = {"outputs": 'layers.Dense(1, activation="sigmoid")(joined)', "compiled": '"mse", metrics=["mae"]'}
TWO = {
    "outputs": '{"liked": layers.Dense(1, activation="sigmoid", name="liked")(joined), '
    '"film": layers.Dense(5, name="which")(joined)}',
    "compiled": '{"liked": "mse", "film": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}, '
    'metrics={"film": ["accuracy"]}, loss_weights={"liked": 1.0, "film": 0.5}',
}


@pytest.fixture
def workload(tmp_path):
    """The workload file of a model with three inputs and the data in these arrays."""

    def make(arrays, inputs=BY_NAME, **given):
        np.savez(tmp_path / "data.npz", **arrays)
        (tmp_path / "model.py").write_text(BUILD.format(inputs=inputs, **{**YES_OR_NO, **given}))
        options = [f"--workloads={tmp_path / 'model.py'}", f"--dataset={tmp_path / 'data.npz'}", f"--output={tmp_path}"]
        adopted = parse_run(options).adopted
        write(adopted)
        return adopted[0].path

    return make


@pytest.fixture
def start(case, backend, backend_name):
    """Train a workload in this process as a launch does; gives the epochs."""

    def trained(path, **columns):
        given = case(samples=SAMPLES, batch_size=16, epochs=3, **columns)
        workload = load.load_workload(path)
        batches = load.batches(load.dataset_of(workload), SAMPLES, 16, seed=3)
        keras.utils.set_random_seed(3)
        model = fresh(workload, batches.x)
        compiled = compilation(workload, model, batches.y)
        compile_model(model, compiled)
        clock = EpochClock(metric_name(workload, compiled, model), backend.barrier)
        train.train(given, model, batches.parts, train.defaults(backend_name, given.track), clock)
        return clock.epochs

    return trained


LIKED_AND_FILM = {
    f"y_{part}/{name}": one for part in ("train", "test") for name, one in (("liked", YES), ("film", FILM))
}


@pytest.mark.parametrize("track", ["shipped", "fit", "loop"])
def test_inputs_with_names_are_trained_on_in_every_track(workload, start, track):
    epochs = start(workload({**NAMED, **LABELS}), track=track)

    assert epochs[-1].loss < epochs[0].loss


def test_a_model_with_several_inputs_is_launched_like_any_other(workload, launch, tmp_path):
    path = workload({**NAMED, **LABELS})
    drawn = describe(path, [3], tmp_path / "0-model")
    given = {"workload": path, "dataset": str(tmp_path / "data.npz"), "samples": SAMPLES, "batch_size": 16}
    done, content = launch(f"--weights={tmp_path / '0-model-seed3.npz'}", **given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (drawn["target"]["metric"], drawn["target"]["lower_is_better"]) == ("mae", True)
    assert content["launch"]["weights_digest"] == drawn["weights"]["3"]


def test_inputs_without_names_are_a_tuple_in_their_order(workload, start):
    numbered = {f"x_{part}/{index}": one for part in ("train", "test") for index, one in enumerate(INPUTS.values())}
    epochs = start(workload({**numbered, **LABELS}, inputs="[user, film, taste]"), track="loop")

    assert epochs[-1].loss < epochs[0].loss


@pytest.mark.parametrize("track", ["fit", "loop"])
def test_several_outputs_are_trained_each_with_its_loss(workload, start, track):
    path = workload({**NAMED, **LIKED_AND_FILM}, **TWO)
    epochs = start(path, track=track)

    assert describe(path, [0], None)["target"]["metric"] == "film_accuracy"
    assert epochs[-1].loss < epochs[0].loss


@pytest.mark.parametrize("climb", ["fit-own", "loop-own"])
def test_a_model_with_several_inputs_climbs_every_rung(workload, backend_name, tmp_path, climb):
    path = workload({**NAMED, **LIKED_AND_FILM}, **TWO)
    describe(path, [0], tmp_path / "0-model")
    about, arrays = climbed(backend_name, tmp_path, "float64", [path], climb=climb)[0]

    assert about["error"] == ""
    assert {name.partition("/")[0] for name in arrays} >= {"outputs", "gradients", "losses", "predictions", "metric"}


@pytest.mark.parametrize("kind", ["arrays", "PyDataset", "own", "resident"])
def test_every_input_of_fit_takes_structures_and_weights(workload, start, backend_name, kind):
    own = {"tensorflow": "tf.data", "torch": "DataLoader"}.get(backend_name, "PyDataset")
    weight = {"sample_weight_train": np.linspace(0, 1, SAMPLES)}
    epochs = start(workload({**NAMED, **LABELS, **weight}), input=own if kind == "own" else kind)

    assert epochs[-1].loss < epochs[0].loss


@pytest.mark.parametrize("track", ["shipped", "fit", "loop"])
def test_samples_that_count_nothing_are_not_learned_from(workload, start, track):
    weight = {"sample_weight_train": np.zeros(SAMPLES)}
    epochs = start(workload({**NAMED, **LABELS, **weight}), track=track)

    assert [epoch.loss for epoch in epochs] == [0, 0, 0]


def test_weights_of_classes_become_weights_of_samples(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=TASTE, y_train=YES, x_test=TASTE, y_test=YES, sample_weight_train=USER)
    text = """
import keras
from models import Target, Workload

workload = Workload(
    build=lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]),
    dataset="data.npz", batch_size=32, epochs=2, quick_samples=64, class_weight={1: 3.0},
    optimizer=lambda: keras.optimizers.SGD(), loss=lambda: keras.losses.MeanSquaredError(),
    target=Target("mean_squared_error", margin=None),
)
"""
    (tmp_path / "weighted.py").write_text(text)
    dataset = load.dataset_of(load.load_workload(str(tmp_path / "weighted.py")))

    assert np.allclose(dataset.sample_weight, USER * (1 + 2 * YES[:, 0]))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({**NAMED, **LABELS, "x_train/user": TASTE}, r"a sample of x_train has shape \(3,\), one of x_test \(\)"),
        ({"x_train": TASTE, "x_test": TASTE, **LABELS}, "has 3 inputs, and the data set 1"),
        ({"x_train/a": TASTE, "x_test/a": TASTE, **LABELS}, "has an input taste, and the data set has a"),
        ({**NAMED, **LABELS, "x_train/film": FILM[1:]}, "an array of x_train or y_train has 159 samples, another 160"),
        ({**NAMED, **LABELS, "sample_weight_train": USER[1:]}, r"sample_weight_train has shape \(159,\)"),
        (
            {**NAMED, **LABELS, "x_train/taste": TASTE[:, :2], "x_test/taste": TASTE[:, :2]},
            r"takes samples of shape \(3,\) for taste, those of the data set have shape \(2,\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(workload, arrays, said):
    with pytest.raises(StartError, match=said):
        describe(workload(arrays), [0], None)


def test_an_npz_without_a_test_set_holds_out_a_tenth_of_every_array(tmp_path):
    arrays = {**{f"x_train/{name}": one for name, one in INPUTS.items()}, "y_train": YES, "sample_weight_train": USER}
    np.savez(tmp_path / "data.npz", **arrays)
    dataset = npz.load(str(tmp_path / "data.npz"))

    assert {len(one) for one in dataset.x_test.values()} == {len(dataset.y_test)} == {16}
    assert {len(one) for one in dataset.x_train.values()} == {len(dataset.sample_weight)} == {144}
