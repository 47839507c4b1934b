"""The timed `fit` of a script: caught when it is called, and done by us, with all that the script gives it."""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from bench.worker.errors import StartError, reason
from bench.worker.logs import LOSS
from bench.worker.workload.compiled import first_metric, is_lower_better, is_number
from bench.worker.workload.model import symbol
from models import Compilation, own
from models.own.script import Script

DEFAULT_BATCH = 32  # Keras's own, where a script gives none


class Ended(BaseException):
    """Ends a script that has been watched for long enough; no `except Exception` of its own holds this up."""


@dataclass(frozen=True)
class Fit:
    """A call of `fit`: the model, Keras's own `fit` of it, and the arguments by name, defaults included.

    `line` is the script's own that led to it; 0 where that is not known.
    """

    model: keras.Model
    keras_fit: Callable[..., Any]
    arguments: Mapping[str, Any]
    line: int = 0

    @property
    def first_epoch(self) -> int:
        """The number of the first epoch."""
        return int(self.arguments["initial_epoch"])

    @property
    def epochs(self) -> int:
        """How many epochs it trains."""
        return int(self.arguments["epochs"]) - self.first_epoch

    @property
    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Those that the script gives."""
        theirs = self.arguments["callbacks"]
        if isinstance(theirs, keras.callbacks.CallbackList):
            return list(theirs.callbacks)
        return list(keras.tree.flatten(theirs)) if theirs is not None else []

    @property
    def weighted(self) -> list[str]:
        """The kinds of weights that it is given, by which samples count."""
        names = {"class_weight": "class weights", "sample_weight": "sample weights"}
        return [words for name, words in names.items() if self.arguments[name] is not None]

    def is_validated(self, epochs: int) -> bool:
        """Whether one of so many epochs is followed by a validation, as `validation_freq` has it."""
        given, often = self.arguments, self.arguments["validation_freq"]
        if given["validation_data"] is None and not given["validation_split"]:
            return False
        first = self.first_epoch
        if isinstance(often, int):
            return (first + epochs) // often > first // often
        return any(first < epoch <= first + epochs for epoch in often)

    @property
    def compilation(self) -> Compilation:
        """What the script has compiled its model with."""
        settings = own.compiled_with(self.model)
        return Compilation(settings.pop("optimizer", None), settings.pop("loss", None), settings)

    def call(self, callbacks: Sequence[keras.callbacks.Callback], **changed: Any) -> Any:
        """Train, with these callbacks before the script's own."""
        every: Any = [*callbacks, *self.callbacks]
        if isinstance(self.arguments["callbacks"], keras.callbacks.CallbackList):
            every = keras.callbacks.CallbackList(every, model=self.model)
        return self.keras_fit(self.model, **{**self.arguments, "callbacks": every, **changed})

    def built(self) -> tuple[Fit, int]:
        """The same call, of a model whose weights exist, and the samples in its first batch.

        On TensorFlow `fit` makes the weights of a model without an input layer in its first step, which is too late to
        begin with others. Of a generator the first batch is put back.
        """
        x, fit = self.arguments["x"], self
        if is_arrays(x):
            samples, size = x, min(int(self.arguments["batch_size"] or DEFAULT_BATCH), _samples_in(x))
        else:
            batches = None if isinstance(x, keras.utils.PyDataset) else iter(x)
            first = x[0] if batches is None else next(batches, None)
            if first is None:
                raise StartError("its fit is given no data")
            if batches is x:
                fit = replace(self, arguments={**self.arguments, "x": _put_back(first, batches)})
            samples = first[0] if isinstance(first, tuple | list) else first
            size = _samples_in(first)
        if not self.model.built:
            with contextlib.suppress(Exception):  # one that only its own train_step can call
                self.model(keras.tree.map_structure(symbol, samples))
        return fit, size


def until_fit_is_done(script: Script, do: Callable[[Fit], Any]) -> dict[str, float] | None:
    """Run a script until `do` has done its timed `fit`; gives what the script's own next `evaluate` of the model found.

    Fits before that one train as the script has it. The script goes on to that `evaluate` where its text has one, and
    ends there; None where there is none, or where something else ends it before. Raises StartError where it does not
    come to the end of the fit.
    """
    name, which = Path(script.path).name, "first fit" if script.fit == 1 else f"fit number {script.fit}"
    watch = _Watch(script, do)
    keras.Model.fit, keras.Model.evaluate = watch.fit_of(), watch.evaluate_of()
    try:
        script.run()
    except Ended:
        pass
    except own.ModelError as error:
        raise StartError(str(error)) from None
    except StartError:
        raise
    except (Exception, SystemExit) as error:
        if watch.trained is None:
            where = f"its {which} fails" if watch.calls == script.fit else f"does not come to its {which}"
            asks = "; words that it needs come after its name, in quotes" if isinstance(error, SystemExit) else ""
            raise StartError(f"{name}: {where}: {reason(error)}{asks}") from error
        print(f"{name}: after its {which}: {reason(error)}", file=sys.stderr)
    finally:
        keras.Model.fit, keras.Model.evaluate = watch.keras_fit, watch.keras_evaluate
    if not watch.calls:
        raise StartError(f"{name}: ended without a call of fit; a fit of another library's is not seen")
    if watch.calls < script.fit:
        raise StartError(f"{name}: ended after {watch.calls} of the {script.fit} fits that --fit asks for")
    return watch.evaluated


