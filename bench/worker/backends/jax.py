"""JAX."""

from typing import Any


def environment(device: str, threads: int) -> dict[str, str]:  # noqa: ARG001 - JAX obeys only the CPU affinity
    return {
        "JAX_PLATFORMS": "cpu" if device == "cpu" else "cuda,cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",  # no TF32
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else the peak is the pool's size
    }


def configure(threads: int) -> None:
    pass


def barrier() -> None:
    import jax

    # While fit runs, the model's own variables are stale; what is being computed is among the live arrays.
    jax.block_until_ready(jax.live_arrays())


def devices() -> list[str]:
    import jax

    return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]


def device_of(value: Any) -> str:
    return "gpu" if next(iter(value.devices())).platform == "gpu" else "cpu"


def peak_device_mib() -> float | None:
    import jax

    statistics = jax.devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] / 2**20 if statistics else None


def flags() -> dict[str, Any]:
    import jax

    return {
        "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,
        "jax_enable_x64": jax.config.jax_enable_x64,
    }
