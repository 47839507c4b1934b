"""What plan and report need to know of a script: it is run until the fit that is timed has taken a few steps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from bench.contract.catalog import backend_names, facts_of
from bench.contract.parity import KNOWN
from bench.worker.errors import StartError
from bench.worker.exact.observed import kind_of
from bench.worker.script.first_fit import (
    Ended,
    Fit,
    check_built,
    is_better_lower,
    metric_of,
    samples_trained,
    until_fit_is_done,
)
from bench.worker.workload import load
from bench.worker.workload.compiled import in_words, is_number, margin_of
from bench.worker.workload.record import LEAST_EPOCHS
from models import Target
from models.own.script import Script

STEPS = 4  # of which the first is compiled
SETS_SEED = re.compile(r"\b(set_random_seed|manual_seed|random\.seed|set_seed)\(")
AS_IT_IS = "a script is trained as it is: no other track has its model"


class Look(keras.callbacks.Callback):
    """Watches the first steps of a fit, and ends the script after them.

    Where the number of steps is not known beforehand, the whole first epoch is counted.
    """

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        check_built(self.model)
        self.weights = self.model.get_weights()
        self.parameters = self.model.count_params()
        self.steps: int | None = self.params.get("steps")
        self.seconds: list[float] = []
        self.logs: Mapping[str, Any] = {}
        self._before = time.perf_counter()
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        taken = batch + 1 - self._done
        self.logs = {name: value for name, value in (logs or {}).items() if is_number(value)}
        now = time.perf_counter()
        self.seconds.append((now - self._before) / taken)
        self._before, self._done = now, batch + 1
        if self.steps is not None and self._done >= min(STEPS, self.steps):
            raise Ended

    def on_test_begin(self, logs: Any = None) -> None:
        self.on_epoch_end(0, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.steps = self._done
        raise Ended


def describe(name: str, script: Script, seeds: Iterable[int], prefix: Path | None) -> dict[str, Any]:
    """The description of a script; its weights, as drawn with the first seed, are written for each of them."""
    given = list(seeds)
    keras.utils.set_random_seed(given[0])
    found: list[tuple[Fit, int, Look]] = []

    def look(fit: Fit) -> None:
        built, batch_size = fit.built()
        watching = Look()
        found.append((built, batch_size, watching))
        # The script's own callbacks write files and stop trainings: that is for launches.
        built.keras_fit(built.model, **{**built.arguments, "callbacks": [watching], "verbose": 0})

    until_fit_is_done(script, look)
    if not found or not found[0][2].seconds:
        raise StartError(f"{Path(script.path).name}: its timed fit takes no step; is its data empty?")
    fit, batch_size, seen = found[0]
    samples, is_sure = samples_trained(fit, batch_size, seen.steps or 1)
    metric = metric_of(fit, seen.logs)
    lower = is_better_lower(fit, metric)
    margin = margin_of(seen.logs[metric], lower)
    digests = {}
    if prefix is not None:
        for seed in given:
            digests[str(seed)] = load.save_weights(prefix.with_name(f"{prefix.name}-seed{seed}.npz"), seen.weights)
    return {
        "workload": name,
        "dataset": Path(script.path).name,
        "train_samples": samples,
        "test_samples": samples,  # how many there are shows only when it evaluates them
        "batch_size": batch_size,
        "epochs": max(fit.epochs, LEAST_EPOCHS),
        "quick_samples": samples,
        "cpu_samples": None,
        "drawn": False,
        "own_seed": bool(SETS_SEED.search(script.text)),
        "memory_mib": 0,
        "target": {**vars(Target(metric)), "margin": float(margin or 0.0), "lower_is_better": lower},
        "parameters": seen.parameters,
        "step_seconds": min(seen.seconds),
        "step_flops": None,
        "uncounted": [],
        "without_loop": AS_IT_IS,
        "without_native": AS_IT_IS,
        "without_native_ladder": AS_IT_IS,
        "weights": digests,
        "notes": [
            *_notes(fit, script),
            *([] if is_sure else [f"its batches are counted as {batch_size} samples each, the last one too"]),
        ],
    }


def _notes(fit: Fit, script: Script) -> Iterable[str]:
    if fit.line:
        yield f"timed is the fit that line {fit.line} leads to, of a {type(fit.model).__name__} called {fit.model.name}"
    fits = script.text.count(".fit(")
    if fits > 1:
        which = "the first" if script.fit == 1 else f"number {script.fit}"
        yield f"its text calls fit {fits} times; {which} that is reached is timed, and no other; --fit N names another"
    policy = fit.model.dtype_policy.name
    if policy != keras.config.floatx():
        yield f"computes in {policy}, which it sets itself: float32 in its case means that nobody else sets anything"
    yield f"is trained with {in_words(fit.compilation, fit.weighted, fit.model)}"
    ways = known_ways(fit.model)
    if ways:
        yield f"backends are known to part in layers that it has, or may: {', '.join(KNOWN + one for one in ways)}"
    if SETS_SEED.search(script.text):
        yield "sets a random seed itself: all launches draw alike, so that a metric has no interval"
    if fit.epochs < LEAST_EPOCHS:
        yield f"its fit asks for {fit.epochs} epoch; {LEAST_EPOCHS} are trained, since the first is cold"
    names = [type(one).__name__ for one in fit.callbacks]
    if names:
        yield f"calls {', '.join(names)}, and what they do within an epoch is part of its time"
    if script.evaluates:
        yield "its metric is that of the evaluate after its fit, or else of the last epoch"
    elif fit.is_validated(max(fit.epochs, LEAST_EPOCHS)):
        yield "it evaluates nothing after its fit: its metric is that of its last validation"
    else:
        yield "it evaluates nothing: its metric is that of the training itself, in the last epoch"
    yield "the backends are not proved to compute the same: a model to prove goes to --workloads"


def known_ways(model: keras.Model) -> list[str]:
    """The titles of findings about layers of these classes, but for those about rounding alone."""
    kinds = {kind_of(layer) for layer in model._flatten_layers()}  # those inside others too, which `layers` leaves out
    return list(
        dict.fromkeys(
            one.title
            for backend in backend_names()
            for one in facts_of(backend).findings
            if not (one.rounded or one.float32_inside) and any(re.fullmatch(one.layers, kind) for kind in kinds)
        )
    )
