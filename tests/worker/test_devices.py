"""Several devices of one launch and of one ladder, on this backend: fakes and local processes, so correctness alone."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

from bench.contract.backend_facts import PROCESSES
from bench.contract.paths import ROOT
from bench.worker.keras_internals import distributes
from bench.worker.programs.prepare import describe
from bench.worker.timing import gauges
from bench.worker.workload.record import _of_all
from tests.support.records import fault_of

LAYERS = {
    "plain": "",
    "normalised": "keras.layers.BatchNormalization(),",
    "synchronized": "keras.layers.BatchNormalization(synchronized=True),",
    "dropout": "keras.layers.Dropout(0.5, seed=1),",
}
SOURCE = '''"""A small network."""
import keras
from models import Target, Workload

def build():
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation="relu"), LAYER keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28)), *layers])

workload = Workload(
    build=build, dataset="fashion_mnist", batch_size=32, epochs=2, quick_samples=640, target=Target("accuracy"),
    optimizer=lambda: keras.optimizers.SGD(0.1),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
'''
EXACT = 1e-10  # far above rounding in float64, far below any other computation
# What is wrong with a backend's devices, as code that a workload's file runs in every process of it.
FAULTS = {
    "jax": {
        "wrong slice": """
from keras.src.backend.jax import distribution_lib
import numpy as np
share = distribution_lib.distribute_data_input
def first_twice(batch, layout, batch_dim_name):
    half = np.asarray(batch)[: len(batch) // 2]
    return share(np.concatenate([half, half]), layout, batch_dim_name)
distribution_lib.distribute_data_input = first_twice
""",
    },
    "tensorflow": {
        "summed": """
import keras.src.losses.loss as of_loss
of_loss.scale_loss_for_distribution = lambda value: value
""",
        "wrong slice": """
import tensorflow as tf
run = tf.distribute.MirroredStrategy.run
def first_twice(self, function, args=(), kwargs=None, options=None):
    def first(value):
        return self.experimental_local_results(value)[0]
    given = tf.nest.map_structure(first, args, expand_composites=False)
    return run(self, function, given, kwargs, options)
tf.distribute.MirroredStrategy.run = first_twice
""",
    },
    "torch": {
        "summed": """
import torch.distributed as group
from torch.nn.parallel import DistributedDataParallel
from bench.worker.backends.torch.devices import Team
Team._average = lambda self, parameter: group.all_reduce(parameter.grad)
begin = DistributedDataParallel.__init__
def summing(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    def add(state, bucket):
        return group.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda done: done.value()[0])
    self.register_comm_hook(None, add)
DistributedDataParallel.__init__ = summing
""",
        "wrong slice": """
from bench.worker.backends.torch.devices import Team
share = Team.share
def first(self, parts, batch_size):
    rank, self.rank = self.rank, 0
    try:
        return share(self, parts, batch_size)
    finally:
        self.rank = rank
Team.share = first
""",
    },
}
NOTHING_IS_AVERAGED = """
import keras
from bench.worker.backends.torch.devices import Team
Team._average = lambda self, parameter: None
keras.Model._initialize_ddp = lambda self: None
"""
FIRST_OF_ALL = """
from bench.worker.backends import ranks
share = ranks.share
ranks.share = lambda parts, batch_size, number, count: share(parts, batch_size, 0, count)
"""


def written(folder, name, fault=""):
    """A workload's file of that name, with a fault that it brings."""
    path = folder / f"{name}.py"
    source = SOURCE.replace("LAYER", LAYERS.get(name, ""))
    source = source.replace("SGD(0.1)", "SGD(0.1, clipvalue=1e-3)") if name == "clipped" else source
    path.write_text(f"{fault}\n{source}")
    return path


EACH = {PROCESSES: "each"}  # has a process for each device where a backend may have one for all


def climbed(backend_name, folder, path, count, steps=3, settings=MappingProxyType({})):
    """What a ladder of so many devices recorded of the workload in a file, by the command that the parent uses."""
    weights = folder / f"0-{path.stem}"
    if not weights.with_name(f"{weights.name}-seed0.npz").exists():
        describe(str(path), [0], weights)
    command = [sys.executable, "-m", "bench.worker.programs.parity", f"--backend={backend_name}", "--device=cpu"]
    command += ["--numerics=float64", f"--steps={steps}", "--test-samples=500", "--seeds=0", "--climbs=fit-own"]
    command += [f"--device-count={count}", f"--weights={folder}", f"--output={folder}", "--workloads", str(path)]
    env = {**os.environ, **settings}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    several = f"-{count}-devices" if count > 1 else ""
    (found,) = folder.glob(f"0-{path.stem}-seed0-{backend_name}-cpu-float64-fit-own{several}.npz")
    with np.load(found) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "about"}
        return json.loads(str(archive["about"])), arrays, done.stdout + done.stderr


