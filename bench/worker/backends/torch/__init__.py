"""PyTorch."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bench.worker.backends import Matrix, Product


def environment(device: str, numerics: str | None, threads: int) -> dict[str, str]:
    return {
        **({"OMP_NUM_THREADS": str(threads)} if numerics else {}),
        "KERAS_TORCH_DEVICE": "cpu" if device == "cpu" else "cuda",
        **({"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {}),
    }


def configure(numerics: str, threads: int) -> None:
    import torch

    # Only where OMP_NUM_THREADS came too late: the call also keeps MKL from taking fewer threads for small products,
    # with which a step of `transformer` takes a seventh longer on two cores than with torch as it is shipped.
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if numerics == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = numerics == "tf32"


def allow_float64() -> None:
    pass


def cached_weight_init(folder: Path) -> AbstractContextManager[None]:  # noqa: ARG001 - nothing is compiled
    return nullcontext()


def make_deterministic() -> None:
    import torch

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it the next line lets matrix products fail
    torch.use_deterministic_algorithms(True, warn_only=True)  # an operation that has none is told in the log
    torch.backends.cudnn.benchmark = False


def barrier() -> None:
    import torch

    if torch.cuda.is_available():  # on a CPU every call returns when its work is done
        torch.cuda.synchronize()


def synchronize() -> None:
    barrier()  # which is the framework's own


def devices() -> list[str]:
    import torch

    gpus = [f"gpu: {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    return ["cpu: cpu", *gpus]


def device_of(value: Any) -> str:
    kind: str = value.device.type
    return "gpu" if kind == "cuda" else kind


def peak_device_mib() -> float | None:
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None


def held_device_mib() -> float | None:
    import torch

    return torch.cuda.memory_allocated() / 2**20 if torch.cuda.is_available() else None


def flags() -> dict[str, Any]:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": _unless_mixed(torch.get_float32_matmul_precision),
        "cudnn_allow_tf32": _unless_mixed(lambda: torch.backends.cudnn.allow_tf32),
        "matmul_allow_tf32": _unless_mixed(lambda: torch.backends.cuda.matmul.allow_tf32),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _unless_mixed(read: Callable[[], Any]) -> Any:
    """A setting of precision; torch raises where a user's file has set another one by `fp32_precision`, its newer way.

    See pytorch/pytorch#189955.
    """
    try:
        return read()
    except RuntimeError:
        return "set by fp32_precision"


def product(first: Matrix, second: Matrix) -> Product:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"  # on a CPU launch the environment hides the GPUs
    placed = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
    return lambda: torch.matmul(*placed)


def gradients(model: Any, x: Any, y: Any, weights: Any = None) -> tuple[Any, list[Any]]:
    import torch

    values = [variable.value for variable in model.trainable_variables]
    loss = model.compute_loss(x, y, model(x, training=True), weights, training=True)
    return loss, list(torch.autograd.grad(loss, values, materialize_grads=True))
