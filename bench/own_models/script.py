"""A training script of the user's own, to be run as it is: looked at, and given a file that names it.

Standard library only. The script is read, never imported.
"""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

from bench.contract.errors import OwnModelError
from bench.own_models.adopt import GeneratedWorkload, digest, place

TEXT = '''\
"""Written by `python -m bench` for a training script of your own; docs/scripts.md says how it is run."""

from models.own.script import Script

script = Script({path!r}, sha256={sha256!r}{more})
'''
NOT_PYTHON = ("%", "!", "?")  # what a line of a notebook begins with that is a command to Jupyter


def script_call(text: str) -> tuple[str, tuple[str, ...]]:
    """A script's path made absolute, and the words after it, which are the script's own arguments.

    OwnModelError where there is no script, or where it trains nothing.
    """
    try:
        words = [text] if Path(text).is_file() else shlex.split(text)
    except ValueError as error:
        raise OwnModelError(f"{text}: cannot be split into words ({error})") from None
    return _script_file(words[0] if words else ""), tuple(words[1:])


def _script_file(text: str) -> str:
    path = Path(text)
    if path.suffix not in (".py", ".ipynb"):
        raise OwnModelError(f"{text}: expected a Python file or a notebook, whose name ends in .py or .ipynb")
    if not path.is_file():
        raise OwnModelError(f"there is no script {text}; check the path")
    try:
        is_fitted = _calls(path, "fit")
    except SyntaxError as error:
        raise OwnModelError(f"{text}: line {error.lineno}: {error.msg}; it is not Python as it stands") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OwnModelError(f"{text}: cannot be read ({type(error).__name__}: {error})") from None
    if not is_fitted:
        raise OwnModelError(
            f"{text}: calls no fit(), nor does a module beside it, and the first one is what is timed; a file that "
            "defines a model goes to --workloads"
        )
    return str(path.resolve())


def adopt_script(path: str, arguments: tuple[str, ...], fit: int, output: Path) -> GeneratedWorkload:
    """The file by which launches know a script; nobody has written it yet. `fit`: which call of it is timed, from 1."""
    sha256 = digest(path)  # before it is read, so that it cannot be exchanged in between
    more = {
        "source": _source(Path(path)) if path.endswith(".ipynb") else None,
        "arguments": arguments,
        "fit": fit if fit > 1 else None,
        "evaluates": _calls(Path(path), "evaluate"),
    }
    words = "".join(f", {name}={value!r}" for name, value in more.items() if value)
    text = TEXT.format(path=path, sha256=sha256, more=words)
    which = "its first fit" if fit == 1 else f"its fit number {fit}"
    called = shlex.join([Path(path).name, *arguments])
    said = (
        f"{called}: a training script of your own, run as it is up to {which}, which is timed; every launch begins "
        "that fit with the same weights, but the order of batches and what layers draw is each backend's own"
    )
    return GeneratedWorkload(place(output, path, text), text, path, said)


def _calls(script: Path, method: str) -> bool:
    """Whether a script, or a module beside it that it imports, names a method so; raises what its own text raises."""
    waiting, seen = [script], {script}
    while waiting:
        path = waiting.pop()
        try:
            nodes = list(ast.walk(ast.parse(_source(path))))
        except (SyntaxError, ValueError, OSError):
            if path == script:
                raise
            continue  # what it says of that module shows when it runs
        if any(isinstance(node, ast.Attribute) and node.attr == method for node in nodes):
            return True
        found = {file for node in nodes for file in _imported(script.parent, path.parent, node)} - seen
        waiting += sorted(found)
        seen |= found
    return False


def _imported(folder: Path, package: Path, node: ast.AST) -> list[Path]:
    """The files beside a script, in its `folder`, that an import in a module of `package` leads to."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        folder = package if node.level else folder
        names = [node.module or "", *(f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names)]
    else:
        return []
    places = [folder.joinpath(*name.split(".")) for name in names if name]
    found = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return [file for file in found if file.is_file()]


def _source(path: Path) -> str:
    """The Python of a script, or of a notebook's cells without what is meant for Jupyter."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    python = [cell for cell in cells if not cell.lstrip().startswith("%%")]
    return "\n\n".join("\n".join(map(_without_command, cell.splitlines())) for cell in python) + "\n"


def _without_command(line: str) -> str:
    bare = line.lstrip()
    return f"{line[: len(line) - len(bare)]}pass  # {bare}" if bare.startswith(NOT_PYTHON) else line