def apart(arrays, golden):
    """The largest relative difference of each rung that both have."""
    found = {}
    for name, array in arrays.items():
        scale = np.abs(golden[name]).max() or 1.0
        rung = name.partition("/")[0]
        found[rung] = max(found.get(rung, 0.0), float(np.abs(array - golden[name]).max() / scale))
    return found


@pytest.fixture(scope="module")
def golden(request, tmp_path_factory):
    """The folder of ladders, and the one of one device for a workload of LAYERS, climbed once."""
    folder, found = tmp_path_factory.mktemp("devices"), {}

    def climb(name):
        if name not in found:
            path = written(folder, name)
            found[name] = climbed(request.config.getoption("backend"), folder, path, 1)[1]
        return folder, found[name]

    return climb


@pytest.mark.parametrize("count", [2, 4])
def test_several_devices_compute_what_one_does(count, golden, backend_name):
    folder, one = golden("plain")
    about, arrays, log = climbed(backend_name, folder, folder / "plain.py", count)
    found = apart(arrays, one)

    assert about["error"] == "", log
    assert set(found) == {"weights", "one step", "losses", "all steps", "predictions", "metric"}
    assert max(found.values()) < EXACT, found
    assert len(about["devices"]) == count
    assert all(words.endswith(f"{32 // count} of 32") for words in about["devices"])


@pytest.mark.parametrize("name", ["plain", "normalised", "dropout"])
def test_a_process_for_each_device_computes_what_one_does_on_jax(name, golden, backend_name):
    if backend_name != "jax":
        pytest.skip("the others have one way each")
    folder, one = golden(name)
    about, arrays, log = climbed(backend_name, folder, folder / f"{name}.py", 2, settings=EACH)
    found = apart(arrays, one)

    assert about["error"] == "", log
    assert about["devices"] == ["cpu:0 16 of 32", "cpu:1 16 of 32"]
    assert max(found.values()) < EXACT, found


def test_a_process_that_hands_over_anothers_share_is_found_on_jax(tmp_path, golden, backend_name):
    if backend_name != "jax":
        pytest.skip("the others have faults of their own")
    _, one = golden("plain")
    about, arrays, log = climbed(backend_name, tmp_path, written(tmp_path, "plain", FIRST_OF_ALL), 2, settings=EACH)

    assert about["error"] == "", log
    assert apart(arrays, one)["one step"] > 1e-6


def test_batch_normalisation_is_another_computation_where_each_device_normalises_alone(golden, backend_name):
    folder, one = golden("normalised")
    about, arrays, log = climbed(backend_name, folder, folder / "normalised.py", 2)
    found = apart(arrays, one)

    assert about["error"] == "", log
    assert "BatchNormalization" in about["kinds"].values()
    assert (max(found.values()) < EXACT) is (backend_name == "jax"), found
    moving = [f"sequential/batch_normalization/moving_{name}" for name in ("mean", "variance")]
    assert about["unlike"] == ([] if backend_name == "jax" else moving)


def test_synchronized_normalisation_is_the_same_computation(golden, backend_name):
    if backend_name != "tensorflow":
        pytest.skip("Keras has it on TensorFlow alone")
    folder, one = golden("normalised")
    path = written(folder, "synchronized")
    describe(str(folder / "normalised.py"), [0], folder / "0-synchronized")
    about, arrays, log = climbed(backend_name, folder, path, 2)

    assert about["error"] == "", log
    assert "BatchNormalization synchronized" in about["kinds"].values()
    assert max(apart(arrays, one).values()) < EXACT
    assert about["unlike"] == []


def test_dropout_draws_for_each_device_but_on_jax(golden, backend_name):
    folder, one = golden("dropout")
    about, arrays, log = climbed(backend_name, folder, folder / "dropout.py", 2)

    assert about["error"] == "", log
    assert "Dropout random" in about["kinds"].values()
    assert (max(apart(arrays, one).values()) < EXACT) is (backend_name == "jax")


def test_gradients_are_clipped_before_they_are_averaged_on_tensorflow_alone(golden, backend_name):
    folder, one = golden("clipped")
    about, arrays, log = climbed(backend_name, folder, folder / "clipped.py", 2)

    assert about["error"] == "", log
    assert about["kinds"]["optimizer"] == "optimizer clips"
    assert (max(apart(arrays, one).values()) < EXACT) is (backend_name != "tensorflow")


