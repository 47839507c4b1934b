"""What callbacks cost: the seconds they take within epochs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

# The hooks that `fit` calls between begin and end of an epoch. What is done when an epoch has ended is outside its
# time, and validation is left out of it.
HOOKS = (
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_batch_begin",
    "on_batch_end",
)


class CallbackTime:
    """Counts the seconds that callbacks take within epochs, from now on; what a hook waits for is part of them.

    Args:
        callbacks: those to watch; of each the hooks that it defines are replaced by timed ones.
        now: a clock in seconds.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], now: Callable[[], float] = time.perf_counter
    ) -> None:
        self.seconds: float | None = 0.0 if callbacks else None
        self._now, self._depth = now, 0
        for callback in callbacks:
            for name in HOOKS:
                if getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name):
                    setattr(callback, name, self._timed(getattr(callback, name)))

    def read(self) -> float | None:
        """The seconds so far; None where there is no callback."""
        return self.seconds

    def _timed(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(hook)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._depth += 1  # a hook may call another, as on_train_batch_end calls on_batch_end
            began = self._now()
            try:
                return hook(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds = (self.seconds or 0.0) + self._now() - began

        return timed
