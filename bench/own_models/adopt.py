"""A model of the user's own, turned into a workload file: from there on it is a workload like any other.

A `.keras` file, or a Python file with a function that returns a model, says nothing of data and loss: `--dataset` and
`--loss` do. Standard library only, since the noxfile checks options with it: Python files are read, never imported, and
nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.contract.catalog import dataset_names
from bench.contract.errors import OwnModelError
from bench.own_models import keras_file, python_file, template
from bench.own_models.data_source import NPZ, data_source, digest_of

EPOCHS, BATCH_SIZE = 5, 32  # where nobody says; 32 is Keras's own
DEFAULT_LOSS = "sparse_categorical_crossentropy"
LOSSES = (  # names as Keras has them
    DEFAULT_LOSS,
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
)
ABBREVIATIONS = {"bce": "binary_crossentropy", "mse": "mean_squared_error", "mae": "mean_absolute_error"}
OPTIONS = ("dataset", "loss", "unsafe")  # that a workload which says everything itself does not go with


@dataclass(frozen=True)
class ModelOptions:
    """What the options say of the user's own models; None where they say nothing."""

    dataset: str | None
    loss: str | None
    unsafe: bool
    batch_sizes: tuple[int, ...] | None
    epochs: int | None


@dataclass(frozen=True)
class GeneratedWorkload:
    """A workload file to be written: its path and text, the model it is for, and a line that says what was decided.

    `reads` is the data source, as --dataset has it, that is to be read into the file `data` first; empty where there is
    nothing to read.
    """

    path: str
    text: str
    source: str
    said: str
    reads: str = ""
    data: str = ""


class Model(NamedTuple):
    """What a model's file says: whose it is, the expression that gives it, and how it begins and is trained."""

    label: str
    expression: str
    training: str  # in words
    beginning: str  # what every launch begins with


def is_file(text: str) -> bool:
    """Whether a word of --workloads names a file rather than a workload of the registry."""
    return "/" in text or "." in text


def model_file(text: str) -> str:
    """A file named in --workloads, `FILE.py:FUNCTION` too, with its path made absolute; OwnModelError where none is."""
    name, function = _parts(text)
    path = Path(name)
    if path.suffix not in (".py", ".keras"):
        hint = "; load it with Keras and save it as .keras" if path.suffix in (".h5", ".hdf5") or path.is_dir() else ""
        raise OwnModelError(f"{text}: expected a name, or a file that ends in .py or .keras{hint}")
    if not path.is_file():
        kind = "workload" if path.suffix == ".py" else "model"
        raise OwnModelError(f"there is no {kind} file {name}; check the path")
    return str(path.resolve()) + (f":{function}" if function else "")


def loss_name(text: str) -> str:
    """A loss under the name that LOSSES has it by, whether it is abbreviated or given by its class."""
    short = ABBREVIATIONS.get(text.lower(), text)
    return next((name for name in LOSSES if short == _class_name(name)), short)


def _class_name(loss: str) -> str:
    return "".join(word.title() for word in loss.split("_"))


def stem(name: str) -> str:
    """What a workload given by name or file is called in reports; a function named with its file is part of it."""
    path, function = _parts(name)
    return "-".join(dict.fromkeys(filter(None, (Path(path).stem, function))))


def adopt(
    workloads: Sequence[str], asked: ModelOptions, output: Path
) -> tuple[tuple[str, ...], tuple[GeneratedWorkload, ...]]:
    """The workloads with a file in the place of each model, and those files, which nobody has written yet.

    Their path is `<output>/workloads/<digest>/<name>.py`. The digest is of the text, and that holds the digests of
    model and data, so that what was learned of one model (its best knobs) is never taken for another's. Raises
    OwnModelError in one line where a file or an option cannot be used.
    """
    names, found = [], list[GeneratedWorkload]()
    for name in workloads:
        model = _model(name, asked)
        if model is None:
            _refuse_options(name, asked)
            names.append(name)
        else:
            found.append(_adopted(name, model, asked, output))
            names.append(found[-1].path)
    if asked.unsafe and not any(name.endswith(".keras") for name in workloads):
        raise OwnModelError("--unsafe: it lets code in a .keras file run, and there is none; leave it out")
    return tuple(names), tuple(found)


