"""The floating-point operations of one training step, from one counter for every backend.

Counted as by torch.utils.flop_counter.FlopCounterMode: matrix products, convolutions and the two products of attention,
a multiply-add as 2, nothing else. A product of two operands costs the same again for the gradient by each of them that
depends on a trainable weight: so by the weights, and by the input except in the first layers.
One thing is not followed: FlopCounterMode multiplies the gradient by a grouped convolution's weights by the groups.

The products are those that a forward pass asks of Keras's backend. What depends on a trainable weight is seen by giving
those weights the value NaN, which spreads to all that is computed from them. That is approximate in three places: a
branch that does not reach the loss and what `stop_gradient` cuts off count as if they had a gradient; the products of
the loss and the optimizer are not seen, nor are any that a model asks of its framework without Keras, except where its
layer holds the weights for them.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from bench.worker.keras_internals import found, operations
from models import datasets


class Count(NamedTuple):
    """Floating-point operations of one step, forward and backward; None where `uncounted` names layers by path."""

    flops: int | None
    uncounted: tuple[str, ...]


class Product(NamedTuple):
    """One product: what it costs forward, in floating-point operations, and its operands; each may be several."""

    flops: int
    operands: tuple[Any, Any]


def step_flops(model: keras.Model, samples: Any, batch_size: int) -> Count:
    """The count for a step on `batch_size` samples, scaled from a forward pass on these few; the model is left as is.

    Not counted are models with recurrent layers, whose loop each backend runs as it likes, with products in other loops
    that a backend traces, or with layers of a class of their own whose weights do not enter a product of Keras as such.
    """
    trainable = [
        (variable, keras.ops.convert_to_tensor(np.full(variable.shape, math.nan), variable.dtype))
        for variable in model.trainable_variables
    ]
    others = [(variable, variable.value) for variable in model.non_trainable_variables]
    with keras.StatelessScope(state_mapping=trainable + others), _observed() as observer:
        try:
            model(samples, training=True)
        except Exception:  # whatever a user's model does with a value that is NaN
            observer.give_up(model)
    if observer.uncounted:
        return Count(None, tuple(observer.uncounted))
    return Count(observer.flops * batch_size // datasets.count(samples), ())


class _Observer:
    """The state of the count while a forward pass runs."""

    def __init__(self) -> None:
        self.flops = 0
        self.uncounted: dict[str, None] = {}  # in the order of the calls
        self.layers: list[Any] = []  # those being called, the outermost first
        self.inside = 0  # products being computed, or recurrent layers called: what they call is theirs
        self.multiplied: dict[int, Any] = {}  # operands by id, kept so that no id is given twice
        self.claimed: set[int] = set()  # ids of weights whose layer has been called

    def count(self, formula: Callable[..., list[Product]], outputs: Any, arguments: Any, options: Any) -> None:
        try:
            for product in formula(outputs, *arguments, **options):
                self.flops += product.flops * (1 + sum(_depends(operand) for operand in product.operands))
                self.multiplied |= {id(operand): operand for operand in keras.tree.flatten(product.operands)}
        except Exception:  # for a symbol, as in a traced loop, each framework has its own; or no formula fits the call
            self.give_up(self.layers[-1])

    def give_up(self, layer: Any) -> None:
        self.uncounted[layer.path or layer.name] = None

    def check_weights(self, layer: Any) -> None:
        """A layer's own weights, called after the layers in it, must have been seen in products if they look like it.

        Keras's own layers, and those of `models`, are known to ask Keras for their products.
        """
        own = [weight for weight in layer.weights if id(weight) not in self.claimed]
        self.claimed |= {id(weight) for weight in own}
        if not type(layer).__module__.startswith(("keras.", "models.")):
            matrices = [weight for weight in own if len(weight.shape) > 1]
            if any(not {id(weight), id(weight.value)} & self.multiplied.keys() for weight in matrices):
                self.give_up(layer)


@contextmanager
def _observed() -> Iterator[_Observer]:
    """Within, all products that are asked of Keras's backend are counted."""
    observer = _Observer()

    def counted(original: Callable[..., Any], formula: Callable[..., list[Product]]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **options: Any) -> Any:
            observer.inside += 1
            try:
                outputs = original(*arguments, **options)
            finally:
                observer.inside -= 1
            if not observer.inside:
                observer.count(formula, outputs, arguments, options)
            return outputs

        return call

    original_call = keras.Layer.__call__

    @functools.wraps(original_call)
    def call_layer(layer: Any, *arguments: Any, **options: Any) -> Any:
        if observer.inside:
            return original_call(layer, *arguments, **options)
        recurrent = isinstance(layer, keras.layers.RNN)
        observer.layers.append(layer)
        observer.inside += recurrent
        try:
            outputs = original_call(layer, *arguments, **options)
        finally:
            observer.inside -= recurrent
            observer.layers.pop()
        if recurrent:
            observer.give_up(layer)
        observer.check_weights(layer)
        return _spread((arguments, options), outputs)

    replaced: list[tuple[Any, str, Any, Any]] = [(keras.Layer, "__call__", original_call, call_layer)]
    for part, formulas in PRODUCTS.items():
        module = importlib.import_module(operations(part))
        for name, formula in formulas.items():
            original = found(module.__name__, name)
            replaced.append((module, name, original, counted(original, formula)))
    try:
        for where, name, _, replacement in replaced:
            setattr(where, name, replacement)
        yield observer
    finally:
        for where, name, original, _ in replaced:
            setattr(where, name, original)


