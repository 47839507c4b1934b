"""A training script of the user's own, run as it is on this backend: what is timed, held equal, and said of it."""

import json
import os
import sys
from pathlib import Path

import keras
import pytest

import models
from bench.contract.messages import Messenger
from bench.own_models.adopt import write
from bench.plan.parse import parse_run
from bench.worker.errors import StartError
from bench.worker.process.launch import Launch
from bench.worker.programs.prepare import describe
from bench.worker.programs.train import measure

HEAD = """
import os
os.environ["KERAS_BACKEND"] = "tensorflow"  # as many a script has it
import numpy as np
import keras
from neighbour import CLASSES

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 4)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
"""
MODEL = """
layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.1), keras.layers.Dense(CLASSES)]
model = keras.Sequential(layers)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
"""
FIT = (
    "model.fit(x, y, epochs=3, batch_size=16, validation_split=0.2, callbacks=[keras.callbacks.ReduceLROnPlateau()])\n"
)
EVALUATE = "print(model.evaluate(x, y))\nraise SystemExit('nobody comes here')\n"
GENERATOR = """
def batches():
    while True:
        yield x[:20], y[:20]

model.fit(batches(), steps_per_epoch=6, epochs=2, verbose=0)
"""
PY_DATASET = """
class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return x[index * 20 : index * 20 + 20], y[index * 20 : index * 20 + 20]

model.fit(Batches(), epochs=2)
"""
RAGGED = PY_DATASET.replace("return 10", "return 11").replace("* 20 : index * 20 + 20", "* 19 : index * 19 + 19")
OWN_STEP = """
class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3)

    def call(self, inputs):
        return self.inner(inputs)

    def fit(self, *words, **named):
        return super().fit(*words, **named)

model = Own()
model.compile("sgd", "mse")
model.fit(x, x[:, :3], epochs=1, initial_epoch=0)
"""


@pytest.fixture
def script(tmp_path):
    """The file by which launches know a script of this text."""

    def make(text, name="train.py", words="", options=()):
        (tmp_path / "neighbour.py").write_text("CLASSES = 2\n")
        (tmp_path / name).write_text(text)
        adopted = parse_run([f"--script={tmp_path / name}{words}", f"--output={tmp_path / 'runs'}", *options]).adopted
        write(adopted)
        return adopted[0].path

    return make


@pytest.fixture
def start(case, backend, tmp_path):
    """Describe a script and train it as a launch does, in this process; gives the description and the record."""

    def train(path):
        described = describe(path, [3, 4], tmp_path / "0-train")
        columns = {name: described[name] for name in ("workload", "dataset", "epochs", "batch_size")}
        planned = case(**columns, samples=described["train_samples"], track="shipped")
        launch = Launch(planned, 3, tmp_path / "0-train-seed3.npz", {}, 0.0, backend, Messenger(), {"phases": {}})
        measure(launch)
        return described, launch.record

    return train


@pytest.mark.parametrize(
    ("text", "samples", "batch_size", "epochs"),
    [
        (HEAD + MODEL + FIT + EVALUATE, 160, 16, 3),
        (HEAD + MODEL + GENERATOR, 120, 20, 2),
        (HEAD + MODEL + PY_DATASET, 200, 20, 2),
        (HEAD + MODEL + RAGGED, 200, 19, 2),
        (HEAD + MODEL + "model.fit(x, y, batch_size=16, steps_per_epoch=5, epochs=2)", 80, 16, 2),
        (HEAD + MODEL + "model.fit(x, y, batch_size=512, epochs=2)", 200, 200, 2),
        (HEAD + OWN_STEP, 200, 32, 2),
    ],
    ids=["arrays", "generator", "PyDataset", "a last batch of ten", "few steps", "a batch of all", "own fit"],
)
def test_its_first_fit_is_timed_with_its_own_data(script, start, text, samples, batch_size, epochs):
    described, found = start(script(text))

    sizes = described["train_samples"], described["batch_size"], described["epochs"]
    assert sizes == (samples, batch_size, epochs)
    assert found["samples_per_epoch"] == samples
    assert len(found["epochs"]) == epochs
    assert all(epoch["seconds"] > 0 for epoch in found["epochs"])


