"""The optimizers of track `native` on TensorFlow: a fused operation for each variable, with Keras's formulas."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bench.worker.backends.network import Network

Tensor = Any  # tf.Tensor, which is not there when the types are checked


class Rate:
    """The rate of learning, which may change after some steps, and how many `steps` were taken."""

    def __init__(self, read: Network) -> None:
        self._first, self._following = read.constants["learning_rate"], read.rates
        self.steps = tf.Variable(0, dtype=tf.int64)

    def next(self, kind: Any) -> Tensor:
        """The rate of the step that begins, which is counted."""
        rate, step = tf.constant(self._first, kind), self.steps.assign_add(1) - 1
        for last, following in self._following:
            rate = tf.where(step > last, tf.constant(following, kind), rate)
        return rate


class SGD:
    """Keras's SGD, with its momentum and Nesterov's, in one fused operation a variable."""

    def __init__(self, variables: Sequence[Any], read: Network) -> None:
        self._variables, self._given = variables, read.constants
        self._rate = Rate(read)
        self.memory = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply(self, gradients: Sequence[Tensor]) -> None:
        kind = gradients[0].dtype
        rate, momentum = self._rate.next(kind), tf.constant(self._given["momentum"], kind)
        for variable, velocity, gradient in zip(self._variables, self.memory, gradients, strict=True):
            if not self._given["momentum"]:
                tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
                continue
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient,
                momentum=momentum,
                use_nesterov=bool(self._given["nesterov"]),
            )


class Adam:
    """Adam in one fused operation a variable, with the formula that Keras has too."""

    def __init__(self, variables: Sequence[Any], read: Network) -> None:
        self._variables, self._given = variables, read.constants
        self._rate = Rate(read)
        self._moments = [[tf.Variable(tf.zeros_like(variable)) for _ in range(2)] for variable in variables]
        self.memory = [moment for pair in self._moments for moment in pair]

    def apply(self, gradients: Sequence[Tensor]) -> None:
        kind = gradients[0].dtype
        beta_1, beta_2, epsilon = (tf.constant(self._given[name], kind) for name in ("beta_1", "beta_2", "epsilon"))
        rate = self._rate.next(kind)
        step = tf.cast(self._rate.steps, kind)
        powers = beta_1**step, beta_2**step
        for variable, (first, second), gradient in zip(self._variables, self._moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=gradient,
            )