def write(files: Sequence[GeneratedWorkload]) -> list[Path]:
    """Write the workload files that are not there yet; gives what was made for it, the outermost folder first."""
    made = []
    for one in files:
        path = Path(one.path)
        if path.is_file() and path.read_text(encoding="utf-8") == one.text:
            continue
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.text, encoding="utf-8")
        made += [*reversed(missing), path]
    return made


def remove(made: Sequence[Path]) -> None:
    """Take back what `write` made, but for folders that hold something else by now."""
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _parts(text: str) -> tuple[str, str]:
    """File and function of `FILE.py:FUNCTION`."""
    path, colon, function = text.rpartition(":")
    return (path, function) if colon and path.endswith(".py") else (text, "")


def _refuse_options(name: str, asked: ModelOptions) -> None:
    given = [option for option in OPTIONS if getattr(asked, option)]
    if given:
        hint = f", or name a function, {name}:FUNCTION" if name.endswith(".py") else ""
        raise OwnModelError(
            f"--{given[0]}: {stem(name)} is a workload that says its data set and loss itself; leave the option out, "
            f"change them in a copy of its file{hint}"
        )


def _model(name: str, asked: ModelOptions) -> Model | None:
    """What a file says of its model; None where it is a workload already."""
    loss = f", loss={asked.loss!r}" if asked.loss else ""
    else_with = f"with Adam and {asked.loss or DEFAULT_LOSS}"
    path, function = _parts(name)
    if path.endswith(".keras"):
        sha256 = digest(path)  # before it is looked at, so that it cannot be exchanged in between
        found = keras_file.read(path, asked.unsafe)
        if found.foreign and not asked.loss:
            raise OwnModelError(
                f"{Path(path).name}: was compiled with {', '.join(found.foreign)}, which a .keras file does not hold; "
                f"say with --loss one of {', '.join(LOSSES)}, or give a .py file with a function that compiles it"
            )
        flags = loss + (", unsafe=True" if asked.unsafe else "") + (", compiled=False" if found.foreign else "")
        beginning = "every launch begins with the weights it was saved with, whatever the seed"
        expression = f"own.saved({path!r}, sha256={sha256!r}{flags})"
        training = "as it was compiled" if found.is_compiled and not found.foreign else else_with
        return Model(Path(path).name, expression, training, beginning)
    if not path.endswith(".py"):
        return None
    sha256 = digest(path)
    builder = python_file.read(path, function)
    if builder is None:
        return None
    expression = f"own.built_by({path!r}, {builder!r}, sha256={sha256!r}{loss})"
    beginning = "it is called anew for every seed and launch"
    return Model(
        f"{Path(path).name}:{builder}", expression, f"as the function compiles it, else {else_with}", beginning
    )


def _adopted(name: str, model: Model, asked: ModelOptions, output: Path) -> GeneratedWorkload:
    if asked.dataset is None:
        raise OwnModelError(
            f"{model.label}: a model alone; say with --dataset what it is trained on, an .npz file or one of "
            f"{', '.join(dataset_names())}"
        )
    data, reads, target = _data(asked.dataset, output)
    sizes = asked.batch_sizes or (BATCH_SIZE,)
    text = template.own(model.expression, data, asked.dataset, sizes[0], asked.epochs or EPOCHS, max(sizes))
    path = place(output, name, text)
    said = (
        f"{model.label}: a model of your own on {Path(asked.dataset).name or asked.dataset}, trained {model.training}; "
        f"{model.beginning}; as a workload it is {path}"
    )
    return GeneratedWorkload(path, text, name, said, reads, target)


def _data(dataset: str, output: Path) -> tuple[str | None, str, str]:
    """The expression of a data file in a workload file, None for a data set's name; what is to be read, and whereto."""
    if not is_file(dataset):
        return None, "", ""
    source = data_source(dataset)
    if source.kind == NPZ:
        return f"own.unchanged({source.path!r}, sha256={digest(source.path)!r})", "", ""
    target = str(output.absolute() / "data" / f"{Path(source.path).stem}-{digest_of(source)[:8]}.npz")
    return repr(target), source.text, target


def place(output: Path, name: str, text: str) -> str:
    """Where the workload file of a model named so lies: beside the runs, under a digest of its text."""
    of_text = hashlib.sha256(text.encode()).hexdigest()[:8]
    return str(output.absolute() / "workloads" / of_text / f"{stem(name)}.py")


def digest(path: str) -> str:
    """The SHA-256 of a file; OwnModelError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OwnModelError(f"{path}: cannot be read ({error.strerror})") from None
