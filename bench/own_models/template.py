"""Workload files that are written here: what `python -m bench new` starts, what a model of the user's own becomes."""

from __future__ import annotations

import re
from pathlib import Path

from bench.contract.errors import OwnModelError

HEAD = '''\
"""{title}"""

import keras

from models import {names}


'''
BUILD = '''\
def build() -> keras.Model:
    """A fresh model. It begins with keras.Input, so that its weights exist, and ends in logits: no softmax."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),  # one sample of the data set
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10),  # one output for each class
        ]
    )


'''
WORKLOAD = """\
workload = Workload(
    build={build},
    # A name that `python -m bench list` shows, or the path of an .npz file with x_train, y_train, x_test and y_test.
    dataset={dataset},
    batch_size={batch_size},
    epochs={epochs},  # passes over the training data, at least 2: in the first the frameworks compile
{training}    quick_samples={quick_samples},  # of the training data, by --profile quick
)
"""
DECLARED = """\
    # Optimizer and loss are made anew by each call, so that importing this file allocates nothing.
    optimizer={optimizer},
    loss={loss},
    # What is compared between backends after training, of models/metrics; models/__init__.py says what else it takes.
    target={target},
"""
COMPILED = """\
    # Optimizer, loss and metrics are those that the model was compiled with.
    compilation=model.compilation,
"""
QUICK_BATCHES = 50  # of the smoke test
USABLE = re.compile(r"\w[\w-]*")  # a name that needs no quotes, and has no comma or colon, which separate names


def new(name: str) -> Path:
    """Write a workload that runs as it stands to `NAME.py`; OwnModelError where it must not or cannot be written."""
    path = Path(name if name.endswith(".py") else f"{name}.py")
    if not USABLE.fullmatch(path.stem):
        raise OwnModelError(f"{name!r}: expected a name of letters, digits, _ and -, or a path that ends in one")
    text = HEAD.format(title=f"{path.stem}: say here what is trained on what.", names="Target, Workload")
    training = DECLARED.format(
        optimizer="lambda: keras.optimizers.Adam()",
        loss="lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        target='Target("accuracy")',
    )
    text += BUILD + WORKLOAD.format(
        build="build",
        dataset='"fashion_mnist"',
        batch_size=128,
        epochs=5,
        training=training,
        quick_samples=QUICK_BATCHES * 128,
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OwnModelError(f"{path}: is there already, and is not overwritten; choose another name") from None
    except OSError as error:
        raise OwnModelError(f"{path}: cannot be written ({error.strerror}); name a folder that can") from None
    return path


def own(model: str, data: str | None, dataset: str, batch_size: int, epochs: int, largest_batch: int) -> str:
    """The text of the workload of a user's own model: `model` is the expression that gives it, `data` the data file's.

    `dataset` is the name of a data set, where there is no data file. The smoke test has enough samples for batches of
    `largest_batch`.
    """
    lines = [f"model = {model}", *([f"data = {data}"] if data else [])]
    title = "Written by `python -m bench` for a model of your own; docs/own-models.md says what to make of it."
    head = HEAD.format(title=title, names="Workload, own").replace("import keras\n\n", "").rstrip()
    text = WORKLOAD.format(
        build="model.build",
        dataset="data" if data else repr(dataset),
        batch_size=batch_size,
        epochs=epochs,
        training=COMPILED,
        quick_samples=QUICK_BATCHES * largest_batch,
    )
    return head + "\n\n" + "\n".join(lines) + "\n\n" + text