@pytest.mark.parametrize("fault", ["summed", "wrong slice"])
def test_a_fault_in_what_devices_do_together_is_found(fault, tmp_path, golden, backend_name):
    if fault not in FAULTS[backend_name]:
        pytest.skip("nothing of the backend's adds up gradients that could be replaced")
    _, one = golden("plain")
    about, arrays, log = climbed(backend_name, tmp_path, written(tmp_path, "plain", FAULTS[backend_name][fault]), 2)
    found = apart(arrays, one)

    assert about["error"] == "", log
    assert found["weights"] == 0
    assert found["one step"] > 1e-6, found
    assert found["losses"] > 1e-6, found
    excusing = "BatchNormalization", "random", "masking", "clips"
    assert not any(word in kind for kind in about["kinds"].values() for word in excusing)


def test_devices_whose_gradients_are_not_averaged_fail_the_ladder(tmp_path, backend_name):
    if backend_name != "torch":
        pytest.skip("one process has one set of weights")
    about, _, _ = climbed(backend_name, tmp_path, written(tmp_path, "plain", NOTHING_IS_AVERAGED), 2)

    assert re.search(
        r"device 1 holds another \S+ than device 0 after training: gradients were not averaged", about["error"]
    )


@pytest.fixture(scope="module")
def launched(recorded):
    """A launch on two devices, and the same on one."""
    return recorded(device_count=2).launch, recorded().launch


def test_a_launch_on_two_devices_leaves_one_record_as_one_device_does(launched):
    two, one = launched

    assert fault_of({**two, "repetition": 0}) == ""
    assert two["case"]["device_count"] == 2
    assert {name for name in two if two[name] != one.get(name)} >= {"case", "epochs", "phases"}
    for name in ("weights_digest", "batches_digest", "samples_per_epoch", "parameters"):
        assert two[name] == one[name]


def test_the_logs_are_those_of_all_devices(launched):
    two, one = launched

    for name in ("loss", "metric"):
        assert [epoch[name] for epoch in two["epochs"]] == pytest.approx(
            [epoch[name] for epoch in one["epochs"]], rel=1e-3
        )
    assert two["test"]["metric"] == pytest.approx(one["test"]["metric"], abs=0.01)


def test_each_device_is_proved_to_hold_its_share(launched):
    assert launched[0]["resolved"]["devices"] == ["cpu:0 64 of 128", "cpu:1 64 of 128"]
    assert "devices" not in launched[1]["resolved"]


def test_what_averages_gradients_is_recorded(launched, backend_name):
    own = {"tensorflow": "MirroredStrategy", "torch": "keras.distribution" if distributes() else "hooks"}

    assert launched[0]["resolved"]["averaged_by"] == own.get(backend_name, "keras.distribution")
    assert "averaged_by" not in launched[1]["resolved"]


def test_a_process_for_each_device_leaves_one_record_on_jax(recorded, launched, monkeypatch, backend_name):
    if backend_name != "jax":
        pytest.skip("the others have one way each")
    monkeypatch.setenv(PROCESSES, "each")
    found, one = recorded("--knobs={}", device_count=2).launch, launched[1]  # not the one that is there

    assert fault_of({**found, "repetition": 0}) == ""
    assert found["resolved"]["devices"] == ["cpu:0 64 of 128", "cpu:1 64 of 128"]
    assert found["resolved"]["averaged_by"] == "keras.distribution, a process each"
    assert [epoch["loss"] for epoch in found["epochs"]] == pytest.approx(
        [epoch["loss"] for epoch in one["epochs"]], rel=1e-3
    )
    assert found["test"]["metric"] == pytest.approx(one["test"]["metric"], abs=0.01)
    assert found["phases"]["input"] > 0


def test_where_the_time_goes_is_recorded(launched):
    phases = launched[0]["phases"]

    assert phases["input"] > 0
    assert (phases["exchange"] is not None) is (launched[0]["resolved"]["averaged_by"] == "hooks")
    assert phases["exchange"] is None or 0 < phases["exchange"] < phases["fit"]
    assert "exchange" not in launched[1]["phases"]


def test_whether_it_was_compiled_is_read_back(launched, backend_name):
    assert [launch["resolved"]["jit_compile"] for launch in launched] == [backend_name == "jax"] * 2


