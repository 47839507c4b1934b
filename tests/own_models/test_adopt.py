"""A model of the user's own: what is made of it, and each way in which it can be wrong."""

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.playback import described, state

from bench import report
from bench.analysis import analyse
from bench.contract.catalog import dataset_names
from bench.contract.errors import OwnModelError, UsageError
from bench.contract.files import write
from bench.contract.paths import ROOT
from bench.own_models import template
from bench.own_models.adopt import loss_name
from bench.plan.parse import parse_calibrate, parse_parity, parse_run
from bench.run.console import RunConsole
from bench.run.measure import run
from bench.run.parity import parity

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "activation": "softmax"}}
SGD = {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 0.5}}
BUILD = (
    "import keras\n\ndef build(units=3):\n    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])\n"
)


def model_of(*layers, **more):
    """What a file says of a Sequential model."""
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}, **more}


def keras_file(path, config):
    """A file as `model.save` writes it, but without weights, which the parent does not look at."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    return path


@pytest.fixture
def files(tmp_path):
    """A folder with a model in each form, and data."""
    (tmp_path / "build.py").write_text(BUILD)
    keras_file(tmp_path / "saved.keras", model_of(DENSE))
    (tmp_path / "data.npz").write_bytes(b"whatever: the parent does not look into it")
    return tmp_path


def parsed(files, model, *options, dataset="data.npz"):
    data = files / dataset if dataset.endswith(".npz") else dataset
    given = [f"--workloads={files / model}", f"--dataset={data}", f"--output={files / 'results'}"]
    return parse_run([*given, *options])


def settings(text):
    """The arguments of the `Workload` in a file that was made, each as Python text."""
    call = ast.parse(text).body[-1].value
    return {one.arg: ast.unparse(one.value) for one in call.keywords}


def fault(*arguments):
    with pytest.raises(UsageError) as caught:
        parse_run(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_model_becomes_a_workload_file_of_its_name(files):
    given = parsed(files, "saved.keras")
    (adopted,) = given.adopted

    assert given.workloads == (adopted.path,)
    assert adopted.path.endswith("/saved.py")
    assert str(files / "results" / "workloads") in adopted.path
    assert settings(adopted.text) == {
        "build": "model.build",
        "dataset": "data",
        "batch_size": "32",
        "epochs": "5",
        "compilation": "model.compilation",
        "quick_samples": "1600",
    }
    assert "trained with Adam and sparse_categorical_crossentropy" in adopted.said
    assert "begins with the weights it was saved with, whatever the seed" in adopted.said


def test_nothing_is_written_by_looking_at_the_options(files):
    before = sorted(files.rglob("*"))
    parsed(files, "saved.keras")

    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    "loss",
    [
        "binary_crossentropy",
        {"module": "keras.losses", "class_name": "BinaryCrossentropy", "config": {"from_logits": True}},
        {"module": "builtins", "class_name": "function", "config": "binary_crossentropy"},
        ["mse", None],
    ],
)
def test_what_a_model_was_compiled_with_is_what_it_is_trained_with(files, loss):
    keras_file(files / "saved.keras", model_of(DENSE, compile_config={"optimizer": SGD, "loss": loss}))
    (adopted,) = parsed(files, "saved.keras").adopted

    assert "compiled=False" not in adopted.text
    assert "loss=" not in adopted.text
    assert "trained as it was compiled" in adopted.said


def test_a_loss_that_is_asked_for_stands_in_the_file(files):
    (adopted,) = parsed(files, "saved.keras", "--loss=bce").adopted

    assert ", loss='binary_crossentropy')" in adopted.text


OWN = {"module": "mine", "class_name": "Mine", "config": {}, "registered_name": "mine>Mine"}


@pytest.mark.parametrize("compiled", [{"optimizer": OWN}, {"loss": OWN}, {"loss": "mse", "metrics": [OWN]}])
def test_a_compiled_object_that_the_file_does_not_hold_asks_for_a_loss(files, compiled):
    keras_file(files / "saved.keras", model_of(DENSE, compile_config=compiled))

    message = fault(f"--workloads={files / 'saved.keras'}", f"--dataset={files / 'data.npz'}")
    assert "was compiled with mine.Mine, which a .keras file does not hold; say with --loss one of" in message
    (adopted,) = parsed(files, "saved.keras", "--loss=mse").adopted
    assert ", loss='mean_squared_error', compiled=False)" in adopted.text
    assert "trained with Adam and mean_squared_error" in adopted.said


def test_a_function_becomes_a_workload_that_is_trained_as_it_compiles(files):
    (adopted,) = parsed(files, "build.py", dataset="fashion_mnist").adopted

    assert adopted.path.endswith("/build.py")
    assert settings(adopted.text)["dataset"] == "'fashion_mnist'"
    assert settings(adopted.text)["compilation"] == "model.compilation"
    assert "trained as the function compiles it, else with Adam" in adopted.said
    assert f"own.built_by('{files / 'build.py'}', 'build', " in adopted.text


def test_of_several_functions_one_can_be_named_and_gives_its_name(files):
    (files / "models.py").write_text("def small(): ...\ndef large(): ...\n")
    names = f"{files / 'models.py'}:small,{files / 'models.py'}:large"
    given = parse_run([f"--workloads={names}", "--dataset=fashion_mnist"])

    assert [path.rpartition("/")[2] for path in given.workloads] == ["models-small.py", "models-large.py"]


def test_what_is_trained_later_or_is_no_model_may_stand_in_the_file(files):
    more = "scaler.fit([1])\ndef train(): build().fit([1], [2])\nif __name__ == '__main__':\n    train()\n"
    (files / "build.py").write_text(f"from unittest.mock import Mock\nscaler = Mock()\n{BUILD}\n{more}")

    assert parsed(files, "build.py:build").adopted


def test_helpers_and_main_are_not_taken_for_the_model(files):
    (files / "build.py").write_text("def block(x): ...\ndef _test(): ...\ndef main(): ...\ndef net(*, units=3): ...\n")
    (adopted,) = parsed(files, "build.py").adopted

    assert ", 'net', " in adopted.text
    assert adopted.said.startswith("build.py:net: a model of your own on data.npz")


def test_size_and_length_of_the_training_are_in_the_file(files):
    (adopted,) = parsed(files, "saved.keras", "--batch-size=8,64", "--epochs=9").adopted

    assert {name: settings(adopted.text)[name] for name in ("batch_size", "epochs", "quick_samples")} == {
        "batch_size": "8",
        "epochs": "9",
        "quick_samples": "3200",
    }


@pytest.mark.parametrize("changed", ["saved.keras", "data.npz"])
def test_another_model_or_other_data_make_another_file(files, changed):
    before = parsed(files, "saved.keras").workloads
    assert parsed(files, "saved.keras").workloads == before
    with (files / changed).open("ab") as file:
        file.write(b"\0")

    assert parsed(files, "saved.keras").workloads != before


def test_a_file_name_cannot_smuggle_code_into_the_workload(files):
    name = "x'); print('run') #\n\"\"\".keras"
    keras_file(files / name, model_of(DENSE))
    (adopted,) = parsed(files, name).adopted

    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(adopted.text)) if isinstance(node, ast.Call)]
    assert "print" not in calls


def test_parity_and_calibrate_take_a_model_too(files):
    given = [f"--workloads={files / 'saved.keras'}", f"--dataset={files / 'data.npz'}"]

    assert parse_parity(given).workloads == parse_run(given).workloads
    assert parse_calibrate(given).adopted


def test_a_file_that_is_a_workload_stays_what_it_is(files):
    (files / "mine.py").write_text("from models import mlp\nif True:\n    workload = mlp.workload\n" + BUILD)
    given = parse_run([f"--workloads={files / 'mine.py'}"])

    assert given.workloads == (str(files / "mine.py"),)
    assert given.adopted == ()


def test_the_names_of_data_sets_are_those_that_keras_sees():
    from models.datasets import DATASETS

    assert dataset_names() == tuple(DATASETS)


def test_the_losses_are_known_by_the_names_that_keras_has():
    assert [loss_name(text) for text in ("mse", "MAE", "BinaryCrossentropy", "categorical_crossentropy")] == [
        "mean_squared_error",
        "mean_absolute_error",
        "binary_crossentropy",
        "categorical_crossentropy",
    ]


WRONG_FILES = {
    "nothing.py": "",
    "syntax.py": "x = 1\ndef build(:\n",
    "several.py": "def small(): ...\ndef large(): ...\n",
    "trains.py": BUILD + "\nif True:\n    build().fit([1], [2])\n",
    "trains_by_function.py": BUILD + "\ndef main(): build().fit(x=[1], epochs=2)\nmain()\n",
    "needs.py": "def build(classes, *, depth): ...\n",
    "model.h5": "",
    "old.keras": b"\x89HDF\r\n\x1a\n and more",
    "damaged.keras": b"PK\3\4 half a file",
    "empty.keras": {},
    "text.keras": "no JSON",
    "lambda.keras": model_of({"class_name": "Lambda", "module": "keras.layers", "config": {"name": "twice"}}),
    "bytes.keras": model_of(
        {**DENSE, "config": {"activation": {"class_name": "__lambda__", "config": {"code": "4w"}}}}
    ),
    "pickle.keras": model_of({"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}}),
    "hub.keras": model_of({"class_name": "Backbone", "module": "keras_hub.models", "config": {}}),
    "utility.keras": model_of(
        {**DENSE, "config": {"activation": {"module": "keras.utils", "class_name": "function", "config": "plot_model"}}}
    ),
    "custom.keras": model_of({"class_name": "Mine", "module": None, "config": {}, "registered_name": "pack>Mine"}),
    "system.keras": model_of({"class_name": "system", "module": "os", "config": {}}),
    "quantized.keras": model_of(
        {
            **DENSE,
            "config": {"dtype": {"module": "keras", "class_name": "QuantizedDTypePolicy", "config": {"name": "int8"}}},
        }
    ),
}


@pytest.fixture
def wrong(files):
    for name, content in WRONG_FILES.items():
        if name.endswith(".keras") and not isinstance(content, bytes):
            keras_file(files / name, content)
        else:
            (files / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return files


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workloads={}/none.py"], ["there is no workload file", "none.py"]),
        (["--workloads={}/none.keras"], ["there is no model file", "none.keras"]),
        (["--workloads={}/model.h5"], ["ends in .py or .keras", "save it as .keras"]),
        (["--workloads={}"], ["ends in .py or .keras"]),
        (["--workloads={}/syntax.py"], ["syntax.py: line 2:"]),
        (["--workloads={}/nothing.py"], ["neither `workload = Workload(…)` nor a function", "bench new"]),
        (["--workloads={}/trains.py"], ["line 7: build().fit(…) trains when the file is imported", "__main__"]),
        (["--workloads={}/trains_by_function.py"], ["line 7: main(…) trains when", "__main__"]),
        (["--workloads={}/several.py"], ["small, large", "several.py:NAME"]),
        (["--workloads={}/several.py:tiny"], ["defines no function tiny", "small, large"]),
        (["--workloads={}/needs.py"], ["build needs arguments (classes, depth)", "defaults"]),
        (["--workloads={}/needs.py:build"], ["build needs arguments (classes, depth)"]),
        (["--workloads={}/build.py"], ["--dataset", "fashion_mnist", ".npz"]),
        (["--workloads={}/saved.keras", "--dataset={}/none.npz"], ["there is no data file", "none.npz"]),
        (["--workloads={}/saved.keras", "--dataset={}/saved.keras"], ["saved.keras", "an .npz file with x_train"]),
        (["--workloads={}/saved.keras", "--dataset=fashion_mnits"], ["'fashion_mnits'", "did you mean fashion_mnist?"]),
        (["--workloads={}/saved.keras", "--loss=mean_square_error"], ["known: sparse_", "did you mean mean_squared"]),
        (["--workloads={}/old.keras"], ["is an HDF5 file", ".keras"]),
        (["--workloads={}/damaged.keras"], ["no zip archive", "damaged"]),
        (["--workloads={}/empty.keras"], ["describes no model"]),
        (["--workloads={}/text.keras"], ["damaged", "config.json"]),
        (["--workloads={}/lambda.keras"], ["Lambda twice", "run with your rights", "--unsafe"]),
        (["--workloads={}/bytes.keras"], ["pickled Python", "--unsafe"]),
        (["--workloads={}/pickle.keras"], ["TorchModuleWrapper", "--unsafe"]),
        (["--workloads={}/hub.keras"], ["keras_hub.models.Backbone", "--unsafe"]),
        (["--workloads={}/utility.keras"], ["keras.utils.plot_model", "--unsafe"]),
        (["--workloads={}/custom.keras"], ["needs Mine", "a .py file with a function"]),
        (["--workloads={}/custom.keras", "--unsafe"], ["needs Mine", "a .py file with a function"]),
        (["--workloads={}/system.keras", "--unsafe"], ["needs os.system", "does not hold"]),
        (["--workloads={}/quantized.keras"], ["is quantized (int8)"]),
        (["--workloads={}/build.py", "--dataset=fashion_mnist", "--unsafe"], ["--unsafe", "leave it out"]),
        (["--workloads=mlp", "--loss=mse"], ["--loss: mlp is a workload", "a copy of its file"]),
        (["--workloads=mlp", "--unsafe"], ["--unsafe: mlp is a workload"]),
        (["--workloads=mlp,{}/saved.keras", "--dataset={}/data.npz"], ["--dataset: mlp is a workload"]),
        (["--dataset={}/data.npz"], ["--dataset: mlp is a workload"]),
    ],
)
def test_each_mistake_is_refused_in_one_line_with_its_cure(wrong, arguments, words):
    message = fault(*(argument.format(wrong) for argument in arguments))

    for word in words:
        assert word in message


def test_code_in_a_file_is_let_through_only_where_it_is_trusted(wrong):
    (adopted,) = parsed(wrong, "lambda.keras", "--unsafe").adopted

    assert ", unsafe=True)" in adopted.text
    assert "unsafe" not in parsed(wrong, "saved.keras").adopted[0].text


def test_a_config_that_would_fill_the_memory_is_not_unpacked(files):
    with zipfile.ZipFile(files / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (2**26 + 1))

    assert "no model's does" in fault(f"--workloads={files / 'bomb.keras'}", "--dataset=fashion_mnist")


def test_the_command_refuses_with_status_2_and_one_line_and_writes_nothing(wrong):
    output = wrong / "results"
    words = ["run", "--workloads", str(wrong / "lambda.keras"), "--dataset", "fashion_mnist", "--output", str(output)]
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert not output.exists()


@pytest.fixture
def own(measure, files):
    """Start a run of the saved model, with the interpreter that plays back."""
    return lambda *others: measure(f"--workloads={files / 'saved.keras'}", f"--dataset={files / 'data.npz'}", *others)


def test_a_run_writes_the_file_and_says_what_was_decided(own, measure, files):
    folder = own()
    (kept,) = described(folder)["options"]["adopted"]

    assert Path(kept["path"]).read_text() == kept["text"]
    assert kept["source"] == str(files / "saved.keras")
    assert kept["said"] in measure.said.getvalue()
    report.write(analyse(folder), folder)
    assert kept["said"] in (folder / "report.md").read_text()


def test_a_run_that_goes_on_writes_the_file_again_where_it_is_gone(own):
    folder = own()
    description = described(folder)
    write(folder / "run.json", {**description, "state": "interrupted"})
    path = Path(description["options"]["adopted"][0]["path"])
    path.unlink()
    run(parse_run([f"--resume={folder.name}", f"--output={folder.parent}"]), RunConsole(file=io.StringIO()))

    assert path.is_file()
    assert state(folder) == "finished"


def test_a_dry_run_and_a_refused_one_leave_no_file(own, files, monkeypatch):
    own("--dry-run")
    assert not (files / "results").exists()
    monkeypatch.setenv("FAKE_FAULT", "prepare:error")
    with pytest.raises(UsageError):
        own()

    assert not (files / "results").exists()


def test_a_refusal_names_the_model_and_not_its_workload(own, files, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "prepare:refused")

    with pytest.raises(UsageError, match=f"^{files / 'saved.keras'}: does not fit$"):
        own()


def test_parity_writes_the_file_and_says_what_was_decided(fake, files):
    said = io.StringIO()
    given = [*fake, f"--workloads={files / 'saved.keras'}", f"--dataset={files / 'data.npz'}"]
    folder = parity(parse_parity(given), RunConsole(file=said, width=200))
    (kept,) = described(folder)["options"]["adopted"]

    assert Path(kept["path"]).is_file()
    assert kept["said"] in said.getvalue()


@pytest.mark.parametrize("name", ["mine", "mine.py", "folder/mine"])
def test_a_new_workload_is_a_file_with_comments_that_is_a_workload(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    path = template.new(name)

    assert path.name == "mine.py"
    assert {"build", "dataset", "loss", "target"} <= set(settings(path.read_text()))
    assert parse_run([f"--workloads={path}"]).adopted == ()


def test_the_command_for_a_new_workload_says_how_to_run_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench", "new", "mine"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)

    assert done.returncode == 0
    assert f"nox -s bench -- --workloads {tmp_path / 'mine.py'} --profile quick" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is not overwritten" in again.stderr


@pytest.mark.parametrize("name", ["", "a,b", "a:b", "my model", "-x", ".", "folder/", "none/mine"])
def test_a_name_that_makes_no_usable_file_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OwnModelError):
        template.new(name)
    assert not list(tmp_path.iterdir())


def test_data_that_are_no_npz_are_read_into_one_beside_the_runs(files):
    (files / "prices.csv").write_text("size,price\n1,2\n")
    (adopted,) = parsed(files, "build.py", dataset=f"{files / 'prices.csv'}:price").adopted
    assert adopted.reads == f"{files / 'prices.csv'}:price"
    assert Path(adopted.data).parent.name == "data"
    assert "dataset=data" in adopted.text
    assert repr(adopted.data) in adopted.text

    (files / "prices.csv").write_text("size,price\n1,3\n")
    (other,) = parsed(files, "build.py", dataset=f"{files / 'prices.csv'}:price").adopted
    assert other.data != adopted.data
