"""The process a worker measures in: set up before Keras is imported, the same whoever starts the worker."""

import atexit
import os
import platform
import shutil
import sys
import tempfile

from bench.contract.lifeline import die_with_parent
from bench.worker import backends

# Each of these would change what is trained, or on what, without the plan's knowledge.
FOREIGN = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "JAX_COMPILATION_CACHE_DIR",  # cold epochs would come from the disk
    "JAX_DEBUG_NANS",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_X64",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "CUBLAS_WORKSPACE_CONFIG",  # with torch's deterministic algorithms, which are for parity
    "CUBLASLT_WORKSPACE_SIZE",
    # Precision, for which each numerics has its setting, and `shipped` the frameworks' own;
    "DNNL_DEFAULT_FPMATH_MODE",  # oneDNN's, by its old name and the new
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TF_CONV2D_USE_FP16_ACCUMULATE",
    "TF_ENABLE_AUTO_MIXED_PRECISION",  # of NVIDIA's builds
    "TF_ENABLE_AUTO_MIXED_PRECISION_GRAPH_REWRITE",
    "TF_FP16_CONV_USE_FP32_COMPUTE",
    "TF_FP16_MATMUL_USE_FP32_COMPUTE",
    "TF_FP16_RNN_USE_FP32_COMPUTE",
    # whether steps are waited for;
    "CUDA_LAUNCH_BLOCKING",
    "JAX_CPU_ENABLE_ASYNC_DISPATCH",
    "TF_SYNC_ON_FINISH",
    # and how a GPU's memory is taken: as much as is needed, of the card alone, and no pool in advance.
    "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "TF_FORCE_UNIFIED_MEMORY",  # JAX reads it too
    "TF_GPU_ALLOCATOR",
    "TF_PER_DEVICE_MEMORY_LIMIT_MB",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
)


def threads() -> int:
    """The CPUs this process may run on: every backend gets that many threads. Restrict them with `taskset`."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(backend: str, device: str, numerics: str | None) -> backends.Backend:
    """Choose backend, device and arithmetic, drop the user's own settings of them, and import the framework.

    With None as numerics, precision and number of threads are the framework's own.
    """
    die_with_parent()
    module = backends.load(backend)
    for name in FOREIGN:
        os.environ.pop(name, None)
    # Away from ~/.keras/keras.json, which may name another float type, epsilon or image format.
    home = tempfile.mkdtemp(prefix="keras-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["KERAS_HOME"] = home
    os.environ["KERAS_BACKEND"] = backend
    if device == "gpu":
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi and the parent count
    os.environ.update(module.environment(device, numerics, threads()))
    if numerics is not None:
        module.configure(numerics, threads())
    return module


def versions(backend: str) -> dict[str, str]:
    """The versions of the modules imported here, whatever package brought them."""
    found = {"python": platform.python_version()}
    for name in ("keras", "numpy", backend, f"{backend}lib"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    return found
