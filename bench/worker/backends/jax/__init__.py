"""JAX."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.worker.backends import Matrix, Product

DETERMINISTIC = "--xla_gpu_deterministic_ops"


def environment(device: str, numerics: str | None, threads: int) -> dict[str, str]:  # noqa: ARG001 - obeys only the affinity
    return {
        "JAX_PLATFORMS": "cpu" if device == "cpu" else "cuda,cpu",
        **({"JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32" if numerics == "tf32" else "highest"} if numerics else {}),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else the peak is the pool's size
    }


def configure(numerics: str, threads: int) -> None:
    pass


def allow_float64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)  # else it has no float64 at all


@contextmanager
def cached_weight_init(folder: Path) -> Iterator[None]:
    """XLA compiles each draw anew in every launch, a sixth of a short one; what fit compiles must not be kept."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # else JAX goes on with the folder it has opened


def make_deterministic() -> None:
    # Read when the first computation begins. TF32 has a setting of its own.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}=true".strip()


def barrier() -> None:
    import jax

    # While fit runs, the model's own variables are stale; what is being computed is among the live arrays.
    jax.block_until_ready(jax.live_arrays())


def synchronize() -> None:
    import jax

    # JAX has no call for a whole device. A device computes in the order in which it was asked, so what is asked last is
    # done last.
    jax.effects_barrier()
    for device in jax.local_devices():
        (jax.device_put(0.0, device) + 1).block_until_ready()


def devices() -> list[str]:
    import jax

    return [f"{_kind(device)}: {device.device_kind}" for device in jax.devices()]


def device_of(value: Any) -> str:
    return _kind(next(iter(value.devices())))


def _kind(device: Any) -> str:
    platform: str = device.platform
    return {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)


def peak_device_mib() -> float | None:
    import jax

    statistics = jax.local_devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] / 2**20 if statistics else None


def held_device_mib() -> float | None:
    import jax

    statistics = jax.local_devices()[0].memory_stats()
    return statistics["bytes_in_use"] / 2**20 if statistics else None


def flags() -> dict[str, Any]:
    import jax

    asked = [word for word in os.environ.get("XLA_FLAGS", "").split() if word.startswith(DETERMINISTIC)]  # last wins
    return {
        "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,
        "jax_enable_x64": jax.config.jax_enable_x64,
        "deterministic": bool(asked) and not asked[-1].lower().endswith(("=false", "=0")),
    }


def product(first: Matrix, second: Matrix) -> Product:
    import jax

    placed = jax.device_put(first), jax.device_put(second)
    multiply = jax.jit(jax.numpy.matmul)
    return lambda: multiply(*placed)


def gradients(model: Any, x: Any, y: Any, weights: Any = None) -> tuple[Any, list[Any]]:
    import jax

    def values(variables: Any) -> list[Any]:
        return [variable.value for variable in variables]

    others, metrics = values(model.non_trainable_variables), values(model.metrics_variables)
    optimizer = values(model.optimizer.variables)

    def loss(trainable: Any) -> Any:
        return model.compute_loss_and_updates(trainable, others, metrics, x, y, weights, True, optimizer)

    (value, _), found = jax.value_and_grad(loss, has_aux=True)(values(model.trainable_variables))
    return value, found
