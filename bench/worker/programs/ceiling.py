"""What this machine reaches at best here: floating-point operations per second in one large float32 matrix product.

    python -m bench.worker.programs.ceiling --backend torch --device cpu --numerics float32

One JSON line on standard output: `{"flops_per_second": …, "size": …}` with the gauges of the time it took, as an epoch
has them, or `{"error": "one line"}`, then with status 1.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

from bench.contract.catalog import training_backends
from bench.worker import backends
from bench.worker.process import environment
from bench.worker.timing import gauges
from bench.worker.timing.nvml import nothing

SIZES = {"cpu": 2_048, "gpu": 8_192}  # large enough that starting the product costs nothing beside it
SECONDS = 0.5


def main() -> None:
    """Measure once; threads and precision are those of a launch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", required=True, choices=training_backends())
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
        began, before = time.perf_counter(), gauges.counters()
        result = {"flops_per_second": 2 * size**3 / seconds(backend, size), "size": size}
        noise = gauges.noise(before, gauges.counters(), (0.0, 0.0), nothing())
        told = {name: getattr(noise, name) for name in ("steal_fraction", "other_cpu_seconds")}
        result |= {"seconds": time.perf_counter() - began, **told}
    except Exception as error:  # each framework has its own where the device is not there
        from bench.worker.errors import reason  # with Keras, which asks for its backend when it is imported

        result = {"error": f"{given.backend} on {given.device}: {reason(error)}"}
    print(json.dumps(result), flush=True)
    sys.exit("error" in result)


def seconds(backend: backends.Backend, size: int) -> float:
    """Of the fastest of several products: what else a shared machine does only slows it."""
    random = np.random.default_rng(0)  # a GPU that multiplies zeros needs less power, and is faster for it
    first, second = (random.random((size, size), dtype=np.float32) for _ in range(2))
    multiply = backend.product(first, second)
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


if __name__ == "__main__":
    main()
