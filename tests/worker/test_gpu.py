"""The worker's half of a GPU machine, without a GPU: settings, devices, determinism; the devices are stand-ins."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.environments import ROOT
from bench.worker import backends, built, environment, ladder

SET = ("CUDA_DEVICE_ORDER", "KERAS_HOME", "KERAS_BACKEND", *environment.FOREIGN)


@pytest.fixture
def prepared(monkeypatch):
    """The environment variables after a worker was prepared, with these set before."""

    def prepare(device, **before):
        for name in SET:
            monkeypatch.delenv(name, raising=False)
        for name, value in before.items():
            monkeypatch.setenv(name, value)
        nothing = SimpleNamespace(environment=lambda *_: {}, configure=lambda *_: None)
        monkeypatch.setattr(backends, "load", lambda _name: nothing)
        environment.prepare("any", device, "float32")
        return dict(os.environ)

    kept = dict(os.environ)
    yield prepare
    os.environ.clear()
    os.environ.update(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NVIDIA_TF32_OVERRIDE", "1"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1"),
        ("CUDA_LAUNCH_BLOCKING", "1"),
        ("XLA_PYTHON_CLIENT_MEM_FRACTION", ".9"),
        ("TF_GPU_ALLOCATOR", "cuda_malloc_async"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ],
)
def test_a_setting_that_would_change_precision_memory_or_waiting_is_dropped(prepared, name, value):
    assert name not in prepared("gpu", **{name: value})


def test_cards_are_numbered_as_the_parent_numbers_them_unless_the_user_says_otherwise(prepared):
    assert prepared("gpu")["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert prepared("gpu", CUDA_DEVICE_ORDER="FASTEST_FIRST")["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    assert "CUDA_DEVICE_ORDER" not in prepared("cpu")


def test_no_backend_takes_memory_in_advance(backend, backend_name):
    """Torch never does; for the others it is switched off, for `shipped` too, so that a peak is what was needed."""
    switched_off = {
        "jax": ("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
        "tensorflow": ("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
    }
    for numerics in ("float32", "tf32", None):
        given = backend.environment("gpu", numerics, 2)
        if backend_name in switched_off:
            name, value = switched_off[backend_name]
            assert given[name] == value


@pytest.mark.parametrize(
    ("told", "device"), [("cpu", "cpu"), ("gpu", "gpu"), ("cuda", "gpu"), ("tpu", "tpu"), ("METAL", "METAL")]
)
def test_a_device_is_called_what_it_is(backend, backend_name, told, device):
    """Another accelerator is never taken for a CPU."""
    values = {
        "jax": SimpleNamespace(devices=lambda: [SimpleNamespace(platform=told)]),
        "tensorflow": SimpleNamespace(device=f"/job:localhost/replica:0/task:0/device:{told.upper()}:0"),
        "torch": SimpleNamespace(device=SimpleNamespace(type=told)),
    }
    expected = device if backend_name != "tensorflow" else {"gpu": "gpu"}.get(told, told.lower())

    assert backend.device_of(values[backend_name]) == expected


@pytest.fixture
def trained():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)])
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 3), "float32"), verbose=0)
    return model


def elsewhere(*strangers):
    """A launch on the GPU where everything lives but these variables."""
    lives = {id(variable.value): "cpu" for variable in strangers}
    backend = SimpleNamespace(device_of=lambda value: lives.get(id(value), "gpu"))
    return SimpleNamespace(backend=backend, case=SimpleNamespace(device="gpu"))


def test_after_training_every_variable_is_asked_where_it_lives_the_optimizers_too(trained, monkeypatch):
    built.check_device(elsewhere(), trained)
    kernel = trained.layers[-1].kernel
    slot = next(variable for variable in trained.optimizer.variables if variable.shape == kernel.shape)
    for variable in (kernel, slot):
        value = variable.value
        monkeypatch.setattr(type(variable), "value", property(lambda self: self._value))
        with pytest.raises(RuntimeError, match=r"lives on the cpu, not on the gpu that was asked for"):
            built.check_device(elsewhere(SimpleNamespace(value=value)), trained)


def test_counters_and_seeds_may_stay_on_the_host(trained):
    whole = [variable for variable in (*trained.variables, *trained.optimizer.variables) if not len(variable.shape)]
    seeds = [variable for variable in trained.variables if "int" in str(variable.dtype)]
    assert whole

    built.check_device(elsewhere(*whole, *seeds), trained)


@pytest.mark.parametrize(("device", "times"), [("gpu", 1), ("cpu", 0)])
def test_parity_alone_switches_to_deterministic_operations_and_on_a_gpu_alone(monkeypatch, tmp_path, device, times):
    switched = []
    stub = SimpleNamespace(determine=lambda: switched.append(1), flags=dict)
    monkeypatch.setattr(ladder.environment, "prepare", lambda *_: stub)
    monkeypatch.setattr("bench.worker.randomness.install", lambda: None)

    def climb(*_):
        raise ladder.NotClimbedError

    monkeypatch.setattr(ladder, "climb", climb)
    words = [f"--device={device}", "--backend=jax", "--numerics=float32", "--steps=1", "--seeds=0"]
    words += [f"--weights={tmp_path}", f"--output={tmp_path}", "--workloads", "mlp"]
    monkeypatch.setattr(sys, "argv", ["ladder", *words])
    ladder.main()

    assert len(switched) == times


SWITCH = """
import json, os, sys
sys.path.insert(0, ".")
from bench.worker import environment
backend = environment.prepare(sys.argv[1], "cpu", "float32")
before = backend.flags()["deterministic"]
backend.determine()
print(json.dumps([before, backend.flags()["deterministic"]]))
"""


def test_what_parity_switches_on_is_in_force_and_is_off_before(backend_name):
    command = [sys.executable, "-c", SWITCH, backend_name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == [False, True]
