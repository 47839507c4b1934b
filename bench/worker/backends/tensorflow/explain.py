"""What an explanation needs of TensorFlow."""

from typing import Any

_traced: dict[int, int] = {}  # by the model's id, since it was first asked about


def compilations(model: Any) -> int:
    """See `backends.Explain`: how often a step was traced, which is when Python comes through it."""
    if id(model) not in _traced:
        _traced[id(model)] = 0
        step = model.train_step

        def counted(*arguments: Any) -> Any:
            _traced[id(model)] += not model.run_eagerly
            return step(*arguments)

        model.train_step = counted
    return _traced[id(model)]


def tries_jit(on: bool) -> bool:  # noqa: ARG001
    """See `backends.Explain`. XLA may be faster or slower."""
    return True
