"""Recurrent layers of track `native` on JAX: one `lax.scan` over the steps of a sequence, with Keras's order of gates.

The inputs of all steps are multiplied by their kernel before the loop, in one product. Sequences have the shape (steps,
batch, features) in here.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Array = Any  # jax.Array, which is not there when the types are checked
Call = Any  # that of native.py, which imports this module
States = tuple[Array, ...]  # the first is what the layer gives


def in_steps(call: Call, x: Array) -> Array:
    """A batch of sequences, the axis of steps first and in the order in which the layer reads them."""
    x = x.swapaxes(0, 1)
    return x[::-1] if call.settings["backwards"] else x


def lstm(call: Call, products: Array) -> Array:
    """A long short-term memory, given the inputs times their kernel."""
    given = call.weights

    def step(states: States, product: Array) -> States:
        hidden, memory = states
        i, f, candidate, o = jnp.split(product + hidden @ given["recurrent kernel"], 4, axis=-1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(candidate)
        return jax.nn.sigmoid(o) * jnp.tanh(memory), memory

    return _over_steps(call, step, products + given["bias"] if "bias" in given else products, 2)


def gru(call: Call, products: Array) -> Array:
    """Gated recurrent units, given the inputs times their kernel; one bias, or two where the reset comes after."""
    given, is_after = call.weights, call.settings["reset_after"]
    kernel, units = given["recurrent kernel"], len(given["recurrent kernel"])
    biases = given["bias"].reshape(-1, 3 * units) if "bias" in given else jnp.zeros((2, 3 * units), products.dtype)

    def step(states: States, product: Array) -> States:
        (hidden,) = states
        inner = hidden @ kernel + biases[1] if is_after else hidden @ kernel[:, : 2 * units]
        z, r = jnp.split(jax.nn.sigmoid(product[:, : 2 * units] + inner[:, : 2 * units]), 2, axis=-1)
        reset = r * inner[:, 2 * units :] if is_after else (r * hidden) @ kernel[:, 2 * units :]
        candidate = jnp.tanh(product[:, 2 * units :] + reset)
        return (z * hidden + (1 - z) * candidate,)

    return _over_steps(call, step, products + biases[0], 1)


def _over_steps(call: Call, step: Callable[[States, Array], States], products: Array, states: int) -> Array:
    """What the layer gives after the last step, or after each: (batch, units) or (batch, steps, units)."""
    units = len(call.weights["recurrent kernel"])
    zeros = jnp.zeros((products.shape[1], units), products.dtype)

    def body(before: States, product: Array) -> tuple[States, Array | None]:
        after = step(before, product)
        return after, after[0] if call.settings["sequences"] else None

    last, outputs = jax.lax.scan(body, (zeros,) * states, products, unroll=call.knobs["unroll"])
    return outputs.swapaxes(0, 1) if call.settings["sequences"] else last[0]
