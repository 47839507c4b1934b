"""TensorFlow."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bench.worker.backends import Matrix, Product


def environment(device: str, numerics: str | None, threads: int) -> dict[str, str]:
    return {
        **({"OMP_NUM_THREADS": str(threads)} if numerics else {}),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # else the peak is the pool's size
        **({"CUDA_VISIBLE_DEVICES": "-1"} if device == "cpu" else {}),
    }


def configure(numerics: str, threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_tensor_float_32_execution(numerics == "tf32")


def allow_float64() -> None:
    pass


def cached_weight_init(folder: Path) -> AbstractContextManager[None]:  # noqa: ARG001 - nothing is compiled
    return nullcontext()


def make_deterministic() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def barrier() -> None:
    import tensorflow as tf

    tf.test.experimental.sync_devices()


def synchronize() -> None:
    barrier()  # which is the framework's own


def devices() -> list[str]:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    return [
        f"{device.device_type.lower()}: {details(device).get('device_name', device.name)}"
        for device in tf.config.list_physical_devices()
    ]


def device_of(value: Any) -> str:
    kind: str = value.device.rpartition("device:")[2].partition(":")[0].lower()
    return kind


def peak_device_mib() -> float | None:
    return _gpu_mib("peak")


def held_device_mib() -> float | None:
    return _gpu_mib("current")


def _gpu_mib(which: str) -> float | None:
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return None
    return float(tf.config.experimental.get_memory_info("GPU:0")[which]) / 2**20


def flags() -> dict[str, Any]:
    import tensorflow as tf
    from tensorflow.python.framework import config  # the question is not public, only the setting

    return {
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "deterministic": config.is_op_determinism_enabled(),
    }


def product(first: Matrix, second: Matrix) -> Product:
    import tensorflow as tf

    placed = tf.constant(first), tf.constant(second)
    multiply = tf.function(tf.matmul)
    return lambda: multiply(*placed)


def gradients(model: Any, x: Any, y: Any, weights: Any = None) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True), weights, training=True)
    values = [variable.value for variable in model.trainable_variables]
    found = tape.gradient(loss, values, unconnected_gradients="zero")
    return loss, [tf.convert_to_tensor(gradient) for gradient in found]