def test_every_launch_begins_with_the_weights_of_the_first_look(script, launch, tmp_path):
    """A launch by its command, in a process of its own."""
    path = script(HEAD + MODEL + FIT)
    described = describe(path, [3, 4], tmp_path / "0-train")
    columns = {name: described[name] for name in ("workload", "dataset", "epochs", "batch_size")}
    weights = f"--weights={tmp_path / '0-train-seed3.npz'}"
    done, content = launch(weights, **columns, samples=160, track="shipped")

    assert done.returncode == 0, done.stdout + done.stderr
    assert described["weights"]["3"] == described["weights"]["4"] == content["launch"]["weights_digest"]


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        (FIT + EVALUATE, "its metric is that of the evaluate after its fit, or else of the last epoch"),
        (FIT, "its metric is that of its last validation"),
        ("model.fit(x, y, epochs=3)\n", "its metric is that of the training itself, in the last epoch"),
    ],
    ids=["evaluate", "validation", "training"],
)
def test_its_metric_is_the_best_that_it_gives(script, start, fit, said):
    described, record = start(script(HEAD + MODEL + fit))
    found, last = record["test"], record["epochs"][-1]

    assert any(said in note for note in described["notes"])
    assert described["target"]["metric"] == "accuracy"
    if "evaluate" in fit:
        assert found["metric"] not in (last["metric"], last["validation_metric"])
    else:
        assert found["metric"] == (last["metric"] if "split" not in fit else last["validation_metric"])


@pytest.mark.parametrize(
    ("often", "validated"), [(2, 1), ([1, 2], 1), (4, None)], ids=["every second", "a list", "never"]
)
def test_a_validation_that_comes_seldom_counts_with_its_last(script, start, often, validated):
    fit = FIT.replace("callbacks=[keras.callbacks.ReduceLROnPlateau()]", f"validation_freq={often}")
    described, record = start(script(HEAD + MODEL + fit))

    epochs = record["epochs"]
    wanted = epochs[-1]["metric"] if validated is None else epochs[validated]["validation_metric"]
    assert record["test"]["metric"] == wanted
    said = "that of the training itself" if validated is None else "that of its last validation"
    assert any(said in note for note in described["notes"])


def test_a_training_that_ends_with_its_cold_epoch_is_refused(script, start):
    stop = (
        "class Stop(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, *_):\n"
        "        self.model.stop_training = True\n"
    )
    with pytest.raises(StartError, match="its training was ended after its first epoch"):
        start(script(HEAD + MODEL + stop + FIT.replace("ReduceLROnPlateau()", "LambdaCallback(), Stop()")))


def test_the_second_of_its_fits_is_timed_where_that_is_asked(script, start):
    freezes = "model.layers[0].trainable = False\n" + MODEL.splitlines()[-1].replace(', metrics=["accuracy"]', "")
    second = freezes + "\nmodel.fit(x[:64], y[:64], epochs=4)\n"
    described, record = start(script(HEAD + MODEL + FIT + second, options=["--fit=2"]))

    assert described["train_samples"] == record["samples_per_epoch"] == 64
    assert len(record["epochs"]) == 4
    assert described["target"]["metric"] == "loss"
    assert any("number 2 that is reached is timed" in note for note in described["notes"])


def test_a_fit_that_does_not_come_is_said(script, tmp_path):
    with pytest.raises(StartError, match=r"train\.py: ended after 1 of the 3 fits that --fit asks for"):
        describe(script(HEAD + MODEL + FIT, options=["--fit=3"]), [0], tmp_path / "0-train")


def test_it_is_handed_its_arguments(script, start):
    head = HEAD + "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--epochs', type=int)\n"
    fit = FIT.replace("epochs=3", "epochs=parser.parse_args().epochs")
    _, record = start(script(head + MODEL + fit, words=" --epochs 5"))

    assert len(record["epochs"]) == 5


def test_layers_in_which_backends_are_known_to_part_are_said(script, tmp_path):
    model = MODEL.replace("layers = [", "layers = [keras.layers.Embedding(9, 2), keras.layers.Flatten(), ")
    known, other = (
        describe(script(HEAD + "x = np.abs(x)\n" + text + FIT), [0], tmp_path / "0-train")["notes"]
        for text in (model, MODEL)
    )

    assert any("docs/findings.md: A token that comes twice, TensorFlow" in note for note in known)
    assert not any("docs/findings.md" in note for note in other)


def test_losses_that_layers_add_are_said(script, tmp_path):
    model = MODEL.replace("Dense(8,", "Dense(8, kernel_regularizer='l2',")
    notes = describe(script(HEAD + model + FIT), [0], tmp_path / "0-train")["notes"]

    assert any(note.endswith("accuracy, losses of its layers") for note in notes)


def test_what_its_fit_brings_is_said(script, tmp_path):
    notes = describe(script(HEAD + MODEL + FIT.replace("epochs=3", "epochs=1")), [0], tmp_path / "0-train")["notes"]

    assert notes[0] == "timed is the fit that line 15 leads to, of a Sequential called sequential"
    assert "is trained with Adam, sparse_categorical_crossentropy (from_logits=True), accuracy" in notes
    assert "its fit asks for 1 epoch; 2 are trained, since the first is cold" in notes
    assert any("ReduceLROnPlateau" in note for note in notes)


