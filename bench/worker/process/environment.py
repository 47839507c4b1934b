"""The process a worker measures in: set up before Keras is imported, the same whoever starts the worker."""

import atexit
import contextlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from bench.contract import catalog
from bench.contract.lifeline import die_with_parent
from bench.worker import backends

# Each would change what is trained, or on what, without the plan's knowledge; a backend's own are in its facts.
FOREIGN = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "CUBLAS_WORKSPACE_CONFIG",  # goes with deterministic algorithms, which are for parity
    "CUBLASLT_WORKSPACE_SIZE",
    "DNNL_DEFAULT_FPMATH_MODE",  # oneDNN's precision, by its old name and the new
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_LAUNCH_BLOCKING",
)


DOWNLOADS = ("datasets", "models")  # folders of Keras's home


def foreign_settings() -> tuple[str, ...]:
    """The environment variables of a user's that no worker sees: those of all backends, for one may read another's."""
    return (*FOREIGN, *(name for facts in catalog.facts_of_all() for name in facts.foreign_settings))


def threads() -> int:
    """The CPUs this process may run on: every backend gets that many threads. Restrict them with `taskset`."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(backend: str, device: str, numerics: str | None, device_count: int = 1) -> backends.Backend:
    """Choose backend, devices and arithmetic, drop the user's own settings of them, and import the framework.

    With None as numerics, precision and number of threads are the framework's own. Where several devices take a process
    each, these share the CPUs.
    """
    die_with_parent()
    module = backends.load(backend)
    for name in foreign_settings():
        os.environ.pop(name, None)
    # Away from ~/.keras/keras.json, which may name another float type, epsilon or image format.
    home = tempfile.mkdtemp(prefix="keras-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    _keep_downloads(Path(home))
    os.environ["KERAS_HOME"] = home
    for name in catalog.facts_of(backend).compile_caches:
        os.environ[name] = str(Path(home, name.lower()))
    os.environ["KERAS_BACKEND"] = backend
    if device == "gpu":
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi and the parent count
    several = backends.devices(backend) if device_count > 1 else None
    share = max(1, threads() // several.processes(device_count)) if several else threads()
    os.environ.update(module.environment(device, numerics, share))
    if several:
        os.environ.update(several.begin(device, device_count))
    if numerics is not None:
        module.configure(numerics, share)
    if several:
        several.configure(device, device_count)
    return module


def _keep_downloads(home: Path) -> None:
    """Let the data sets and weights that Keras downloads for a user's own code lie where it always puts them."""
    usual = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser().absolute()
    for name in DOWNLOADS:
        with contextlib.suppress(OSError):  # a home that is not there, or cannot be written: downloaded each time
            (usual / name).mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(usual / name)


def versions(backend: str, guest: str = "") -> dict[str, str]:
    """The versions of the modules imported here, whatever package brought them; a guest's framework serves an input."""
    found = {"python": platform.python_version()}
    frameworks = [name for one in (backend, guest) if one for name in catalog.facts_of(one).packages]
    for name in ("keras", "numpy", *frameworks):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    return found
