"""Models and data of the user's own, on this backend."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from test_ladder import climbed

from bench.own_models import template
from bench.own_models.adopt import write
from bench.plan.parse import parse_run
from bench.worker.errors import StartError
from bench.worker.programs.prepare import describe
from bench.worker.workload import load
from bench.worker.workload.compiled import metric_name
from bench.worker.workload.model import compilation, fresh, hand_as_fit, keras_loss
from models import own

FEATURES, CLASSES = 4, 3
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, FEATURES))
Y = (X[:, 0] > 0) + (X[:, 1] > 0) * 1  # 0 to 2
DATA = {"x_train": X[:160], "y_train": Y[:160], "x_test": X[160:], "y_test": Y[160:]}
ONE_HOT = {name: np.eye(CLASSES)[DATA[name]] for name in ("y_train", "y_test")}
PAIRS = {"y_train": X[:160, :2], "y_test": X[160:, :2]}
YES = {name: (DATA[name] > 0).astype("float32")[:, None] for name in ("y_train", "y_test")}
NUMBER = {"y_train": X[:160, :1], "y_test": X[160:, :1]}
BUILD = """\
import keras

def build():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense({last})])
    {more}
    return model
"""


def network(*layers):
    return keras.Sequential([keras.Input((FEATURES,)), *layers])


@pytest.fixture
def workload(tmp_path):
    """Write the workload file that `--workloads MODEL --dataset DATA` makes: of a model, a function's text, a file."""

    def make(model, *options, **changes):
        np.savez(tmp_path / "data.npz", **{name: one for name, one in {**DATA, **changes}.items() if one is not None})
        path = model if isinstance(model, Path) else tmp_path / f"model.{'py' if isinstance(model, str) else 'keras'}"
        if isinstance(model, str):
            path.write_text(model)
        elif isinstance(model, keras.Model):
            model.save(path)
        given = [f"--workloads={path}", f"--dataset={tmp_path / 'data.npz'}", f"--output={tmp_path}", *options]
        adopted = parse_run(given).adopted
        write(adopted)
        return adopted[0].path

    return make


def test_a_saved_model_begins_with_its_weights_whatever_the_seed(workload, tmp_path):
    model = network(keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES))
    described = describe(workload(model), [0, 1], tmp_path / "0-model")

    assert described["weights"] == dict.fromkeys(("0", "1"), load.digest(model.get_weights()))
    assert described["dataset"] == str(tmp_path / "data.npz")
    assert (described["train_samples"], described["test_samples"], described["quick_samples"]) == (160, 40, 160)
    assert described["notes"] == ["is trained with Adam, sparse_categorical_crossentropy (from_logits=True), accuracy"]


def test_a_function_draws_other_weights_for_each_seed(workload, tmp_path):
    described = describe(workload(BUILD.format(last=CLASSES, more="")), [0, 1], tmp_path / "0-model")

    assert described["weights"]["0"] != described["weights"]["1"]


@pytest.mark.parametrize("kind", ["saved", "function"])
def test_a_model_of_ones_own_is_launched_like_any_other(workload, tmp_path, launch, kind):
    model = network(keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES))
    path = workload(model if kind == "saved" else BUILD.format(last=CLASSES, more=""))
    digest = describe(path, [3], tmp_path / "0-model")["weights"]["3"]
    given = {"workload": path, "dataset": str(tmp_path / "data.npz"), "samples": 160, "batch_size": 16, "epochs": 20}
    done, content = launch(f"--weights={tmp_path / '0-model-seed3.npz'}", **given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert content["launch"]["weights_digest"] == digest
    assert content["launch"]["epochs"][-1]["loss"] < content["launch"]["epochs"][0]["loss"]


def test_a_saved_model_computes_in_the_arithmetic_in_force(workload, tmp_path, backend_name):
    path = workload(network(keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES)))
    describe(path, [0], tmp_path / "0-model")
    about, arrays = climbed(backend_name, tmp_path, "float64", [path])[0]

    assert about["error"] == ""
    assert {array.dtype for array in arrays.values()} == {np.dtype("float64")}


def test_a_model_saved_in_half_precision_is_trained_in_the_runs(workload):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        path = workload(network(keras.layers.Dense(8), keras.layers.Dense(CLASSES, dtype="float32")))
    finally:
        keras.config.set_dtype_policy("float32")
    model = load.load_workload(path).build()

    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


