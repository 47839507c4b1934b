"""Where the backends' Python interpreters are: those that nox built, or those the user names."""

import functools
import hashlib
import importlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contract import catalog
from bench.contract.paths import ROOT
from bench.launch.ask import ask
from bench.machine.nvidia import find

ENVIRONMENTS = ROOT / ".nox"
STAMP = "complete"  # written last into an environment's folder, so a half-built one lacks it
TOOLS = ("bench", "bench-ray", "tests", "worker-tests", "lint", "audit")  # environments that are no backend's
PARENTS = {"ray": "bench-ray"}  # the parent's environment where launches happen in such places; else `bench`


def requirements(name: str, packages: Sequence[str] = ()) -> list[str]:
    """The pins of one environment, as pyproject.toml has them, and `packages` besides.

    Of a backend they are those that fit this machine's driver. A group `backend-NAME-cudaN` is for drivers that support
    CUDA N or newer; without a driver, or without such a group, `backend-NAME` is taken. Of `packages` another build of
    the backend's own framework is left out: it is there already, and the other would overwrite its files.
    """
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]

    def resolve(group: str) -> list[str]:
        found: list[str] = []
        for item in groups[group]:
            found += resolve(item["include-group"]) if isinstance(item, dict) else [item]
        return found

    if name in TOOLS:
        return [*resolve(name), *packages]
    own = resolve(_group(f"backend-{name}", groups))
    builds = set(catalog.facts_of(name).distributions) - set(map(distribution, own))
    return [*own, *(package for package in packages if distribution(package) not in builds)]


def distribution(requirement: str) -> str:
    """The package's name in a requirement such as `jax[cuda12]==0.10.2`."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _group(name: str, groups: Mapping[str, Any]) -> str:
    majors = [int(group.removeprefix(f"{name}-cuda")) for group in groups if group.startswith(f"{name}-cuda")]
    newest = cuda_major() if majors else None
    fitting = [major for major in majors if newest is not None and major <= newest]
    return f"{name}-cuda{max(fitting)}" if fitting else name


def stamp(name: str, packages: Sequence[str] = ()) -> str:
    """What the stamp of a complete environment says: the digest of the pins it is built from."""
    return hashlib.sha256("\n".join(requirements(name, packages)).encode()).hexdigest()


def complete(name: str, packages: Sequence[str] = ()) -> bool:
    """Whether an environment was built to its end, from the pins in force now."""
    path = folder(name, packages) / STAMP
    there = environment_python(name, packages).exists() and path.is_file()
    return there and path.read_text(encoding="utf-8") == stamp(name, packages)


def folder(name: str, packages: Sequence[str] = ()) -> Path:
    """Where an environment lies: with `packages` besides its own in a folder of their own."""
    if not packages:
        return ENVIRONMENTS / f"env-{name}"
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    return ENVIRONMENTS / f"env-{name}-with-{digest[:8]}"


def environment_python(name: str, packages: Sequence[str] = ()) -> Path:
    """The interpreter of the environment that `nox -s "env(NAME)"` builds, or of one with `packages` besides."""
    return folder(name, packages) / "bin" / "python"


def site_packages(environment: Path) -> Path:
    """The folder of an environment's packages."""
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def interpreter(backend: str, given: Mapping[str, Path], packages: Sequence[str] = ()) -> Path | None:
    """The interpreter that runs a backend's workers; None where its environment is missing, half-built or outdated."""
    if backend in given:
        return given[backend]
    return environment_python(backend, packages) if complete(backend, packages) else None


def missing_reason(backend: str, packages: Sequence[str] = ()) -> str:
    """Why a backend without an interpreter cannot run, and how to fix it."""
    build = f"nox -s bench -- --with {','.join(packages)}" if packages else f'nox -s "env({backend})"'
    return f"no complete environment; build it with {build} or pass --python {backend}=PATH"


@functools.cache
def probe(python: Path, backend: str) -> dict[str, Any]:
    """What an environment says of itself: `versions`, `devices`, `nvml`, and why it does not work in `missing`."""
    answer = ask(python, "bench.worker.programs.probe", "--backend", backend)
    return {"missing": [answer["error"]]} if "error" in answer else answer


def lacking(python: Path, backend: str) -> list[str]:
    """Which of Keras and the backend an environment lacks, by their packages' names; empty where it does not answer."""
    missing: list[str] = ask(python, "bench.worker.programs.installed", "--backend", backend).get("missing", [])
    return missing


@functools.cache
def installed(python: Path) -> dict[str, str]:
    """The packages of an environment with their versions, asked for once; empty where it does not answer."""
    answer = ask(python, "bench.worker.programs.installed")
    return {} if "error" in answer else answer


@functools.cache
def cuda_major() -> int | None:
    """The newest CUDA that this machine's driver supports; None without a driver.

    An interpreter that lacks NVML's package, as nox's does, asks the environment `bench` where it is built.
    """
    try:
        cuda = find(importlib.import_module("pynvml")).cuda
    except ImportError:
        python = environment_python("bench")
        cuda = ask(python, "bench.machine.nvidia").get("cuda") if complete("bench") else None
    return int(cuda[0]) if cuda else None
