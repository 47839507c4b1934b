"""Build environments: those that are pinned, on a node of a cluster, and those of variants, with other versions.

For the noxfile, for a search over versions and for nodes: standard library, and for variants `virtualenv` as a program.

    python -m bench.machine.building NAME

builds the pinned environment of that name unless it is complete.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.machine import environments, variants

# Packages whose files are another one's too: a release candidate of TensorFlow depends on Keras's nightly.
STAND_INS = {"keras": "keras-nightly"}


def build(name: str, packages: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> str | None:
    """Build a pinned environment, with `packages` besides its own, unless it is complete; why it cannot be.

    `environment` has pip's settings, by default this process's own.
    """
    if environments.complete(name, packages):
        return None
    folder = environments.folder(name, packages)
    install = [str(environments.environment_python(name, packages)), "-m", "pip", "install"]
    failed = _failure([sys.executable, "-m", "venv", "--clear", str(folder)])
    failed = failed or _failure([*install, *environments.requirements(name, packages)], environment)
    if failed:
        return variants.reason_of(failed)
    Path(folder, environments.STAMP).write_text(environments.stamp(name, packages), encoding="utf-8")
    return None


def build_variant(
    backend: str, packages: Sequence[str], pins: Sequence[str], environment: Mapping[str, str] | None = None
) -> str | None:
    """Build a backend's environment with other versions, unless it is complete; why it cannot be, which stays in it.

    `environment` has pip's settings, by default this process's own.
    """
    if variants.complete(backend, packages, pins):
        return None
    folder, overlay = variants.folder(backend, packages, pins), variants.is_overlay(pins)
    said = ""
    for python in (None,) if overlay else itertools.chain((None,), newer_pythons()):
        failed = _make(folder, python) or _install(backend, packages, pins, environment)
        if not failed:
            stamp = variants.stamp(backend, packages, pins)
            Path(folder, environments.STAMP).write_text(stamp, encoding="utf-8")
            return None
        said = said or failed
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder, variants.FAILED).write_text(variants.reason_of(said), encoding="utf-8")
    return variants.missing_reason(backend, packages, pins)


def newer_pythons() -> Iterator[Path]:
    """A working interpreter of each newer Python that is installed here, those of pyenv too.

    What pyenv puts on the path answers only for versions that are chosen at the moment.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    for version in variants.NEWER_PYTHONS:
        on_path = shutil.which(f"python{version}")
        found = [*([Path(on_path)] if on_path else []), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
        yield from [one for one in found if not _failure([str(one), "-c", ""])][:1]


def _make(folder: Path, python: Path | None) -> str:
    """Make an empty environment, on another Python where one is named; what was said where that failed."""
    chosen = [] if python is None else [f"--python={python}"]
    return _failure([sys.executable, "-m", "virtualenv", "--clear", *chosen, str(folder)])


def _install(backend: str, packages: Sequence[str], pins: Sequence[str], environment: Mapping[str, str] | None) -> str:
    """Install the versions; an overlay lies on the backend's own environment and takes them alone."""
    folder, overlay = variants.folder(backend, packages, pins), variants.is_overlay(pins)
    if overlay:
        below, above = map(environments.site_packages, (environments.folder(backend, packages), folder))
        Path(above, "below.pth").write_text(f"{below}\n", encoding="utf-8")
    python = variants.environment_python(backend, packages, pins)
    install = [str(python), "-m", "pip", "install", *(["--no-deps"] if overlay else [])]
    wanted = variants.requirements(backend, packages, pins)
    return _failure([*install, *wanted], environment) or _restore(folder, python, wanted, environment)


def _restore(folder: Path, python: Path, wanted: Sequence[str], environment: Mapping[str, str] | None) -> str:
    """Take out what brought files of a package that is wanted itself, and install that again."""
    for package, stand_in in STAND_INS.items():
        pin = next((one for one in wanted if one.startswith(f"{package}==")), None)
        about = environments.site_packages(folder).glob(f"{stand_in.replace('-', '_')}-*.dist-info")
        if pin is None or not any(about):
            continue
        pip = [str(python), "-m", "pip"]
        failed = _failure([*pip, "uninstall", "--yes", stand_in], environment)
        failed = failed or _failure([*pip, "install", "--no-deps", "--force-reinstall", pin], environment)
        if failed:
            return failed
    return ""


def _failure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr or done.stdout or "it said nothing"


if __name__ == "__main__":
    sys.exit(build(sys.argv[1]))