class Subclass(keras.Model):
    def __init__(self, *layers):
        super().__init__()
        self.parts = layers

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def subclassed(*layers):
    model = Subclass(*layers)
    model(keras.Input((FEATURES,)))
    return model


def functional(ending):
    inputs = keras.Input((FEATURES,))
    return keras.Model(inputs, ending(keras.layers.Dense(CLASSES)(inputs)))


@pytest.mark.parametrize(
    ("make", "ending"),
    [
        (lambda: network(keras.layers.Dense(CLASSES)), "logits"),
        (lambda: network(keras.layers.Dense(CLASSES, activation="relu")), "logits"),
        (lambda: network(keras.layers.Dense(CLASSES), keras.layers.Activation("linear", dtype="float32")), "logits"),
        (lambda: network(keras.layers.Dense(1, activation="sigmoid"), keras.layers.Flatten()), "sigmoid"),
        (lambda: network(keras.layers.Dense(1, activation="sigmoid"), keras.layers.Reshape(())), "sigmoid"),
        (lambda: functional(lambda x: keras.ops.squeeze(keras.layers.Dense(1, "sigmoid")(x), -1)), "sigmoid"),
        (lambda: functional(lambda x: keras.ops.mean(x, axis=-1)), ""),
        (lambda: network(keras.layers.Dense(CLASSES), keras.layers.BatchNormalization()), ""),
        (lambda: subclassed(keras.layers.Dense(1, activation="sigmoid")), ""),
        (lambda: network(keras.layers.Dense(CLASSES, activation="softmax")), "softmax"),
        (lambda: network(keras.layers.Dense(CLASSES), keras.layers.Softmax()), "softmax"),
        (lambda: network(keras.layers.Dense(CLASSES), keras.layers.Activation("softmax")), "softmax"),
        (lambda: network(keras.layers.Dense(1, activation="sigmoid")), "sigmoid"),
        (lambda: functional(keras.ops.softmax), "softmax"),
        (lambda: network(network(keras.layers.Dense(CLASSES, activation="softmax"))), "softmax"),
        (
            lambda: keras.Sequential(
                [keras.Input((5, 4)), keras.layers.TimeDistributed(keras.layers.Dense(3, "softmax"))]
            ),
            "softmax",
        ),
        (lambda: functional(lambda x: keras.layers.Dense(CLASSES)(keras.ops.softmax(x))), "logits"),
    ],
)
def test_a_loss_that_nobody_compiled_expects_what_the_model_ends_in(make, ending):
    own_model = own.OwnModel("mine", make, "binary_crossentropy")
    model = own_model.build()

    assert own.ending(model) == ending
    if ending:
        assert own_model.compilation(model, Y[:, None] > 0).loss.get_config()["from_logits"] is (ending == "logits")
    else:
        with pytest.raises(own.ModelError, match="mine: nothing shows whether its outputs are logits or probab"):
            own_model.compilation(model, Y[:, None] > 0)


def test_what_saturation_does_to_probabilities_is_said(workload):
    path = workload(network(keras.layers.Dense(CLASSES, activation="softmax")))
    note, _ = describe(path, [0], None)["notes"]

    assert note.startswith("ends in softmax: where an output saturates")


def test_a_data_set_without_a_test_part_says_so(workload):
    described = describe(workload(network(keras.layers.Dense(CLASSES)), x_test=None, y_test=None), [0], None)

    assert (described["train_samples"], described["test_samples"]) == (144, 16)
    assert described["notes"][0] == (
        "data.npz has no x_test and y_test: its last tenth, 16 samples, is the test set and not trained on"
    )


COMPILE = """\
model.compile(
        keras.optimizers.SGD(0.5, momentum=0.25), keras.losses.CategoricalCrossentropy(label_smoothing=0.4),
        loss_weights=[10.0], metrics=["mae", keras.metrics.AUC()], run_eagerly=True)"""


