"""A saved `.keras` file, read without loading it: what it holds, and what loading it would run.

Standard library only. Keras's own safe mode refuses pickled code, but imports keras_hub, keras_cv and keras_nlp where a
file names them and gives a file most functions of Keras to call; here the list of what a file may name is shorter.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract.errors import OwnModelError

CONFIG = "config.json"
LARGEST_CONFIG = 2**26  # bytes
HDF5 = b"\x89HDF"
CODE = ("__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")  # classes that bring code
PLUGINS = ("keras_hub", "keras_cv", "keras_nlp")  # packages that Keras imports where a file names them
# Where the functions that a model is made of are; `keras.utils`, say, has others, which write files.
FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "random", "regularizers")


@dataclass(frozen=True)
class SavedModel:
    """What a file says of its model: whether it was compiled, and what of that is not Keras's own, by name."""

    is_compiled: bool
    foreign: tuple[str, ...] = ()


def read(path: str, unsafe: bool) -> SavedModel:
    """What is in the file; OwnModelError where it cannot be loaded, or not without running code and not `unsafe`."""
    config = _config(path)
    named = list(_named({name: value for name, value in config.items() if name != "compile_config"}))
    foreign = sorted({words for kind, words in named if kind == "foreign"})
    if foreign:
        raise OwnModelError(
            f"{path}: needs {', '.join(foreign)}, which a .keras file does not hold; give a .py file with a function "
            "that imports it and returns models.own.load(…), as docs/own-models.md shows"
        )
    quantized = [words for kind, words in named if kind == "quantized"]
    if quantized:
        raise OwnModelError(f"{path}: is quantized ({quantized[0]}), and so cannot be trained; save it before that")
    code = sorted({words for kind, words in named if kind == "code"})
    if code and not unsafe:
        raise OwnModelError(
            f"{path}: holds or names code ({', '.join(code)}) that would run with your rights when it is loaded; "
            "if you trust where it comes from, add --unsafe"
        )
    compiled = config.get("compile_config")
    if not isinstance(compiled, dict):
        return SavedModel(is_compiled=False)
    return SavedModel(is_compiled=True, foreign=tuple(dict.fromkeys(words for _, words in _named(compiled))))


def _config(path: str) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:  # noqa: PTH123 - a path is a word of the command line here
            begin = file.read(len(HDF5))
        if begin == HDF5:
            raise OwnModelError(f"{path}: is an HDF5 file; load it with Keras and save it under a name in .keras")
        raise OwnModelError(f"{path}: is no zip archive, as every .keras file is: damaged, or not saved by model.save")
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(CONFIG).file_size
            if size > LARGEST_CONFIG:
                raise OwnModelError(f"{path}: its {CONFIG} would take {size:,} bytes; no model's does")
            config = json.loads(archive.read(CONFIG))
    except KeyError:
        raise OwnModelError(f"{path}: has no {CONFIG}, so model.save has not written it") from None
    except (ValueError, RecursionError, OSError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise OwnModelError(f"{path}: damaged, its {CONFIG} cannot be read ({_first_line(error)})") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise OwnModelError(f"{path}: its {CONFIG} describes no model, so model.save has not written it")
    return config


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """What a configuration names that is not plain Keras: kind (`foreign`, `quantized`, `code`) and words."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if isinstance(value, dict):
            waiting += value.values()
            if "class_name" in value:
                yield from _judged(value)


def _judged(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind, module, config = str(value["class_name"]), str(value.get("module") or ""), value.get("config")
    name = config if kind == "function" and isinstance(config, str) else kind
    package, _, rest = module.partition(".")
    if kind in CODE:
        label = config.get("name") if isinstance(config, dict) else None
        yield "code", "pickled Python" if kind == "__lambda__" else f"{kind} {label}" if label else kind
    elif kind.startswith("__"):  # a tensor, a slice: values
        return
    elif package in PLUGINS:
        yield "code", f"{module}.{name}"
    elif module == "builtins":  # a function that Keras knows by this name, or one that was not registered
        return
    elif package != "keras":
        yield "foreign", f"{module}.{name}" if module else name
    elif kind == "function" and rest.partition(".")[0] not in FUNCTIONS:
        yield "code", f"{module}.{name}"
    elif kind == "QuantizedDTypePolicy":
        yield "quantized", str(config.get("name") if isinstance(config, dict) else config)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
