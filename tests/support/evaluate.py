"""Evaluates Python expressions inside one backend's environment, for the tests that hold backends against each other.

    python tests/support/evaluate.py BACKEND NUMERICS

A line of standard input is an expression; a line of standard output is JSON: the value's type, shape and bytes, or the
error. Random draws are parity's. `keras`, `np`, `ops`, `exact`, `randomness` and `compiled` can be used.
"""

import base64
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.worker.process import environment


def main(backend, numerics):
    """Answer line after line."""
    environment.prepare(backend, "cpu", numerics)

    import keras
    import numpy as np

    from bench.worker.exact import mode as exact
    from bench.worker.exact import randomness

    if numerics == "float64":
        exact.enable(backend)
    randomness.install()
    names = {"keras": keras, "np": np, "ops": keras.ops, "exact": exact, "randomness": randomness}
    names["compiled"] = lambda function: compiled(backend, function)
    for line in sys.stdin:
        try:
            value = eval(line, names)  # noqa: S307 - the tests' own expressions
            array = np.asarray(keras.ops.convert_to_numpy(value))
            content = base64.b64encode(array.tobytes()).decode()
            answer = {"dtype": array.dtype.name, "shape": array.shape, "bytes": content}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def compiled(backend, function):
    """The value of a function run as a training step is: traced and compiled where the backend does that."""
    if backend == "jax":
        import jax

        return jax.jit(function)()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)()
    return function()


if __name__ == "__main__":
    main(*sys.argv[1:])