@pytest.mark.parametrize("kind", ["saved", "function"])
def test_what_a_model_was_compiled_with_is_what_it_is_trained_with(workload, kind):
    path = workload(BUILD.format(last=f"{CLASSES}, 'softmax'", more=COMPILE), **ONE_HOT)
    if kind == "saved":
        path = workload(load.load_workload(path).build(), **ONE_HOT)
    loaded = load.load_workload(path)
    built = loaded.build()
    given = compilation(loaded, built, ONE_HOT["y_train"])
    described = describe(path, [0], None)

    assert given.optimizer is built.optimizer
    assert given.optimizer.get_config()["momentum"] == 0.25
    assert given.loss.get_config()["label_smoothing"] == 0.4
    assert given.settings["loss_weights"] == [10.0]
    assert given.settings["run_eagerly"] is True
    assert described["notes"][-1] == (
        "is trained with SGD (learning_rate=0.5, momentum=0.25), categorical_crossentropy (label_smoothing=0.4), mae, "
        "auc, loss_weights=[10.0], run_eagerly=True"
    )
    assert (described["target"]["metric"], described["target"]["lower_is_better"]) == ("mae", True)


def test_objects_of_the_function_itself_are_trained_with(workload):
    more = """
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[model.layers[0].bias])
    optimizer.marked = True
    model.compile(optimizer, lambda true, predicted: keras.ops.mean((true - predicted) ** 4))
    """
    loaded = load.load_workload(workload(BUILD.format(last=1, more=more), **NUMBER))
    built = loaded.build()
    given = compilation(loaded, built, NUMBER["y_train"])

    assert given.optimizer.marked
    assert given.optimizer is built.optimizer
    assert metric_name(loaded, given, built) == "loss"


def test_another_loss_than_it_is_compiled_with_is_refused(workload):
    compiled = BUILD.format(last=1, more="model.compile('adam', 'mse')")

    assert describe(workload(compiled, "--loss=mse", **NUMBER), [0], None)["target"]["metric"] == "loss"
    with pytest.raises(
        StartError, match="is compiled with mean_squared_error, and --loss asks for mean_absolute_error"
    ):
        describe(workload(compiled, "--loss=mae", **NUMBER), [0], None)


SUBCLASS = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")

    def call(self, x):
        return self.out(self.hidden(x))
"""


def test_what_is_compiled_decides_where_the_graph_shows_nothing(workload):
    compiling = "net.compile('adam', 'binary_crossentropy', metrics=['accuracy'])"
    more = f"def _made():\n    net = Net()\n    {compiling}\n    return net"
    compiled = function("_made()", f"{SUBCLASS}\n{more}")
    path = workload(compiled, **YES)
    loaded = load.load_workload(path)
    model = fresh(loaded, load.load_dataset(loaded.dataset).x_train)
    given = compilation(loaded, model, YES["y_train"])

    assert len(model.weights) == 4  # built from the data's shape
    assert keras_loss(given.loss).get_config()["from_logits"] is False
    assert describe(path, [0], None)["target"]["metric"] == "accuracy"
    with pytest.raises(StartError, match="nothing shows whether its outputs are logits or probabilities, which binary"):
        describe(workload(function("Net()", SUBCLASS), "--loss=bce", **YES), [0], None)


def test_a_model_without_an_input_layer_is_built_for_the_data(workload, tmp_path):
    described = describe(workload(function("keras.Sequential([keras.layers.Dense(3)])")), [0], tmp_path / "0-model")

    assert described["parameters"] == 15


def test_a_yes_and_no_between_which_labels_lie_has_no_accuracy(workload):
    model = network(keras.layers.Dense(2, activation="sigmoid"))
    between = {name: abs(value) / 10 for name, value in PAIRS.items()}

    assert describe(workload(model, "--loss=bce", **between), [0], None)["target"]["metric"] == "loss"


STEP = """
class Scaled(keras.Model):
    def train_step(self, *arguments):
        x, y = arguments[-1]
        return getattr(super(), "train_step")(*arguments[:-1], (x, 3 * y))
"""


def test_an_own_train_step_is_handed_two_values_and_no_loop(workload):
    inputs = "(i := keras.Input((4,)), keras.layers.Dense(1)(i))"
    described = describe(workload(function(f"Scaled(*{inputs})", STEP), "--loss=mse", **NUMBER), [0], None)

    assert described["without_loop"] == "loop: Scaled is trained by a train_step of its own"
    assert described["without_native"].startswith("native: the model is a subclass (Scaled)")


LOSSES = """
class Adds(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(keras.ops.square(x)))
        return x

