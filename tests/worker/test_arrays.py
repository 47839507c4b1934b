"""A user's function that gives the data: whatever it gives becomes the file that launches read."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.contract.paths import ROOT
from bench.worker.programs import arrays

HEAD = """
import numpy as np
import keras

x = np.arange(80.0).reshape(40, 2)
y = np.arange(40)

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        taken = slice(10 * index, 10 * index + 10)
        return x[taken], y[taken]

def load():
    {body}
"""
TF_DATA = "import tensorflow as tf; return tf.data.Dataset.from_tensor_slices((x, y)).batch(7)"
LOADER = (
    "import torch; return torch.utils.data.DataLoader("
    "torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=7)"
)
NAMED = 'return {"x_train": {"a": x, "b": y}, "y_train": y, "sample_weight_train": y * 1.0}'


@pytest.fixture
def read(tmp_path):
    """The arrays that a function with this body gives, or the line that says why there are none."""

    def call(body, name="load"):
        (tmp_path / "data.py").write_text(HEAD.format(body=body))
        refusal = arrays.write(f"{tmp_path / 'data.py'}:{name}", tmp_path / "runs" / "data.npz")
        if refusal:
            return refusal
        with np.load(tmp_path / "runs" / "data.npz", allow_pickle=False) as archive:
            return dict(archive)

    return call


def test_the_program_answers_its_parent_in_a_file(tmp_path, backend_name):
    (tmp_path / "data.py").write_text(HEAD.format(body="return 1 / 0"))
    command = [sys.executable, "-m", "bench.worker.programs.arrays", f"--backend={backend_name}"]
    command += [f"--function={tmp_path / 'data.py'}:load", f"--output={tmp_path / 'data.npz'}"]
    subprocess.run([*command, f"--answer={tmp_path / 'answer'}"], cwd=ROOT, check=True, capture_output=True)

    assert "division by zero" in json.loads((tmp_path / "answer").read_text())["error"]
    assert not (tmp_path / "data.npz").exists()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return x, y", ["x_train", "y_train"]),
        ("return (x, y), (x[:4], y[:4])", ["x_test", "x_train", "y_test", "y_train"]),
        ("return x, y, x[:4], y[:4]", ["x_test", "x_train", "y_test", "y_train"]),
        ("return x, y, y * 1.0", ["sample_weight_train", "x_train", "y_train"]),
        (NAMED, ["sample_weight_train", "x_train/a", "x_train/b", "y_train"]),
        ("return Batches()", ["x_train", "y_train"]),
        ("return Batches(), Batches()", ["x_test", "x_train", "y_test", "y_train"]),
    ],
)
def test_whatever_a_function_gives_becomes_arrays(read, body, names):
    found = read(body)

    assert sorted(found) == names
    assert (found.get("x_train", found.get("x_train/a")) == np.arange(80.0).reshape(40, 2)).all()


def test_batches_of_the_frameworks_own_are_read_once(read, backend_name):
    body = {"tensorflow": TF_DATA, "torch": LOADER}.get(backend_name, "return Batches()")
    found = read(body)

    assert (found["x_train"] == np.arange(80.0).reshape(40, 2)).all()
    assert (found["y_train"] == np.arange(40)).all()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "gives NoneType; expected (x, y)"),
        ("return 1 / 0", "ZeroDivisionError: division by zero (data.py, line 17)"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("return iter([])", "its data set has no batches"),
    ],
)
def test_what_is_no_data_is_refused_in_one_line(read, body, said):
    found = read(body)

    assert said in found
    assert "\n" not in found


def test_a_function_that_is_not_there_is_named(read):
    assert "there is no such function" in read("return x, y", name="gone")
