"""What this machine reaches at best here: floating-point operations per second in one large float32 matrix product.

    python -m bench.worker.programs.ceiling --backend torch --device cpu --numerics float32

One JSON line on standard output: `{"flops_per_second": …, "size": …}`, or `{"error": "one line"}`, then with status 1.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.worker import backends
from bench.worker.process import environment

SIZES = {"cpu": 2_048, "gpu": 8_192}  # large enough that starting the product costs nothing beside it
SECONDS = 0.5

Matrix = npt.NDArray[np.float32]
Product = Callable[[], Any]


def main() -> None:
    """Measure once; threads and precision are those of a launch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", required=True, choices=PRODUCTS)
    parser.add_argument("--device", required=True, choices=SIZES)
    parser.add_argument("--numerics", default="float32", choices=("float32", "tf32"))
    given = parser.parse_args()
    size = SIZES[given.device]
    result: dict[str, Any]
    try:
        backend = environment.prepare(given.backend, given.device, given.numerics)
        present = backend.devices()
        if not any(line.startswith(given.device) for line in present):
            raise RuntimeError(f"there is only {', '.join(present)}")
        result = {"flops_per_second": 2 * size**3 / seconds(backend, PRODUCTS[given.backend], size), "size": size}
    except Exception as error:  # each framework has its own where the device is not there
        from bench.worker.errors import reason  # with Keras, which asks for its backend when it is imported

        result = {"error": f"{given.backend} on {given.device}: {reason(error)}"}
    print(json.dumps(result), flush=True)
    sys.exit("error" in result)


def seconds(backend: backends.Backend, make: Callable[[Matrix, Matrix], Product], size: int) -> float:
    """Of the fastest of several products: what else a shared machine does only slows it."""
    random = np.random.default_rng(0)  # a GPU that multiplies zeros needs less power, and is faster for it
    first, second = (random.random((size, size), dtype=np.float32) for _ in range(2))
    multiply = make(first, second)
    product = multiply()  # compiled, and memory taken
    backend.barrier()
    times: list[float] = []
    ends = time.perf_counter() + SECONDS
    while time.perf_counter() < ends or len(times) < 3:
        began = time.perf_counter()
        product = multiply()
        backend.barrier()
        times.append(time.perf_counter() - began)
        del product  # not before: JAX's barrier waits for what is alive
    return min(times)


def _jax(first: Matrix, second: Matrix) -> Product:
    import jax

    placed = jax.device_put(first), jax.device_put(second)
    multiply = jax.jit(jax.numpy.matmul)
    return lambda: multiply(*placed)


def _tensorflow(first: Matrix, second: Matrix) -> Product:
    import tensorflow as tf

    placed = tf.constant(first), tf.constant(second)
    multiply = tf.function(tf.matmul)
    return lambda: multiply(*placed)


def _torch(first: Matrix, second: Matrix) -> Product:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"  # on a CPU launch the environment hides the GPUs
    placed = torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
    return lambda: torch.matmul(*placed)


PRODUCTS: dict[str, Callable[[Matrix, Matrix], Product]] = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}


if __name__ == "__main__":
    main()
