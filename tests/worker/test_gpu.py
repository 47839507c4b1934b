"""The worker's half of a GPU machine, without a GPU: settings, devices, determinism; the devices are stand-ins."""

import itertools
import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.contract.paths import ROOT
from bench.worker import backends
from bench.worker.exact import climb as climb_module
from bench.worker.process import environment
from bench.worker.programs import parity
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import train
from bench.worker.workload.build import check_device, resolved

CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
SET = ("CUDA_DEVICE_ORDER", "KERAS_HOME", "KERAS_BACKEND", *CACHES, *environment.foreign_settings())


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
        environment.prepare("torch", device, "float32")
        return dict(os.environ)

    kept = dict(os.environ)
    yield prepare
    os.environ.clear()
    os.environ.update(kept)


def test_no_launch_finds_what_another_has_compiled(prepared, tmp_path):
    first = prepared("cpu", TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    second = prepared("cpu")

    assert len({one[name] for one in (first, second) for name in CACHES}) == 2 * len(CACHES)
    assert str(tmp_path) not in [first[name] for name in CACHES]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NVIDIA_TF32_OVERRIDE", "1"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1"),
        ("JAX_DEFAULT_MATMUL_PRECISION", "tensorfloat32"),
        ("TF_ENABLE_AUTO_MIXED_PRECISION", "1"),
        ("CUDA_LAUNCH_BLOCKING", "1"),
        ("XLA_CLIENT_MEM_FRACTION", ".9"),
        ("XLA_PYTHON_CLIENT_MEM_FRACTION", ".9"),
        ("XLA_PYTHON_CLIENT_ALLOCATOR", "platform"),
        ("TF_FORCE_UNIFIED_MEMORY", "1"),
        ("TF_GPU_ALLOCATOR", "cuda_malloc_async"),
        ("PYTORCH_ALLOC_CONF", "expandable_segments:True"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
        ("PYTORCH_NO_CUDA_MEMORY_CACHING", "1"),
        ("CUBLAS_WORKSPACE_CONFIG", ":16:8"),
        ("TF_CUDNN_DETERMINISTIC", "1"),
    ],
)
def test_a_setting_of_precision_memory_or_waiting_is_dropped(prepared, name, value):
    assert name not in prepared("gpu", **{name: value})


def test_a_setting_of_onednn_does_not_reach_what_is_computed(launch, monkeypatch):
    """On a CPU with instructions for bfloat16 it takes TensorFlow's convolutions down to 7 bits."""
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    _, content = launch()

    assert [content["launch"]["resolved"][f"{kind}_bits"] for kind in ("matmul", "convolution")] == [23, 23]


def test_cards_are_numbered_as_the_parent_or_the_user_says(prepared):
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
    ("told", "device"),
    [
        ("cpu", "cpu"),
        ("gpu", "gpu"),
        ("cuda", "gpu"),
        ("tpu", "tpu"),
        ("METAL", "METAL"),
        ("mps", "mps"),
        ("xla", "xla"),
    ],
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


def test_after_training_every_variable_is_asked_where_it_lives(trained, monkeypatch):
    check_device(elsewhere(), trained)
    kernel = trained.layers[-1].kernel
    slot = next(variable for variable in trained.optimizer.variables if variable.shape == kernel.shape)
    for variable in (kernel, slot):
        value = variable.value
        monkeypatch.setattr(type(variable), "value", property(lambda self: self._value))
        with pytest.raises(RuntimeError, match=r"lives on the cpu, not on the gpu that was asked for"):
            check_device(elsewhere(SimpleNamespace(value=value)), trained)


def test_the_record_names_the_device_of_every_variable_not_of_the_first(trained):
    slot = next(variable for variable in trained.optimizer.variables if len(variable.shape))
    launch = elsewhere(slot)
    launch.knobs, launch.backend.flags = {}, dict

    assert resolved(launch, trained)["device"] == "cpu and gpu"
    launch.backend.device_of = lambda _value: "gpu"
    assert resolved(launch, trained)["device"] == "gpu"


