"""Whole launches on this backend: the bare process that trains."""

import io
import json
import subprocess
import sys

import keras
import pytest

from bench.contract.paths import ROOT
from bench.worker import backends
from bench.worker.programs.prepare import describe
from bench.worker.workload import load
from tests.support.records import fault_of

LAUNCH_FIELDS = ("weights_digest", "batches_digest", "parameters", "memory", "resolved", "versions", "phases")


def test_a_launch_trains_and_records_what_the_schema_asks_for(recorded, described, backend_name):
    content, digests = recorded().content, described[1]["weights"]
    found = content["launch"]

    assert fault_of({**found, "repetition": 0}) == ""
    assert len(found["epochs"]) == 3
    assert content["rounds"]["seconds"] == [epoch["seconds"] for epoch in found["epochs"][1:]]
    assert found["weights_digest"] == digests["3"]
    assert found["batches_digest"] == load.batches(load.load_dataset("fashion_mnist"), 1_300, 128, 3).digest
    assert found["test"]["metric"] > 0.5
    assert content["rounds"]["extra_info"]["test_accuracy"] == found["test"]["metric"]
    assert found["resolved"]["device"] == "cpu"
    assert found["resolved"]["flags"]["deterministic"] is False
    assert found["memory"]["peak_device_nvml_mib"] is None
    assert found["resolved"]["jit_compile"] is (backend_name == "jax")
    assert found["versions"]["keras"] == keras.__version__
    assert 50 < found["memory"]["peak_host_mib"] < 10_000
    assert set(LAUNCH_FIELDS) <= set(found)


def test_only_what_draws_the_weights_is_compiled_once_a_run(recorded, described, backend_name):
    """What trains is compiled in every launch."""
    compiled = described[0] / "compiled"
    recorded()
    first = {path.name for path in compiled.glob("*-cache")}
    recorded.__wrapped__()

    assert {path.name for path in compiled.glob("*-cache")} == first
    assert (backend_name == "jax") == any("uniform" in name for name in first)
    assert not any("train" in name for name in first)


def test_setup_and_epochs_fit_into_the_fit(launch):
    """Setup and epochs do not overlap: together they take no longer than fit as a bare clock sees it."""
    done, content = launch(samples=12_800, epochs=4)
    assert done.returncode == 0, done.stdout + done.stderr
    found = content["launch"]
    recorded = found["setup_seconds"] + sum(epoch["seconds"] for epoch in found["epochs"])

    assert recorded <= found["phases"]["fit"]


LOADED = """
import runpy, sys
sys.argv = ["train", *sys.argv[1:]]
runpy.run_module("bench.worker.programs.train", run_name="__main__")
import threading
print(threading.active_count(), *sorted({name.partition(".")[0] for name in sys.modules}))
"""
FOREIGN = {"pytest", "_pytest", "pluggy", "pytest_benchmark", "pandas", "psutil", "pynvml", "msgspec"}


def test_the_timed_process_holds_keras_its_backend_and_our_clock(case, tmp_path):
    words = [*case().options(), "--seed=3", f"--output={tmp_path / 'measured.json'}"]
    command = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    count, *modules = done.stdout.splitlines()[-1].split()

    assert {"keras", "bench"} <= set(modules)
    assert not set(modules) & FOREIGN
    assert count == "1"  # no thread of ours


def test_settings_of_the_users_own_do_not_reach_the_worker(launch, monkeypatch, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float16", "image_data_format": "channels_first"}))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "1")
    _, content = launch()

    assert content["launch"]["resolved"]["dtype_policy"] == "float32"
    assert len(content["launch"]["epochs"]) == 3
    assert content["launch"]["epochs"][-1]["metric"] > 0.5  # one step of ten images would not get there


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('keras.layers.Rescaling(float("nan"))', "the loss is nan after epoch 1"),
        ("keras.layers.NoSuchLayer()", "NoSuchLayer"),
    ],
)
def test_a_model_that_fails_ends_the_launch_without_a_record(launch, tmp_path, change, reason):
    source = (ROOT / "models" / "mlp.py").read_text()
    path = tmp_path / "mine.py"
    path.write_text(source.replace("keras.layers.Dense(10)", f"keras.layers.Dense(10), {change}"))
    done, content = launch(workload=str(path))

    assert done.returncode != 0
    assert reason in done.stderr
    assert content is None


def test_a_gpu_that_is_not_there_is_an_error_and_not_a_cpu_figure(launch, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done, content = launch(device="gpu")

    assert done.returncode != 0
    assert content is None


def test_torch_is_told_its_number_of_threads_only_where_it_has_another(backend, backend_name, monkeypatch):
    if backend_name != "torch":
        pytest.skip("a matter of torch")
    import torch

    told, has = [], torch.get_num_threads()
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    backend.configure("float32", has)
    backend.configure("float32", has + 1)

    assert told == [has + 1]


# In a process of its own: in this one, whose malloc another test may have told to keep what is freed, a block may be
# cut from memory that is resident already.
PEAKS = """
from bench.worker.timing import memory
block = bytearray(400 * 2**20)
print(memory.peak_host_mib())
del block
memory.reset_peak()
print(memory.peak_host_mib())
"""


def test_the_peak_of_memory_can_begin_anew():
    printed = subprocess.run([sys.executable, "-c", PEAKS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with_block, without = map(float, printed.split())

    assert with_block > 400
    assert without < with_block - 350


def test_the_workers_folder_for_keras_is_removed(recorded):
    assert not list(recorded().left.glob("keras-home-*"))


def test_prepare_describes_a_workload_without_drawing_weights():
    description = describe("perceptron", [0], None)

    assert description["train_samples"] == 60_000
    assert description["parameters"] == 7_850
    assert description["target"]["metric"] == "accuracy"
    assert description["weights"] == {}
    assert 0 < description["step_seconds"] < 60


def test_strict_float32_is_in_force(backend, backend_name):
    flags = backend.flags()
    strict = {
        "jax": {"jax_default_matmul_precision": "highest", "jax_enable_x64": False},
        "tensorflow": {"tensor_float_32": False},
        "torch": {"float32_matmul_precision": "highest", "cudnn_allow_tf32": False},
    }[backend_name]

    assert {name: flags[name] for name in strict} == strict


def test_a_barrier_returns_and_the_device_of_a_value_is_told(backend):
    value = keras.Variable(keras.ops.ones((8, 8)) @ keras.ops.ones((8, 8)))
    backend.barrier()

    assert backend.device_of(value.value) == "cpu"
    assert backend.peak_device_mib() is None


def test_every_backend_module_answers_what_is_asked(backend):
    asked = {name for name in vars(backends.Backend) if not name.startswith("_")}

    assert asked <= set(dir(backend))


def test_the_probe_reports_versions_and_devices(backend_name):
    command = [sys.executable, "-m", "bench.worker.programs.probe", "--backend", backend_name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    answer = json.loads(io.StringIO(done.stdout).readlines()[-1])

    assert answer["missing"] == []
    assert answer["versions"]["keras"] == keras.__version__
    assert answer["devices"][0].startswith("cpu")


def test_the_probe_says_what_is_missing(backend_name):
    other = "torch" if backend_name != "torch" else "jax"
    command = [sys.executable, "-m", "bench.worker.programs.probe", "--backend", other]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert json.loads(done.stdout.splitlines()[-1])["missing"] == [f"{other} is not installed"]