def _depends(values: Any) -> bool:
    """Whether any of the tensors is computed from a trainable weight."""
    tensors = [
        keras.ops.convert_to_tensor(value)
        for value in keras.tree.flatten(values)
        if keras.ops.is_tensor(value) or isinstance(value, keras.Variable)
    ]
    # By NumPy, as JAX would compile it for every shape.
    return any(bool(np.isnan(keras.ops.convert_to_numpy(tensor)).any()) for tensor in tensors)


def _spread(inputs: Any, outputs: Any) -> Any:
    """A layer's outputs, NaN where its inputs are: TensorFlow's maximum in pooling is the only one to drop NaN."""

    def mark(value: Any) -> Any:
        is_float = keras.ops.is_tensor(value) and keras.backend.is_float_dtype(value.dtype)
        return keras.ops.full_like(value, math.nan) if is_float and not _depends(value) else value

    try:
        return keras.tree.map_structure(mark, outputs) if _depends(inputs) else outputs
    except Exception:  # as in `count`; what a symbol gets into tells there
        return outputs


def _size(value: Any) -> int:
    return math.prod(value.shape)


def _matrices(outputs: Any, first: Any, second: Any) -> list[Product]:
    """A product over the last axis of the first; one by a single number is not counted."""
    if not first.shape or not second.shape:
        return []
    return [Product(2 * _size(outputs) * first.shape[-1], (first, second))]


def _tensordot(outputs: Any, first: Any, second: Any, axes: Any = 2) -> list[Product]:
    summed = range(-axes, 0) if isinstance(axes, int) else keras.tree.flatten(axes[0])
    return [Product(2 * _size(outputs) * math.prod(first.shape[axis] for axis in summed), (first, second))]


def _einsum(outputs: Any, equation: str, *operands: Any, **_options: Any) -> list[Product]:
    """What two operands share and the result does not is summed over; with nothing to sum it is no matrix product."""
    if len(operands) == 1:
        return []
    inputs, _, result = equation.replace(" ", "").partition("->")
    first, second = inputs.split(",")  # of more, the cost would depend on the order
    shared = (set(first) & set(second)) - set(result) - {"."}
    before, _, after = first.partition("...")
    sizes = dict(zip(before, operands[0].shape, strict=False))
    sizes |= dict(zip(reversed(after), reversed(operands[0].shape), strict=False))
    if not shared:
        return []
    return [Product(2 * _size(outputs) * math.prod(sizes[letter] for letter in shared), operands)]


def _convolution(outputs: Any, inputs: Any, kernel: Any, *_arguments: Any, **_options: Any) -> list[Product]:
    """Kernels are (…, channels in of a group, channels out); what padding adds is counted."""
    return [Product(2 * _size(outputs) * math.prod(kernel.shape[:-1]), (inputs, kernel))]


def _transposed(_outputs: Any, inputs: Any, kernel: Any, *_arguments: Any, **_options: Any) -> list[Product]:
    """Kernels are (…, channels out, channels in)."""
    return [Product(2 * _size(inputs) * math.prod(kernel.shape[:-1]), (inputs, kernel))]


def _depthwise(outputs: Any, inputs: Any, kernel: Any, *_arguments: Any, **_options: Any) -> list[Product]:
    """Kernels are (…, channels in, channels out for each)."""
    return [Product(2 * _size(outputs) * math.prod(kernel.shape[:-2]), (inputs, kernel))]


def _separable(
    outputs: Any, inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, *_arguments: Any, **_options: Any
) -> list[Product]:
    """A depthwise convolution, then one of width 1."""
    positions = _size(outputs) // pointwise_kernel.shape[-1]
    depthwise = inputs, depthwise_kernel
    return [
        Product(2 * positions * _size(depthwise_kernel), depthwise),
        Product(2 * positions * _size(pointwise_kernel), (depthwise, pointwise_kernel)),
    ]


def _attention(_outputs: Any, query: Any, key: Any, value: Any, *_arguments: Any, **_options: Any) -> list[Product]:
    """Of shape (batch, length, heads, size); all of a causal or masked product is counted, and nothing twice."""
    _, positions, _, size = key.shape
    scores = 2 * _size(query) * positions
    return [
        Product(scores, (query, key)),
        Product(scores // size * value.shape[-1], ((query, key), value)),
    ]


PRODUCTS: dict[str, dict[str, Callable[..., list[Product]]]] = {  # by the module of Keras's backend
    "numpy": {
        "matmul": _matrices,
        "dot": _matrices,
        "inner": _matrices,
        "tensordot": _tensordot,
        "einsum": _einsum,
    },
    "nn": {
        "conv": _convolution,
        "conv_transpose": _transposed,
        "depthwise_conv": _depthwise,
        "separable_conv": _separable,
        "dot_product_attention": _attention,
    },
}
