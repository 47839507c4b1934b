"""A backend is its folder and its dependency group, and no other module names one."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.contract.catalog import backend_names, facts_of_all
from bench.contract.paths import ROOT
from bench.machine import environments
from bench.worker import backends

STAND_IN = ROOT / "tests" / "support" / "numpy_backend"
NEW, REFERENCE = "numpy", "jax"  # the reference's environment has all that Keras's backend on NumPy imports
GROUP = f'[dependency-groups]\nbackend-{NEW} = [{{ include-group = "worker" }}, "jax==0.10.2"]\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with a fourth backend that trains: a folder and a dependency group more, nothing else."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "bench", root / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "models").symlink_to(ROOT / "models")
    shutil.copy(ROOT / "noxfile.py", root)
    shutil.copytree(STAND_IN, root / "bench" / "worker" / "backends" / NEW)
    pins = (ROOT / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(pins.replace("[dependency-groups]\n", GROUP))
    return root


def said(project, python, *words):
    """What a process in the project prints last, as JSON."""
    done = subprocess.run([python, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PARENT = """
import json, os, sys, tempfile
from pathlib import Path
os.environ["NUMPY_FLAGS"] = "fast"
from bench.contract.catalog import backend_names, training_backends
from bench.launch.process import launch
from bench.machine import environments
from bench.machine.fingerprint import fingerprint, others
from bench.contract.run_json import Workload
from bench.contract.typed import parse
from bench.plan.cases import plan
from bench.plan.parse import parse_run
from bench.report import drawing
from bench.report.parts import tracks
import noxfile

options = parse_run(["--workloads=mlp", "--backends=jax,numpy", "--inputs=all", "--devices=cpu"])
planned = plan(options, [parse(Workload, json.loads(sys.argv[1]))], ())
dying = [sys.executable, "-c", "raise SystemExit('Unable to allocate 74.5 GiB for an array')"]
print(json.dumps({
    "trains": "numpy" in training_backends(),
    "requirements": environments.requirements("numpy"),
    "session": "env(numpy)" in {one.name for one in vars(noxfile)["nox"].registry.get().values()},
    "cases": [[one.case.backend, one.case.input, one.skip] for one in planned],
    "drawn": [drawing.colour("numpy"), drawing.symbol("numpy")],
    "pasted": tracks._pasted("generator").call,
    "no_memory": launch(dying, log=Path(tempfile.mkdtemp(), "log"), limit_seconds=60).status,
    "flags": fingerprint()["flags"].get("NUMPY_FLAGS"),
}))
"""


@pytest.fixture(scope="module")
def parent(project):
    """What the parent's worlds make of the fourth backend."""
    from support.descriptions import MLP

    return said(project, environments.environment_python("tests"), "-c", PARENT, json.dumps(MLP.to_json()))


def test_an_added_backend_has_an_environment(parent):
    assert parent["trains"]
    assert parent["session"]
    assert "jax==0.10.2" in parent["requirements"]
    assert any(line.startswith("keras==") for line in parent["requirements"])


def test_an_added_backend_is_planned_with_its_own_input(parent):
    run = [(backend, kind) for backend, kind, skip in parent["cases"] if skip is None]
    skips = {kind: skip for backend, kind, skip in parent["cases"] if backend == "jax" and skip}

    assert [kind for backend, kind in run if backend == NEW] == ["arrays", "PyDataset", "generator", "resident"]
    assert skips["generator"] == "generator needs numpy, which the environment of jax does not have"


def test_an_added_backend_has_its_colour_symbol_and_code_to_paste(parent):
    assert parent["drawn"] == ["#7b4fb5", "star"]
    assert parent["pasted"] == "batches(x, y, {batch})"


def test_an_added_backend_is_understood_when_memory_is_out(parent):
    assert parent["no_memory"] == "out of memory"


def test_an_added_backends_settings_are_recorded_with_the_machine(parent):
    assert parent["flags"] == "fast"


WORKER = """
import json, os, tempfile
from pathlib import Path
os.environ["NUMPY_PRECISION"] = "low"
from bench.worker import backends
from bench.worker.process import environment
environment.prepare("numpy", "cpu", "float64")

import keras, numpy as np
from bench.worker.exact import mode, randomness
from bench.worker.workload import inputs
mode.enable("numpy")
x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
call = backends.caller("numpy", "loop", model, x, Path(tempfile.mkdtemp()))
made = backends.trainer("numpy", "loop", model, "accuracy", {})
print(json.dumps({
    "dropped": "NUMPY_PRECISION" not in os.environ,
    "set_up": os.environ["NUMPY_WAS_SET_UP"],
    "patched": backends.exact("numpy").PATCHED,
    "word": str(randomness._word(7).dtype),
    "batches": [[[part.tolist() for part in batch] for batch in inputs.arguments(kind, (x, y), 3)["x"]]
                for kind in ("generator", "resident")],
    "outputs": str(call(x).dtype),
    "losses": made.train(made.place(x.reshape(2, 3, 2), y.reshape(2, 3))).losses,
    "versions": sorted(environment.versions("numpy")),
}))
"""


@pytest.fixture(scope="module")
def worker_python():
    """An interpreter with all that Keras's backend on NumPy needs."""
    python = environments.interpreter(REFERENCE, {})
    assert python, environments.missing_reason(REFERENCE)
    return python


@pytest.fixture(scope="module")
def worker(project, worker_python):
    """What the worker makes of the fourth backend, in exact mode."""
    return said(project, worker_python, "-c", WORKER)


def test_a_worker_is_set_up_for_an_added_backend(worker):
    assert worker["dropped"]
    assert worker["set_up"] == "cpu float64"
    assert {"keras", "numpy", "python"} <= set(worker["versions"])