@pytest.mark.parametrize("track", train.OWN_LOOP)
def test_a_tracks_own_copies_are_asked_where_they_live(case, backend_name, track):
    given = case(track=track, device="gpu", batch_size=4, epochs=1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    x, y, clock = np.ones((8, 4), "float32"), np.zeros(8, "uint8"), EpochClock("accuracy", lambda: None)
    own = track == "loop" and backend_name != "jax"  # the Keras model's own variables, which are asked anyway
    with (
        nullcontext() if own else pytest.raises(RuntimeError, match=f"track {track} trained on the cpu, not on the gpu")
    ):
        train.train(given, model, (x, y), train.defaults(backend_name, track), clock)


def test_the_copies_are_weights_and_what_the_optimizer_keeps_of_each(backend_name):
    """Adam keeps two arrays of each weight; a counter of steps may be there too."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    trainer = backends.trainer(backend_name, "native", model, "accuracy", train.defaults(backend_name, "native"))
    trainer.train(trainer.place(np.ones((2, 4, 4), "float32"), np.zeros((2, 4), "uint8")))
    shapes = [tuple(copy.shape) for copy in trainer.copies() if len(copy.shape)]

    assert sorted(shapes) == [(3,)] * 3 + sorted([(4, 3) if backend_name != "torch" else (3, 4)] * 3)


def test_counters_and_seeds_may_stay_on_the_host(trained):
    whole = [variable for variable in (*trained.variables, *trained.optimizer.variables) if not len(variable.shape)]
    seeds = [variable for variable in trained.variables if "int" in str(variable.dtype)]
    assert whole

    check_device(elsewhere(*whole, *seeds), trained)


@pytest.fixture
def on_card(case, backend, monkeypatch):
    """A launch in this process as on a GPU: here are stand-ins for the card, its driver and the parent."""
    from bench.worker.process.launch import Launch
    from bench.worker.programs import predict as predicting
    from bench.worker.programs import train as training

    held, joules, events = itertools.count(1), itertools.count(7_000, 5_000), []
    card = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda _index: "card",
        nvmlDeviceGetTotalEnergyConsumption=lambda _card: next(joules),
        nvmlDeviceGetComputeRunningProcesses=lambda _card: [
            SimpleNamespace(pid=os.getpid(), usedGpuMemory=next(held) * 2**30)
        ],
    )
    monkeypatch.setitem(sys.modules, "pynvml", card)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def run(task="train", device_of=lambda _events: "gpu", synchronize=backend.synchronize):
        asked = {name: getattr(backend, name) for name in ("barrier", "cached_weight_init", "peak_device_mib", "flags")}
        stand_in = SimpleNamespace(**asked, device_of=lambda _value: device_of(events), synchronize=synchronize)
        messenger = SimpleNamespace(send=lambda event, **_: events.append(event))
        given = Launch(case(device="gpu", task=task), 3, None, {}, 0.0, stand_in, messenger, {"phases": {}})
        (training if task == "train" else predicting).measure(given)
        return given.record

    return run


def test_on_a_gpu_energy_and_peak_memory_are_recorded(on_card):
    record = on_card()
    spans = round(sum(1 / epoch["span_epochs"] for epoch in record["epochs"]))  # short epochs share one, and its energy

    assert [epoch["gpu_joules"] * epoch["span_epochs"] for epoch in record["epochs"]] == [5.0] * 3
    assert all(epoch["undrained_seconds"] >= 0 for epoch in record["epochs"])
    assert record["memory"]["peak_device_nvml_mib"] == record["epochs"][-1]["gpu_mib"] == 2 * spans * 1_024
    assert record["resolved"]["device"] == "gpu"


def test_on_a_gpu_calls_of_inference_have_energy_and_memory_too(on_card):
    record = on_card("predict")

    assert record["calls"]["series"]["gpu_joules"] == 5.0
    assert record["memory"]["peak_device_nvml_mib"] == 2 * 1_024


def test_a_launch_whose_epochs_end_too_early_fails(on_card):
    with pytest.raises(RuntimeError, match="the barrier returned before the device had finished"):
        on_card(synchronize=lambda: time.sleep(1))


@pytest.mark.parametrize(("task", "begins"), [("train", "fit"), ("predict", "calls")])
def test_variables_that_leave_the_gpu_meanwhile_fail_the_launch(on_card, task, begins):
    with pytest.raises(RuntimeError, match="lives on the cpu, not on the gpu"):
        on_card(task, lambda events: "cpu" if begins in events else "gpu")


@pytest.mark.parametrize(("device", "times"), [("gpu", 1), ("cpu", 0)])
def test_parity_alone_is_deterministic_and_on_a_gpu_alone(monkeypatch, tmp_path, device, times):
    switched = []
    stub = SimpleNamespace(make_deterministic=lambda: switched.append(1), flags=dict)
    monkeypatch.setattr(parity.environment, "prepare", lambda *_: stub)
    monkeypatch.setattr("bench.worker.exact.randomness.install", lambda: None)

    def climb(*_):
        raise climb_module.NotClimbedError

    monkeypatch.setattr(climb_module, "climb", climb)
    words = [f"--device={device}", "--backend=jax", "--numerics=float32", "--steps=1", "--seeds=0"]
    words += [f"--weights={tmp_path}", f"--output={tmp_path}", "--workloads", "mlp"]
    monkeypatch.setattr(sys, "argv", ["ladder", *words])
    parity.main()

    assert len(switched) == times


SWITCH = """
import json, os, sys
sys.path.insert(0, ".")
from bench.worker.process import environment
backend = environment.prepare(sys.argv[1], "cpu", "float32")
before = backend.flags()["deterministic"]
backend.make_deterministic()
import keras
keras.ops.ones(3) + 1  # XLA ends the process at a flag that it does not know
print(json.dumps([before, backend.flags()["deterministic"]]))
"""


def test_what_parity_switches_on_is_in_force_and_is_off_before(backend_name):
    command = [sys.executable, "-c", SWITCH, backend_name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == [False, True]


@pytest.mark.parametrize(
    ("flags", "deterministic"),
    [
        ("", False),
        ("--xla_gpu_deterministic_ops", True),
        ("--xla_gpu_deterministic_ops=1 --xla_dump_to=there", True),
        ("--xla_gpu_deterministic_ops=true --xla_gpu_deterministic_ops=false", False),
    ],
)
def test_deterministic_operations_of_the_users_own_flags_are_told(
    backend, backend_name, monkeypatch, flags, deterministic
):
    if backend_name != "jax":
        pytest.skip("a matter of JAX")
    monkeypatch.setenv("XLA_FLAGS", flags)

    assert backend.flags()["deterministic"] is deterministic


PRECISION = """
import json, sys
from bench.worker.process import environment
print(json.dumps(environment.prepare(sys.argv[1], "cpu", sys.argv[2]).flags()))
"""


@pytest.mark.parametrize("numerics", ["float32", "tf32"])
def test_precision_is_set_and_read_back_whole_and_without_a_warning(backend_name, numerics):
    """Torch warns, or refuses to answer, where its older names and its newer ones are mixed."""
    command = [sys.executable, "-W", "error::UserWarning", "-c", PRECISION, backend_name]
    done = subprocess.run([*command, numerics], cwd=ROOT, capture_output=True, text=True, check=True)
    found, on = json.loads(done.stdout.splitlines()[-1]), numerics == "tf32"
    expected = {
        "jax": {"jax_default_matmul_precision": "tensorfloat32" if on else "highest"},
        "tensorflow": {"tensor_float_32": on},
        "torch": {
            "float32_matmul_precision": "high" if on else "highest",
            "matmul_allow_tf32": on,
            "cudnn_allow_tf32": on,
        },
    }[backend_name]

    assert {name: found[name] for name in expected} == expected
    assert found["deterministic"] is False
