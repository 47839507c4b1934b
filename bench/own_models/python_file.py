"""A Python file with a function that returns a model, read without importing it: which function is it?

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contract.errors import OwnModelError


def read(path: str, asked: str) -> str | None:
    """The name of the function that builds the model; None where the file is a workload already.

    That is the one asked for, else the only public one that can be called without arguments. OwnModelError where there
    is none, or are several.
    """
    tree = _parsed(path)
    functions = {one.name: _needed(one) for one in _statements(tree.body) if isinstance(one, ast.FunctionDef)}
    bound = _bound(tree.body)
    if not asked and ("workload" in bound or ("*" in bound and not functions)):
        return None
    if asked and asked not in functions:
        raise OwnModelError(f"{path}: defines no function {asked}, but {', '.join(functions) or 'none at all'}")
    public = [name for name in functions if not name.startswith("_") and name != "main"]
    fitting = [asked] if asked else [name for name in public if not functions[name]] or public
    if not fitting:
        raise OwnModelError(
            f"{path}: has neither `workload = Workload(…)` nor a function that returns a model, such as def build(); "
            "python -m bench new NAME writes a file to begin with"
        )
    if len(fitting) > 1:
        names = ", ".join(fitting)
        raise OwnModelError(f"{path}: has several functions ({names}); say which one returns the model: {path}:NAME")
    if functions[fitting[0]]:
        raise OwnModelError(
            f"{path}: {fitting[0]} needs arguments ({', '.join(functions[fitting[0]])}) and is called without; give "
            "them defaults, or add a function that passes them"
        )
    return fitting[0]


def _parsed(path: str) -> ast.Module:
    try:
        return ast.parse(Path(path).read_bytes(), path)
    except SyntaxError as error:
        raise OwnModelError(f"{path}: line {error.lineno}: {error.msg}; it is not Python as it stands") from None
    except (OSError, ValueError, RecursionError) as error:
        raise OwnModelError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module that run when it is imported."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _statements(getattr(statement, part, []))
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from _statements(handler.body)


def _bound(body: Sequence[ast.stmt]) -> set[str]:
    """The names that a module assigns or imports."""
    names = set()
    for statement in _statements(body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names


def _needed(function: ast.FunctionDef) -> list[str]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    needed = positional[: len(positional) - len(given.defaults)]
    needed += [one for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    return [one.arg for one in needed]
