"""Does this environment work? One JSON line on standard output: versions and devices, or the reason why not.

python -m bench.worker.probe --backend torch
"""

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def main() -> None:
    """Import the backend, train nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True)
    backend = parser.parse_args().backend
    print(json.dumps(probe(backend)), flush=True)


def probe(backend: str) -> dict[str, Any]:
    """`{"python", "versions", "devices", "missing"}`; `missing` says in words what keeps it from working."""
    versions, missing = {}, []
    for package in ("keras", backend, "numpy", "pytest", "pytest-benchmark"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            missing.append(f"{package} is not installed")
    devices: list[str] = []
    if not missing:
        from bench.worker import backends

        os.environ["KERAS_BACKEND"] = backend
        try:
            import keras  # noqa: F401 - an environment may import its backend and not Keras

            devices = backends.load(backend).devices()
        except Exception as error:
            missing.append(f"{type(error).__name__}: {error}")
    return {"python": platform.python_version(), "versions": versions, "devices": devices, "missing": missing}


if __name__ == "__main__":
    main()
