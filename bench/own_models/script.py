"""A training script of the user's own, to be run as it is: looked at, and given a file that names it.

Standard library only. The script is read, never imported.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

from bench.contract.errors import OwnModelError
from bench.own_models.adopt import GeneratedWorkload, digest, place

TEXT = '''\
"""Written by `python -m bench` for a training script of your own; docs/scripts.md says how it is run."""

from models.own.script import Script

script = Script({path!r}, sha256={sha256!r}{source})
'''
NOT_PYTHON = ("%", "!", "?")  # what a line of a notebook begins with that is a command to Jupyter


def script_file(text: str) -> str:
    """A script's path made absolute; OwnModelError where there is none, or where it trains nothing."""
    path = Path(text)
    if path.suffix not in (".py", ".ipynb"):
        raise OwnModelError(f"{text}: expected a Python file or a notebook, whose name ends in .py or .ipynb")
    if not path.is_file():
        raise OwnModelError(f"there is no script {text}; check the path")
    try:
        tree = ast.parse(_source(path))
    except SyntaxError as error:
        raise OwnModelError(f"{text}: line {error.lineno}: {error.msg}; it is not Python as it stands") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OwnModelError(f"{text}: cannot be read ({type(error).__name__}: {error})") from None
    if not any(isinstance(node, ast.Attribute) and node.attr == "fit" for node in ast.walk(tree)):
        raise OwnModelError(
            f"{text}: calls no fit(), and the first one is what is timed; a file that defines a model goes to "
            "--workloads"
        )
    return str(path.resolve())


def adopt_script(path: str, output: Path) -> GeneratedWorkload:
    """The file by which launches know a script; nobody has written it yet."""
    sha256 = digest(path)  # before it is read, so that it cannot be exchanged in between
    source = f",\n    source={_source(Path(path))!r},\n" if path.endswith(".ipynb") else ""
    text = TEXT.format(path=path, sha256=sha256, source=source)
    said = (
        f"{Path(path).name}: a training script of your own, run as it is up to its first fit, which is timed; every "
        "launch begins with the same weights, but the order of batches and what layers draw is each backend's own"
    )
    return GeneratedWorkload(place(output, path, text), text, path, said)


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