def test_the_cpu_time_of_all_processes_counts_as_the_launchs_own():
    before = gauges.counters()
    after = _of_all(SimpleNamespace(cpu_seconds=lambda: 1000.0))

    assert after.cpu_seconds - before.cpu_seconds > 999


def test_what_is_held_out_is_refused_on_several_devices(launch):
    done, _ = launch("--validation-split=0.1", device_count=2)

    assert done.returncode != 0
    assert "--device-count 2: held-out samples are evaluated on one device" in done.stderr


@pytest.mark.parametrize("rank", ["1", "0"])
def test_a_process_that_dies_ends_the_launch_in_one_line_and_leaves_nobody(rank, tmp_path, case, backend_name):
    if backend_name == "tensorflow":
        pytest.skip("one process")
    fault = f'import os\nif os.environ.get("BENCH_RANK", "0") == "{rank}":\n    raise RuntimeError("no more")\n'
    path = written(tmp_path, "plain", fault)
    chosen = case(workload=str(path), samples=640, batch_size=32, device_count=2)
    command = [sys.executable, "-m", "bench.worker.programs.train", *chosen.options(), "--seed=0"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / 'left.json'}"],
        cwd=ROOT,
        env={**os.environ, **EACH},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode != 0
    assert not (tmp_path / "left.json").exists()
    assert "no more" in done.stderr
    assert running(str(path)) == []


def test_the_others_die_with_the_first_process(tmp_path, case, backend_name):
    if backend_name == "tensorflow":
        pytest.skip("one process")
    path = written(tmp_path, "plain", "import time\ntime.sleep(600)\n")
    chosen = case(workload=str(path), samples=640, batch_size=32, device_count=2)
    command = [sys.executable, "-m", "bench.worker.programs.train", *chosen.options(), "--seed=0", "--output=x"]
    settings = {**os.environ, **EACH}
    first = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited_for(lambda: len(running(str(path))) == 2)
    time.sleep(1)  # the second sees that its parent has gone once it has asked for it
    first.kill()
    first.wait()

    waited_for(lambda: running(str(path)) == [])


def waited_for(holds, seconds=60):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)


def running(word):
    """The processes whose command has a word with this in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace")
            state = path.with_name("stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if word in command and state != "Z":
            found.append(path.parent.name)
    return found


PAGE = (ROOT / "docs" / "devices.md").read_text()
PROGRAMS = dict(re.findall(r"^### ([^\n]*)\n(?:(?!^#).)*?^```python\n(.*?)^```", PAGE, re.M | re.S))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_page_prints_what_stands_below_it(name, tmp_path, backend_name):
    program = PROGRAMS[name]
    said = dict(re.findall(r"^# (jax|tensorflow|torch(?:, Keras 3.1[56])?): (.*)$", program, re.MULTILINE))
    version = f"torch, Keras 3.1{6 if distributes() else 5}"
    printed = said.get(version if backend_name == "torch" and version in said else backend_name)
    if printed is None:
        pytest.skip("of another backend, or another version of Keras")
    (tmp_path / "program.py").write_text(program)
    (command,) = re.findall(r"^# (.*) program.py$", program, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in command.split() if re.match(r"[A-Z_]+=", word))
    words = [word for word in command.split() if not re.match(r"[A-Z_]+=", word)]
    words = [sys.executable if word == "python" else word for word in words]
    done = subprocess.run(
        [*words, "program.py"],
        cwd=tmp_path,
        env={**os.environ, **settings, "KERAS_BACKEND": backend_name},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.stdout.strip().splitlines()[-1:] == [printed], done.stdout + done.stderr[-2000:]


MASKED_ON_JAX = """
import numpy as np, keras

for several in (False, True):
    keras.distribution.set_distribution(keras.distribution.DataParallel() if several else None)
    layers = [keras.layers.Masking(), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    model = keras.Sequential([keras.Input((3, 1)), *layers])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = np.array([[[1.0], [0.0], [0.0]], [[1.0], [1.0], [1.0]]])
    model.fit(x, np.array([[[2.0]] * 3, [[0.0]] * 3]), batch_size=2, shuffle=False, verbose=0)
    print(f"{model.get_weights()[0][0, 0]:.2f}", end=" ")
"""


def test_masked_places_are_the_same_on_jax(backend_name):
    if backend_name != "jax":
        pytest.skip("the page has it")
    settings = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    given = {"env": {**os.environ, **settings}, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, "-c", MASKED_ON_JAX], **given)

    assert done.stdout == "1.00 1.00 ", done.stderr


def test_every_program_of_the_page_is_run():
    assert len(PROGRAMS) == PAGE.count("```python") > 0
