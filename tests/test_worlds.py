"""A folder is an import world: none imports another's libraries, which a subprocess proves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.paths import ROOT
from bench.plan.parse import parse_run

FRAMEWORKS = {"jax", "tensorflow", "torch"}
TABLES = {"pandas", "scipy"}

# Keras itself imports pandas where it is installed, so a stub stands in for it: only our own imports count.
PROVER = """
import importlib, sys, types
sys.path.insert(0, {root!r})
{stub}
for name in {modules!r}:
    importlib.import_module(name)
print("\\n".join(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
STUB = """
def anything(_self, name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Class(name, (), {})
Class = type("Class", (type,), {"__getattr__": anything})
Anything = type("Anything", (types.ModuleType,), {"__getattr__": anything})
for name in ("keras", "keras.callbacks"):
    sys.modules[name] = Anything(name)
sys.modules["keras"].callbacks = sys.modules["keras.callbacks"]
sys.modules["pytest_benchmark"] = Anything("pytest_benchmark")
sys.modules["pytest_benchmark.fixture"] = Anything("pytest_benchmark.fixture")
"""


def modules(*folders):
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


PARENT = ("bench/contract", "bench/own_models", "bench/launch", "bench/machine", "bench/plan", "bench/run")
NEEDS_FRAMEWORK = re.compile(r"bench\.worker\.backends\.\w+\.\w+")


def imported(names, stub="", root=ROOT):
    code = PROVER.format(root=str(root), modules=names, stub=stub)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        (modules(*PARENT), FRAMEWORKS | TABLES | {"keras", "models"}),
        (
            ["bench.contract.record", "bench.plan.options", "bench.machine.environments"],
            FRAMEWORKS | TABLES | {"keras", "psutil", "rich"},
        ),
        (modules("bench/analysis", "bench/report"), FRAMEWORKS | {"keras", "models", "psutil"}),
        (["models", "models.datasets"], FRAMEWORKS | TABLES | {"keras", "bench"}),
    ],
    ids=["parent", "shared words", "analysis and report", "registry"],
)
def test_a_world_does_not_import_anothers_libraries(names, foreign):
    assert not imported(names) & foreign


@pytest.mark.parametrize(
    ("names", "foreign"),
    [
        (
            [name for name in modules("bench/worker") if not NEEDS_FRAMEWORK.fullmatch(name)],
            FRAMEWORKS | TABLES | {"rich", "psutil"},
        ),
        (modules("models"), FRAMEWORKS | TABLES | {"bench"}),
    ],
    ids=["worker", "models"],
)
def test_a_world_with_keras_does_not_import_anothers_libraries(names, foreign):
    assert not imported(names, STUB) & foreign


BARE = """
import sys
sys.path.insert(0, {root!r})
from bench.plan.parse import parse_calibrate, parse_explain, parse_parity, parse_run
print(type({parse}({words!r})).__name__)
"""


def bare(parse, words):
    """What a parser gives in an interpreter that has the standard library alone, as nox's own may be."""
    code = BARE.format(root=str(ROOT), parse=parse, words=[str(word) for word in words])
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


SELECTION = ["--workloads=mlp", "--backends=jax,torch", "--devices=cpu", "--seed=3", "--reference=jax"]
RUN = [
    *SELECTION,
    *("--profile=quick", "--tasks=train,predict", "--numerics=float32,bfloat16", "--tracks=all", "--batch-size=32,64"),
    *("--samples=640", "--epochs=2", "--launches=6", "--within=3%", "--budget=20m", "--inputs=all", "--to-target"),
    *("--pass-env=HOME", "--no-parity", "--dry-run"),
]


@pytest.mark.parametrize(
    ("parse", "words", "kind"),
    [
        ("parse_run", RUN, "RunOptions"),
        ("parse_explain", [*SELECTION, "--launches=2"], "ExplainOptions"),
        ("parse_parity", [*SELECTION, "--seeds=2", "--steps=6", "--numerics=float32"], "ParityOptions"),
        ("parse_calibrate", ["--launches=12", "--load=1"], "CalibrateOptions"),
    ],
    ids=["run", "explain", "parity", "calibrate"],
)
def test_a_bare_interpreter_parses_every_option(parse, words, kind):
    done = bare(parse, words)

    assert (done.stdout.strip(), done.returncode) == (kind, 0), done.stderr


def test_a_bare_interpreter_resumes_a_run(recorded_run):
    description = json.loads((recorded_run / "run.json").read_text())
    parsed = vars(parse_run(["--workloads=mlp", f"--output={recorded_run.parent}"]))
    options = {**parsed, "python": {}, "output": str(parsed["output"])}
    (recorded_run / "run.json").write_text(json.dumps({**description, "state": "interrupted", "options": options}))
    done = bare("parse_run", [f"--resume={recorded_run.name}", f"--output={recorded_run.parent}"])

    assert (done.stdout.strip(), done.returncode) == ("RunOptions", 0), done.stderr


@pytest.mark.parametrize("library", ["pandas", "scipy"])
def test_the_prover_would_notice(tmp_path, library):
    package = tmp_path / "bench"
    package.mkdir()
    Path(package, "__init__.py").write_text("")
    Path(package, "guilty.py").write_text(f"import {library}\n")

    assert library in imported(["bench.guilty"], root=tmp_path)