def test_what_weights_and_seeds_of_its_own_do_is_said(script, tmp_path):
    fit = "keras.utils.set_random_seed(1)\nmodel.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0)\n"
    model = MODEL.replace(
        '"adam"', "keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 9), clipnorm=1.0)"
    )
    described = describe(script(HEAD + model + fit), [0], tmp_path / "0-train")
    notes = described["notes"]

    assert described["own_seed"]
    (trained,) = [note for note in notes if note.startswith("is trained with")]
    assert trained == (
        "is trained with Adam (learning_rate=CosineDecay, clipnorm=1), sparse_categorical_crossentropy "
        "(from_logits=True), accuracy, class weights"
    )
    assert any(note.startswith("sets a random seed itself") for note in notes)


def test_a_metric_with_a_number_for_each_class_is_not_the_one_reported(script, start):
    model = MODEL.replace('"accuracy"', "keras.metrics.F1Score(average=None)").replace("Sparse", "")
    described, record = start(script(HEAD + "y = np.eye(2)[y]\n" + model + FIT + EVALUATE))

    assert described["target"]["metric"] == "loss"
    assert record["test"]["metric"] == record["test"]["loss"]


def test_more_fits_and_a_precision_of_its_own_are_said(script, tmp_path):
    head = HEAD + "keras.config.set_dtype_policy('mixed_bfloat16')\n"
    try:
        notes = describe(script(head + MODEL + FIT + FIT), [0], tmp_path / "0-train")["notes"]
    finally:
        keras.config.set_dtype_policy("float32")

    assert (
        "its text calls fit 2 times; the first that is reached is timed, and no other; --fit N names another" in notes
    )
    assert any(note.startswith("computes in mixed_bfloat16, which it sets itself") for note in notes)


def test_a_notebook_is_run_without_what_is_meant_for_jupyter(script, start):
    cells = ["%matplotlib inline\n!pip install keras\n" + HEAD, "%%time\nmodel.fit(None)", MODEL + FIT]
    notebook = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    _, record = start(script(json.dumps(notebook), "train.ipynb"))

    assert len(record["epochs"]) == 3


def test_a_module_of_its_own_is_found_though_it_bears_a_name_of_ours(script, start, tmp_path):
    (tmp_path / "models.py").write_text("EPOCHS = 4\n")
    fit = FIT.replace("epochs=3", "epochs=models.EPOCHS")
    _, record = start(script(HEAD + "import models\n" + MODEL + fit))

    assert len(record["epochs"]) == 4
    assert models.__file__ != str(tmp_path / "models.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEAD + "x = 1 / 0\nmodel.fit(x)",
            "train.py: does not come to its first fit: ZeroDivisionError: .*train.py, line 11",
        ),
        (HEAD + MODEL + "model.fit(x, y[:7])", "train.py: its first fit fails: "),
        (HEAD + "if False:\n    model.fit(x, y)\n", "train.py: ended without a call of fit"),
        (HEAD + "import tensorflow_hub\nmodel.fit(x)\n", "No module named 'tensorflow_hub'"),
        (HEAD + MODEL + "model.fit((one for one in ()), epochs=2)", "its fit is given no data"),
    ],
    ids=["error", "fit fails", "no fit", "missing package", "no data"],
)
def test_what_keeps_it_from_a_fit_is_said_in_one_line(script, tmp_path, text, said):
    with pytest.raises(StartError, match=said) as error:
        describe(script(text), [0], tmp_path / "0-train")

    assert "\n" not in str(error.value)


def test_other_data_than_in_the_first_look_are_seen(script, start):
    text = HEAD + "x = np.random.default_rng().normal(size=(200, 4))\n" + MODEL + FIT
    digests = {start(script(text))[1]["batches_digest"] for _ in range(2)}

    assert len(digests) == 2


def test_weights_of_another_shape_than_in_the_first_look_are_refused(script, start):
    once = "import pathlib\nseen = pathlib.Path('seen').exists()\npathlib.Path('seen').touch()\n"
    grows = MODEL.replace("Dense(8,", "Dense(9 if seen else 8,")
    with pytest.raises(StartError, match="its model has other weights here than in the run's first look at it"):
        start(script(HEAD + once + grows + FIT))


def test_the_process_is_left_as_it_was(script, tmp_path):
    before = os.environ["KERAS_BACKEND"], Path.cwd(), sys.argv
    describe(script(HEAD + MODEL + FIT), [0], tmp_path / "0-train")

    assert (os.environ["KERAS_BACKEND"], Path.cwd(), sys.argv) == before
    assert str(tmp_path) not in sys.path