def test_exact_mode_and_its_draws_go_through_an_added_backend(worker):
    assert worker["patched"] == ["float64"]
    assert (worker["word"], worker["outputs"]) == ("uint32", "float64")


def test_fit_is_handed_an_added_backends_own_input_and_what_is_resident(worker):
    first, second = [[[0, 1], [2, 3], [4, 5]], [0, 1, 2]], [[[6, 7], [8, 9], [10, 11]], [3, 4, 5]]

    assert worker["batches"] == [[first, second]] * 2


def test_an_added_backend_trains_in_its_own_loop(worker):
    assert worker["losses"] == [0.0, 0.0]


def test_the_ceiling_of_an_added_backend_is_measured(project, worker_python):
    words = ["-m", "bench.worker.programs.ceiling", f"--backend={NEW}", "--device=cpu"]

    assert said(project, worker_python, *words)["flops_per_second"] > 0


def test_doctor_sees_the_devices_of_an_added_backend(project, worker_python):
    answer = said(project, worker_python, "-m", "bench.worker.programs.probe", f"--backend={NEW}")

    assert answer["devices"] == ["cpu: NumPy"]
    assert "numpy" in answer["versions"]


def test_a_backend_whose_facts_are_wrong_is_one_line_and_exit_status_2(project, tmp_path):
    root = Path(shutil.copytree(project, tmp_path / "project", symlinks=True))
    path = Path("bench", "worker", "backends", NEW, "backend.toml")
    (root / path).write_text((root / path).read_text().replace('"star"', "5"))
    command = [environments.environment_python("tests"), "-m", "bench", "run", "--workloads=mlp", "--dry-run"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == f'bench: {path}: symbol = 5, expected the name of a marker of Plotly\'s, as "circle"\n'


TRAINING = {"product", "gradients"}


@pytest.mark.parametrize("facts", facts_of_all(), ids=lambda facts: facts.name)
def test_every_backend_has_the_functions_of_the_protocol(facts):
    asked = {name for name, one in vars(backends.Backend).items() if callable(one) and not name.startswith("_")}
    module = backends.load(facts.name)

    assert {name for name in asked if not callable(getattr(module, name, None))} == (
        set() if facts.trains else TRAINING
    )


@pytest.mark.parametrize("facts", facts_of_all(), ids=lambda facts: facts.name)
def test_every_backend_that_trains_has_every_module_of_training(facts):
    folder = ROOT / "bench" / "worker" / "backends" / facts.name
    there = {path.stem for path in folder.glob("*.py")}

    assert {"loop", "native", "inputs", "exact"} & there == (
        {"loop", "native", "inputs", "exact"} if facts.trains else set()
    )


@pytest.mark.parametrize("facts", [facts for facts in facts_of_all() if facts.shares], ids=lambda facts: facts.name)
def test_every_backend_that_trains_on_several_devices_has_the_functions_of_their_protocols(facts):
    module = backends.devices(facts.name)
    for protocol, found in ((backends.Devices, module), (backends.Team, module.Team)):
        asked = {name for name, one in vars(protocol).items() if callable(one) and not name.startswith("_")}

        assert {name for name in asked if not callable(getattr(found, name, None))} == set()
    assert module.Team.by


def test_no_two_backends_share_a_colour_a_symbol_or_an_input():
    for values in (
        [facts.colour for facts in facts_of_all()],
        [facts.symbol for facts in facts_of_all()],
        [kind for facts in facts_of_all() for kind in facts.inputs],
    ):
        assert len(values) == len(set(values))


ALLOWED = {  # text that names a backend outside the backends' folders, and why it may
    ("bench/plan/selection.py", "jax"): "the reference, unless the user names another",
    ("bench/plan/words.py", "for example jax=/opt/jax/bin/python"): "an example of how an option is written",
    ("bench/worker/workload/check.py", "TensorFlow computes the loss"): "says to a user where two backends may part",
    ("bench/own_models/keras_file.py", "TorchModuleWrapper"): "a class of Keras's that brings code along",
    ("bench/own_models/keras_file.py", "JaxLayer"): "likewise",
}
NAMED = re.compile(rf"\b({'|'.join(backend_names())})|\b(TF|XLA|PYTORCH)_|tf\.data|DataLoader", re.IGNORECASE)


def texts(tree):
    """The texts of a module that are not docstrings, and the modules it imports."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(one.value) for one in first if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def naming(root):
    """The modules outside the backends' folders that name a backend, each with the text that does."""
    for path in sorted((root / "bench").rglob("*.py")):
        if root / "bench" / "worker" / "backends" not in path.parents:
            for text in texts(ast.parse(path.read_text(encoding="utf-8"))):
                if NAMED.search(text):
                    yield str(path.relative_to(root)), text


def test_no_module_besides_a_backends_own_names_a_backend():
    found = list(naming(ROOT))

    assert [one for one in found if not any(one[0] == path and words in one[1] for path, words in ALLOWED)] == []
    assert [key for key in ALLOWED if not any(key[0] == path and key[1] in text for path, text in found)] == []


@pytest.mark.parametrize(
    "line",
    ['COLOURS = {"jax": "#0072b2"}', 'NEEDED = {"tf.data": 1}', 'FLAGS = ("XLA_FLAGS",)', "def f():\n    import torch"],
)
def test_the_search_for_names_would_notice(tmp_path, line):
    (tmp_path / "bench").mkdir()
    Path(tmp_path, "bench", "guilty.py").write_text(f'"""Of jax and torch."""\n\n{line}\n')

    assert [path for path, _ in naming(tmp_path)] == ["bench/guilty.py"]