class Measures(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred))
"""


@pytest.mark.parametrize(
    "model",
    ["keras.Model(i, Adds()(keras.layers.Dense(3)(i)))", "Measures(i, keras.layers.Dense(3)(i))"],
    ids=["add_loss", "compute_loss"],
)
def test_a_model_that_brings_its_loss_is_trained_with_no_other(workload, model):
    text = f"def build():\n    i = keras.Input((4,))\n    model = {model}\n    model.compile('sgd')\n    return model\n"
    path = workload(f"import keras\n{LOSSES}\n{text}")
    described = describe(path, [0], None)
    loaded = load.load_workload(path)

    assert compilation(loaded, loaded.build(), Y[:160]).loss is None
    assert described["target"]["metric"] == "loss"
    assert any(note.startswith("is trained with SGD, a loss of its own") for note in described["notes"])


def test_what_layers_add_to_the_loss_is_in_the_metric_that_is_climbed(workload, tmp_path, backend_name):
    text = "def build():\n    i = keras.Input((4,))\n    model = keras.Model(i, Adds()(keras.layers.Dense(3)(i)))\n"
    path = workload(f"import keras\n{LOSSES}\n{text}    model.compile('sgd')\n    return model\n")
    describe(path, [0], tmp_path / f"0-{Path(path).stem}")
    about, arrays = climbed(backend_name, tmp_path, "float64", [path])[0]

    assert about["error"] == ""
    assert arrays["metric/loss"] == pytest.approx(np.square(arrays["predictions/output 0"]).mean(), rel=1e-9)


CALLED_OTHERWISE = """
class Measures(keras.Model):
    def __init__(self, *given):
        super().__init__(*given)
        self.parts = [keras.metrics.Mean(name="reconstruction_loss"), keras.metrics.Mean(name="total_loss")]

    @property
    def metrics(self):
        return self.parts

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean(keras.ops.square(y_pred))
        for part, times in zip(self.parts, (1, 2)):
            part.update_state(times * loss)
        return 2 * loss

def build():
    model = Measures(i := keras.Input((4,)), keras.layers.Dense(3)(i))
    model.compile("sgd")
    return model
"""


def test_a_loss_that_its_logs_call_otherwise_is_found(workload, tmp_path, backend_name, launch):
    path = workload(f"import keras\n{CALLED_OTHERWISE}")
    described = describe(path, [0], tmp_path / f"0-{Path(path).stem}")
    about, arrays = climbed(backend_name, tmp_path, "float64", [path])[0]
    done, measured = launch(workload=path, samples=160, batch_size=32, epochs=2)

    assert described["target"]["metric"] == "total_loss"
    assert described["target"]["lower_is_better"]
    assert about["error"] == ""
    assert arrays["metric/loss"] == pytest.approx(2 * np.square(arrays["predictions/output 0"]).mean(), rel=1e-9)
    assert done.returncode == 0
    assert measured["launch"]["test"]["loss"] == measured["launch"]["test"]["metric"]
    assert all(epoch["loss"] > 0 for epoch in measured["launch"]["epochs"])


def test_a_model_is_handed_two_values_however_often_it_is_climbed():
    model = network(keras.layers.Dense(1))
    seen = []

    class Sees(type(model)):
        def train_step(self, *given):
            seen.append(given[-1])

    model.__class__ = Sees
    for _ in range(2):
        hand_as_fit(model)
    model.train_step((X[:8], Y[:8], None))

    assert [len(parts) for parts in seen] == [2]


def test_inputs_that_a_model_does_not_take_are_said(workload):
    text = "(lambda i: keras.Model({'a': i}, keras.layers.Dense(3)(i)))(keras.Input((4,), name='a'))"
    changes = {"x_train": None, "x_test": None}
    changes |= {f"x_{part}/{name}": DATA[f"x_{part}"] for part in ("train", "test") for name in ("a", "watched")}
    described = describe(workload(function(text), **changes), [0], None)

    assert "has no input for watched of its data set, which nothing is done with" in described["notes"]


def test_an_error_tells_what_began_it_and_the_users_line(workload):
    text = function("keras.Sequential([keras.Input((4,)), Odd(), keras.layers.Dense(3)])", ODD)

    with pytest.raises(
        StartError, match=r"ValueError: no pair in x{289}… \(the log has the rest\) \(model.py, line 8\)$"
    ):
        describe(workload(text), [0], None)


ODD = """
class Odd(keras.layers.Layer):
    def call(self, inputs):
        raise ValueError("no pair in " + "x" * 2_000)
