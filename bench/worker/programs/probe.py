"""Does this environment work? One JSON line on standard output: versions and devices, or the reason why not.

python -m bench.worker.programs.probe --backend torch
"""

import argparse
import importlib
import json
import os
import platform
from importlib.util import find_spec
from typing import Any

from bench.contract.catalog import facts_of


def main() -> None:
    """Import the backend, train nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True)
    backend = parser.parse_args().backend
    print(json.dumps(probe(backend)), flush=True)


def probe(backend: str) -> dict[str, Any]:
    """`{"versions", "devices", "nvml", "missing"}`: `missing` says in words what keeps it from working."""
    versions, missing, devices = {"python": platform.python_version()}, [], list[str]()
    os.environ["KERAS_BACKEND"] = backend
    for package in (facts_of(backend).packages[0], "keras", "numpy"):
        try:
            versions[package] = importlib.import_module(package).__version__
        except ModuleNotFoundError as error:
            missing.append(f"{error.name} is not installed")
        except Exception as error:
            missing.append(f"{package}: {type(error).__name__}: {error}")
    if not missing:
        from bench.worker import backends

        devices = backends.load(backend).devices()
    nvml = find_spec("pynvml") is not None
    return {"versions": versions, "devices": devices, "nvml": nvml, "missing": list(dict.fromkeys(missing))}


if __name__ == "__main__":
    main()
