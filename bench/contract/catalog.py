"""What can be named on the command line: workloads and backends, found by their files.

Standard library only: the noxfile asks it, in nox's own interpreter.
"""

from __future__ import annotations

import ast
import functools

from bench.contract import backend_facts
from bench.contract.backend_facts import BackendFacts
from bench.contract.paths import ROOT

BACKENDS = ROOT / "bench" / "worker" / "backends"


def workload_names() -> tuple[str, ...]:
    """The workloads of the registry: one module in `models/` is one workload, or one for each of its VARIANTS."""
    return tuple(name for module in workload_modules() for name in names_of(module))


@functools.cache
def workload_modules() -> tuple[str, ...]:
    """The modules in `models/` that define workloads."""
    return tuple(sorted(path.stem for path in (ROOT / "models").glob("*.py") if not path.stem.startswith("_")))


@functools.cache
def names_of(module: str) -> tuple[str, ...]:
    """The workloads that a module in `models/` defines, read without importing it: Keras may be missing."""
    tree = ast.parse((ROOT / "models" / f"{module}.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "VARIANTS" for target in statement.targets
        ):
            return tuple(f"{module}-{variant}" for variant in ast.literal_eval(statement.value))
    return (module,)


def backend_names() -> tuple[str, ...]:
    """The backends: one package in `bench/worker/backends/` is one backend."""
    return tuple(sorted(path.parent.name for path in BACKENDS.glob("*/__init__.py")))


@functools.cache
def facts_of(name: str) -> BackendFacts:
    """The plain facts about a backend; UsageError where its `backend.toml` is missing or wrong."""
    return backend_facts.read(BACKENDS / name)


def facts_of_all() -> tuple[BackendFacts, ...]:
    """The plain facts about every backend."""
    return tuple(map(facts_of, backend_names()))


def framework_of(package: str) -> str | None:
    """The backend whose framework a package is, or a part of it; None of any other package."""
    return next((facts.name for facts in facts_of_all() if package in facts.packages), None)


def training_backends() -> tuple[str, ...]:
    """The backends that can train, which so have a training loop; the others take part in task predict alone."""
    return tuple(facts.name for facts in facts_of_all() if facts.trains)


def dataset_names() -> tuple[str, ...]:
    """The keys of `DATASETS` in models/datasets, read without importing it: NumPy may be missing."""
    tree = ast.parse((ROOT / "models" / "datasets" / "__init__.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.value, ast.Dict):
            continue
        if isinstance(statement.target, ast.Name) and statement.target.id == "DATASETS":
            return tuple(ast.literal_eval(key) for key in statement.value.keys if key)
    raise LookupError("models/datasets/__init__.py has no DATASETS")
