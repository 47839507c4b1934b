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

script = Script({path!r}, sha256={sha256!r}{source}{evaluates})
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


def adopt_script(path: str, output: Path) -> GeneratedWorkload:
    """The file by which launches know a script; nobody has written it yet."""
    sha256 = digest(path)  # before it is read, so that it cannot be exchanged in between
    source = f",\n    source={_source(Path(path))!r}" if path.endswith(".ipynb") else ""
    evaluates = ", evaluates=True" if _calls(Path(path), "evaluate") else ""
    text = TEXT.format(path=path, sha256=sha256, source=source, evaluates=evaluates)
    said = (
        f"{Path(path).name}: a training script of your own, run as it is up to its first fit, which is timed; every "
        "launch begins with the same weights, but the order of batches and what layers draw is each backend's own"
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
