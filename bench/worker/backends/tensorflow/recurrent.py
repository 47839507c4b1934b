"""Recurrent layers of track `native` on TensorFlow: `tf.scan` over the steps of a sequence, or written out.

With Keras's order of gates. The inputs of all steps are multiplied by their kernel before the loop, in one product.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any  # tf.Tensor, which is not there when the types are checked
Call = Any  # that of native.py, which imports this module
States = tuple[Tensor, ...]  # the first is what the layer gives


def lstm(call: Call, x: Tensor) -> Tensor:
    """A long short-term memory over (batch, steps, features)."""
    given = call.weights

    def step(states: States, product: Tensor) -> States:
        hidden, memory = states
        i, f, candidate, o = tf.split(product + hidden @ given["recurrent kernel"], 4, axis=-1)
        memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(candidate)
        return tf.sigmoid(o) * tf.tanh(memory), memory

    return _over_steps(call, step, call.biased(_products(call, x)), 2)


def gru(call: Call, x: Tensor) -> Tensor:
    """Gated recurrent units over (batch, steps, features); one bias, or two where the reset comes after."""
    given, is_after = call.weights, call.settings["reset_after"]
    kernel, units = given["recurrent kernel"], given["recurrent kernel"].shape[0]
    biases = tf.reshape(given["bias"], (-1, 3 * units)) if "bias" in given else tf.zeros((2, 3 * units), x.dtype)

    def step(states: States, product: Tensor) -> States:
        (hidden,) = states
        inner = hidden @ kernel + biases[1] if is_after else hidden @ kernel[:, : 2 * units]
        z, r = tf.split(tf.sigmoid(product[:, : 2 * units] + inner[:, : 2 * units]), 2, axis=-1)
        reset = r * inner[:, 2 * units :] if is_after else (r * hidden) @ kernel[:, 2 * units :]
        candidate = tf.tanh(product[:, 2 * units :] + reset)
        return (z * hidden + (1 - z) * candidate,)

    return _over_steps(call, step, _products(call, x) + biases[0], 1)


def _products(call: Call, x: Tensor) -> Tensor:
    """The inputs times their kernel, (steps, batch, gates), in the order in which the layer reads the steps."""
    x = tf.transpose(x, (1, 0, 2))
    x = tf.reverse(x, (0,)) if call.settings["backwards"] else x
    kernel = call.weights["kernel"]
    return tf.reshape(tf.reshape(x, (-1, x.shape[-1])) @ kernel, (*x.shape[:2], kernel.shape[-1]))


def _over_steps(call: Call, step: Callable[[States, Tensor], States], products: Tensor, states: int) -> Tensor:
    """What the layer gives after the last step, or after each: (batch, units) or (batch, steps, units)."""
    states_before = (tf.zeros((products.shape[1], call.weights["recurrent kernel"].shape[0]), products.dtype),) * states
    outputs = (_written_out if call.knobs["unroll"] else _in_loop)(step, products, states_before)
    return tf.transpose(outputs, (1, 0, 2)) if call.settings["sequences"] else outputs[-1]


def _in_loop(step: Callable[[States, Tensor], States], products: Tensor, states: States) -> Tensor:
    return tf.scan(step, products, states)[0]


def _written_out(step: Callable[[States, Tensor], States], products: Tensor, states: States) -> Tensor:
    outputs = []
    for product in tf.unstack(products):
        states = step(states, product)
        outputs.append(states[0])
    return tf.stack(outputs)