"""


def test_a_regression_is_judged_by_a_share_of_the_variance(workload):
    changes = {"y_train": X[:160, :2] * 100, "y_test": X[160:, :2] * 100}
    target = describe(workload(network(keras.layers.Dense(2)), "--loss=mse", **changes), [0], None)["target"]

    assert (target["metric"], target["lower_is_better"]) == ("mean_squared_error", True)
    assert target["margin"] == pytest.approx(0.005 * np.float32(changes["y_test"]).var(axis=0).mean(), rel=1e-5)


@pytest.mark.parametrize(("activation", "threshold"), [("sigmoid", 0.5), ("linear", 0.0)])
def test_a_yes_is_counted_where_the_models_output_means_one(workload, activation, threshold):
    model = network(keras.layers.Dense(1, activation=activation))
    path = workload(model, "--loss=binary_crossentropy", y_train=Y[:160] > 0, y_test=Y[160:] > 0)
    loaded = load.load_workload(path)
    (metric,) = compilation(loaded, loaded.build(), Y[:160, None] > 0).settings["metrics"]

    assert (metric.name, metric.threshold) == ("accuracy", threshold)
    assert describe(path, [0], None)["target"]["metric"] == "accuracy"


MARKED = """\
import keras

@keras.saving.register_keras_serializable("mine")
class Marked(keras.layers.Layer):
    def call(self, inputs):
        return inputs