class _Watch:
    """Stands in the place of Keras's `fit` and `evaluate` while a script runs.

    `calls` counts the script's fits, but for those that a callback makes within one. `trained` is the model whose timed
    fit is done, `evaluated` what its `evaluate` gave.
    """

    def __init__(self, script: Script, do: Callable[[Fit], Any]) -> None:
        self.keras_fit, self.keras_evaluate = keras.Model.fit, keras.Model.evaluate
        self.calls = 0
        self.trained: keras.Model | None = None
        self.evaluated: dict[str, float] | None = None
        self._script, self._do, self._is_fitting = script, do, False

    def fit_of(self) -> Callable[..., Any]:
        """What is called as a model's `fit`."""

        def fit(model: keras.Model, *arguments: Any, **named: Any) -> Any:
            if self._is_fitting:
                return self.keras_fit(model, *arguments, **named)
            if self.trained is not None:
                raise Ended
            self.calls, self._is_fitting = self.calls + 1, True
            try:
                if self.calls < self._script.fit:
                    return self.keras_fit(model, *arguments, **named)
                done = self._do(self._call(model, *arguments, **named))
            finally:
                self._is_fitting = False
            self.trained = model
            if not self._script.evaluates:
                raise Ended
            return done

        return fit

    def _call(self, *arguments: Any, **named: Any) -> Fit:
        given = inspect.signature(self.keras_fit).bind(*arguments, **named)
        given.apply_defaults()
        model, *others = given.arguments.items()
        return Fit(model[1], self.keras_fit, dict(others), _line_of(self._script.path))

    def evaluate_of(self) -> Callable[..., Any]:
        """What is called as a model's `evaluate`."""

        def evaluate(model: keras.Model, *arguments: Any, **named: Any) -> Any:
            if model is not self.trained:
                return self.keras_evaluate(model, *arguments, **named)
            self.evaluated = self.keras_evaluate(model, *arguments, **{**named, "return_dict": True})
            raise Ended

        return evaluate


def _line_of(path: str) -> int:
    """The line of a file that is being run, seen from a function that it has called."""
    frames = (frame for frame, _ in traceback.walk_stack(None) if frame.f_code.co_filename == path)
    return next((frame.f_lineno for frame in frames), 0)


def metric_of(fit: Fit, logs: Mapping[str, Any]) -> str:
    """The entry of a fit's logs that is reported: the first compiled metric, else the loss, else the first there is.

    A metric that gives a number for each class is passed over.
    """
    numbers = [name for name, value in logs.items() if is_number(value)]
    return next((name for name in (first_metric(fit.compilation), LOSS, *numbers) if name in numbers), LOSS)


def check_built(model: keras.Model) -> None:
    """Raise StartError where a model's weights do not exist when its training begins."""
    if not model.built:
        raise StartError(
            f"{type(model).__name__} has no weights before its first step here; let it begin with keras.Input, or call "
            "it once before fit"
        )


def is_better_lower(fit: Fit, metric: str) -> bool:
    """Whether less of a metric is better."""
    compiled = first_metric(fit.compilation)
    return is_lower_better(fit.compilation, metric) if metric in (compiled, LOSS) else "loss" in metric


def is_arrays(x: Any) -> bool:
    """Whether what `fit` is given are arrays in memory, or a structure of them."""
    leaves = keras.tree.flatten(x)
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def samples_trained(fit: Fit, batch_size: int, steps: int) -> tuple[int, bool]:
    """How many samples an epoch of `steps` trains on, and whether that is sure.

    Without those that `validation_split` holds out. Of batches that give no way to count them, the last one counts as
    whole.
    """
    x, split = fit.arguments["x"], fit.arguments["validation_split"]
    most = steps * batch_size
    if is_arrays(x):
        count = len(keras.tree.flatten(x)[0])
        return min(most, count if fit.arguments["validation_data"] is not None else int(count * (1 - split))), True
    if isinstance(x, keras.utils.PyDataset) and steps == len(x):
        return most - batch_size + _samples_in(x[steps - 1]), True
    with contextlib.suppress(AttributeError, TypeError):  # a DataLoader of torch's has a data set that has a length
        return min(most, len(x.dataset)), True
    return most, False


def _samples_in(batch: Any) -> int:
    first = batch[0] if isinstance(batch, tuple | list) else batch
    return int(keras.tree.flatten(first)[0].shape[0])


def _put_back(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first  # a generator, since Keras takes no other iterator
    yield from others
