"""What differs between versions of Keras and of the frameworks."""

import importlib
import subprocess
import sys
from types import ModuleType

import keras
import pytest

from bench.contract.paths import ROOT
from bench.worker.keras_internals import MovedError, distributes, operations, takes_logits


@pytest.mark.parametrize("logits", [True, False])
def test_whether_a_loss_takes_logits_is_read_from_its_configuration(logits):
    class Newer(keras.losses.Loss):  # as in Keras 3.16, which has no attribute of that name
        def get_config(self):
            return {"from_logits": logits}

    assert takes_logits(keras.losses.SparseCategoricalCrossentropy(from_logits=logits)) is logits
    assert takes_logits(Newer()) is logits


def test_the_backend_s_operations_are_found_where_this_version_has_them():
    assert hasattr(importlib.import_module(operations("nn")), "dot_product_attention")
    assert hasattr(importlib.import_module(operations("numpy")), "matmul")


def test_operations_that_lie_in_a_package_are_found_there(monkeypatch, backend_name):
    package = f"keras.src.backend.{backend_name}.ops"  # where Keras 3.16 has them
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, f"{package}.nn", ModuleType(f"{package}.nn"))

    assert operations("nn") == f"{package}.nn"


def test_whether_keras_distributes_is_looked_up_on_the_backend(monkeypatch):
    for there in (None, ModuleType("distribution_lib")):
        monkeypatch.setattr(keras.src.backend, "distribution_lib", there)

        assert distributes() is (there is not None)


def test_operations_that_are_nowhere_are_named():
    with pytest.raises(MovedError, match=r"nosuch, which is replaced here, is gone \(Keras 3"):
        operations("nosuch")


def test_settings_of_precision_are_told_where_a_user_s_file_made_them_in_the_newer_way(backend_name):
    """A process of its own: such a setting stays for good."""
    newer = "import torch; torch.backends.cuda.matmul.fp32_precision = 'tf32'" if backend_name == "torch" else ""
    program = f"from bench.worker import backends; one = backends.load('{backend_name}'); {newer}\nprint(one.flags())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert ("set by fp32_precision" in done.stdout) is (backend_name == "torch")
