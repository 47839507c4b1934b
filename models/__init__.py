"""What is trained: each module of this folder defines one `workload`, found by the module's file name.

A module with variants has `VARIANTS = ("relu", "tanh")`, a literal that is read without importing it, and
`workloads`, a mapping from each to its `Workload`; `activations-relu` is the name of such a one. Modules whose name
begins with `_` hold what several workloads share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names and data sets are listed without importing Keras
    import keras


@dataclass(frozen=True)
class Target:
    """What the trained model should reach on the test set.

    `metric` is a name in `models.metrics.METRICS`, which also says whether lower is better. `value` and `margin`, the
    largest difference between two backends that still counts as equivalent, are in the metric's unit (a fraction for an
    accuracy); a margin of None is half a percent of the variance of the test labels, for an error whose scale nobody
    knows beforehand. `source` says where the value comes from. `chance` is what a model reaches that has learned
    nothing, `quick` what the smoke test (`quick_samples`, 3 epochs) reaches at least. None: nothing is expected.
    """

    metric: str
    value: float | None = None
    source: str = ""
    margin: float | None = 0.005
    chance: float | None = None
    quick: float | None = None


@dataclass(frozen=True)
class Compilation:
    """What `model.compile` is given: the objects themselves, and in `settings` its other arguments by name."""

    optimizer: Any
    loss: Any
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Everything that must be equal on every backend.

    `dataset` is a name in `models.datasets.DATASETS`, or the path of an `.npz` file, as seen from the workload's own.
    `build` returns a fresh model whose outputs are logits where there are classes; `optimizer` and `loss` return fresh
    objects, so that importing a workload allocates nothing. `epochs` is what reaching the target takes. A model that
    brings its optimizer, loss and metrics itself has `compilation` in the place of `optimizer`, `loss` and `target`: it
    is given a model that `build` made and the training labels, and its first metric, else its loss, is the target.
    `class_weight` says by class how much a training sample counts, and `callbacks` returns those that `fit` is given.
    `quick_samples` are trained in the smoke test, `cpu_samples` in the default profile on a CPU (None: all), always the
    first of the set. The last `validation_split` (a fraction) of the training samples are held out and evaluated after
    each epoch; `early_stopping` may end the training on them, at the latest after `epochs`. `memory_mib` is what a
    device needs to train it; on a smaller one it is skipped.
    """

    build: Callable[[], keras.Model]
    dataset: str
    batch_size: int
    epochs: int
    quick_samples: int
    optimizer: Callable[[], keras.optimizers.Optimizer] | None = None
    loss: Callable[[], keras.losses.Loss] | None = None
    target: Target | None = None
    compilation: Callable[[keras.Model, Any], Compilation] | None = None
    cpu_samples: int | None = None
    validation_split: float = 0.0
    early_stopping: Callable[[], keras.callbacks.EarlyStopping] | None = None
    class_weight: Mapping[int, float] | None = None
    callbacks: Callable[[], Sequence[keras.callbacks.Callback]] | None = None
    memory_mib: int = 0

    def __post_init__(self) -> None:
        """Raise TypeError where nothing, or two things, say how the model is trained."""
        declared = (self.optimizer, self.loss, self.target)
        if not (all(declared) if self.compilation is None else not any(declared)):
            raise TypeError("a Workload takes optimizer, loss and target, or compilation in their place")