"""


def test_code_in_a_saved_model_is_not_run(workload, tmp_path):
    marker = tmp_path / "run"
    touched = str(marker)
    hostile = keras.layers.Lambda(lambda x: [open(touched, "w").close(), x][1])  # noqa: PTH123 - a file keeps no imports
    model = network(hostile, keras.layers.Dense(CLASSES))
    path = workload(model, "--unsafe")
    marker.unlink()
    trusted = Path(path).read_text()
    Path(path).write_text(trusted.replace(", unsafe=True", ""))
    with pytest.raises(StartError, match="Lambda"):
        describe(path, [0], None)
    assert not marker.exists()

    Path(path).write_text(trusted)
    describe(path, [0], None)
    assert marker.exists()  # so that the test would notice


def test_a_class_of_ones_own_needs_a_function_that_brings_it(workload, tmp_path):
    (tmp_path / "marked.py").write_text(MARKED)
    layer = own.import_file(str(tmp_path / "marked.py")).Marked()
    network(layer, keras.layers.Dense(CLASSES)).save(tmp_path / "mine.keras")
    del keras.saving.get_custom_objects()["mine>Marked"]
    load = f"from models import own\n\ndef build():\n    return own.load({str(tmp_path / 'mine.keras')!r})\n"

    with pytest.raises(StartError, match="Keras cannot load it: TypeError: Could not locate class 'Marked'"):
        describe(workload(load), [0], None)
    assert describe(workload(f"import marked\n{load}"), [0], None)["parameters"] == 15


@pytest.mark.parametrize("name", ["model.keras", "data.npz"])
def test_a_file_that_has_changed_since_is_refused(workload, tmp_path, name):
    path = workload(network(keras.layers.Dense(CLASSES)))
    with (tmp_path / name).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(StartError, match=f"{name}: has changed since the run began"):
        describe(path, [0], None)
    (tmp_path / name).unlink()
    with pytest.raises(StartError, match=f"{name}: cannot be read any more"):
        describe(path, [0], None)


DENSE = "keras.Sequential([keras.Input((4,)), keras.layers.Dense({})])"
TWO_INPUTS = "keras.Model([a := keras.Input((4,)), b := keras.Input((4,))], keras.layers.Dense(3)(a + b))"
TWO_OUTPUTS = "keras.Model(a := keras.Input((4,)), [keras.layers.Dense(3)(a), keras.layers.Dense(2)(a)])"
FROZEN = f"def _frozen():\n    model = {DENSE.format(3)}\n    model.trainable = False\n    return model"
CATEGORICAL, BINARY = "--loss=categorical_crossentropy", "--loss=binary_crossentropy"


def function(expression, more=""):
    return f"import keras\n\ndef build():\n    return {expression}\n{more}\n"


# What is wrong: the function's text, options, arrays that are not as in DATA, and words of the answer.
WRONG = {
    "nothing returned": (function("None"), [], {}, ["gives NoneType, expected a Keras model", "`return`"]),
    "a word returned": (function("'model'"), [], {}, ["model.py:build: gives str, expected a Keras model"]),
    "a layer returned": (function("keras.layers.Dense(3)"), [], {}, ["gives Dense, expected a Keras model"]),
    "raises": (function("1 / 0"), [], {}, ["does not build: ZeroDivisionError"]),
    "imports": (function("3", "import nothing_here"), [], {}, ["does not import: ModuleNotFoundError"]),
    "exits": (function("3", "raise SystemExit(2)"), [], {}, ["does not import: SystemExit"]),
    "is gone": (function("3", "del build"), [], {}, ["there is no such function once the file is imported"]),
    "all frozen": (function("_frozen()", FROZEN), [], {}, ["only frozen weights", "a layer that learns"]),
    "two outputs": (
        function(TWO_OUTPUTS),
        [],
        {},
        ["has 2 outputs and is not compiled", "a loss for each of them, None"],
    ),
    "two inputs": (function(TWO_INPUTS), [], {}, ["has 2 inputs, and the data set 1", "x_train/NAME"]),
    "other samples": (
        function(DENSE.format(3)),
        [],
        {"x_train": X[:160, :3], "x_test": X[160:, :3]},
        ["takes samples of shape (4,)", "have shape (3,)", "keras.Input"],
    ),
    "labels above": (function(DENSE.format(3)), [], {"y_train": Y[:160] + 1}, ["labels from 1 to 3", "3 outputs"]),
    "labels below": (function(DENSE.format(3)), [], {"y_test": Y[160:] - 1}, ["labels from -1 to 1", "test set"]),
    "one-hot": (
        function(DENSE.format(3)),
        [],
        ONE_HOT,
        ["sparse_categorical_crossentropy does not fit", "one-hot", "categorical_crossentropy one-hot labels"],
    ),
    "fractions": (function(DENSE.format(3)), [], {"y_train": Y[:160] / 2}, ["not whole numbers", "mean_squared_error"]),
    "one output": (function(DENSE.format(1)), [], {}, ["has 1 output", "binary_crossentropy"]),
    "other labels": (function(DENSE.format(3)), [], PAIRS, ["labels of shape (2,), outputs of shape (3,)"]),
    "not one-hot": (
        function(DENSE.format(3)),
        [CATEGORICAL],
        {},
        ["labels of shape (), outputs of shape (3,)", "sparse_categorical_crossentropy takes whole numbers"],
    ),
    "not adding up": (
        function(DENSE.format(3)),
        [CATEGORICAL],
        {name: 2 * labels for name, labels in ONE_HOT.items()},
        ["do not add up to 1"],
    ),
    "beyond yes": (function(DENSE.format(1)), [BINARY], {}, ["labels from 0 to 2", "0 to 1"]),
    "several yes": (function(DENSE.format(3)), [BINARY], {}, ["takes a label for each"]),
    "several values": (function(DENSE.format(3)), ["--loss=mean_squared_error"], {}, ["takes a value for each"]),
    "several sigmoids": (
        function(DENSE.format("3, activation='sigmoid'")),
        [],
        {},
        ["are no probabilities that add up to 1", "let it end in logits"],
    ),
    "few samples": (
        function(DENSE.format(3)),
        [],
        {"x_train": X[:20], "y_train": Y[:20]},
        ["20 training samples; at least 32"],
    ),
    "NaN": (function(DENSE.format(3)), [], {"x_train": X[:160] * np.nan}, ["data.npz: 640 of 640 values of x_train"]),
}


@pytest.mark.parametrize(("source", "options", "changes", "words"), WRONG.values(), ids=WRONG)
def test_each_mistake_is_refused_in_one_line_with_its_cure(workload, source, options, changes, words):
    with pytest.raises(StartError) as caught:
        describe(workload(source, *options, **changes), [0], None)

    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_probabilities_that_a_compiled_loss_takes_for_logits_are_told(workload):
    source = (
        "import keras\n\nclass Model(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.dense = keras.layers.Dense(3)\n\n"
        "    def call(self, x):\n        return keras.ops.softmax(self.dense(x))\n"
        "\ndef build():\n    model = Model()\n    model.compile('adam', keras.losses.SparseCategoricalCrossentropy("
        "from_logits=True))\n    return model\n"
    )

    assert describe(workload(source), [0], None)["notes"][0] == (
        "its outputs are probabilities, and the loss has from_logits=True; let it end in logits"
    )


def test_a_saved_model_with_damage_inside_is_refused_in_one_line(workload, tmp_path):
    network(keras.layers.Dense(CLASSES)).save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "model.keras", "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, whole.read(name) if name.endswith(".json") else b"damage")

    with pytest.raises(StartError, match=r"model\.keras: Keras cannot load it: ") as caught:
        describe(workload(tmp_path / "model.keras"), [0], None)
    assert "\n" not in str(caught.value)


def test_a_new_workload_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    described = describe(str(template.new("mine").resolve()), [0], None)

    assert described["parameters"] == 101_770
    assert described["notes"] == []


def test_a_workload_file_names_its_data_as_seen_from_where_it_lies(tmp_path):
    np.savez(tmp_path / "data.npz", **DATA)
    text = template.new(str(tmp_path / "mine")).read_text().replace('"fashion_mnist"', '"data.npz"')
    (tmp_path / "mine.py").write_text(text)

    assert load.load_workload(str(tmp_path / "mine.py")).dataset == str(tmp_path / "data.npz")


def test_a_layer_that_is_made_at_import_draws_the_same_seed_everywhere(workload):
    text = BUILD.format(last=CLASSES, more="model.add(drop)").replace(
        "def build", "drop = keras.layers.Dropout(0.5)\n\ndef build"
    )
    path = workload(text)
    seeds = set()
    for drawn_before in range(2):
        keras.utils.set_random_seed(drawn_before)
        state = load.load_workload(path).build().layers[-1].seed_generator.state
        seeds.add(tuple(keras.ops.convert_to_numpy(state).tolist()))

    assert len(seeds) == 1


def test_a_metric_that_counts_samples_is_not_the_one_compared(workload):
    metrics = "[keras.metrics.FalseNegatives(name='fn'), keras.metrics.Precision(name='precision')]"
    text = BUILD.format(last='1, activation="sigmoid"', more=f"model.compile('adam', 'binary_crossentropy', {metrics})")
    target = describe(workload(text.replace("crossentropy', [", "crossentropy', metrics=["), **YES), [0], None)[
        "target"
    ]

    assert (target["metric"], target["lower_is_better"]) == ("precision", False)


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("rmse", True),
        ("mase", True),
        ("smape", True),
        ("MeanAbsDeviation", True),
        ("dice_loss", True),
        ("dice", False),
        ("max_score", False),
    ],
)
def test_what_is_better_of_a_metric_of_the_users_own_is_read_from_its_name_and_said(workload, name, lower):
    metric = f"def {name}(true, found):\n    return keras.ops.mean((true - found) ** 2)\n\n"
    text = BUILD.format(last=1, more=f"model.compile('adam', 'mse', metrics=[{name}])").replace(
        "def build", f"{metric}def build"
    )
    described = describe(workload(text, **NUMBER), [0], None)

    assert described["target"]["lower_is_better"] is lower
    assert any(f"of which {'less' if lower else 'more'} is taken as better" in note for note in described["notes"])


def test_the_margin_of_an_error_comes_from_all_over_a_sorted_test_set(workload):
    sorted_labels = {**NUMBER, "y_test": np.sort(NUMBER["y_test"], axis=0) * 100}
    compiled = BUILD.format(last=1, more="model.compile('adam', 'mse', metrics=['mae'])")
    path = workload(compiled, **sorted_labels)
    keras.utils.set_random_seed(0)
    margin = describe(path, [0], None)["target"]["margin"]

    assert margin == pytest.approx(0.005 * np.abs(sorted_labels["y_test"]).mean(), rel=0.2)


def test_a_metric_that_gives_several_numbers_is_refused_with_a_way_out(workload):
    more = "model.compile('adam', 'categorical_crossentropy', metrics=[keras.metrics.F1Score(average=None)])"
    with pytest.raises(StartError, match=r"f1_score, .* gives several numbers.*average='macro'"):
        describe(workload(BUILD.format(last=f"{CLASSES}, 'softmax'", more=more), **ONE_HOT), [0], None)


def test_weights_that_samples_count_by_are_announced(workload):
    weighted = {"sample_weight_train": np.ones(len(DATA["x_train"]), np.float32)}
    notes = describe(workload(network(keras.layers.Dense(CLASSES)), **weighted), [0], None)["notes"]

    assert notes[-1].endswith("accuracy, sample weights")
