"""A Python file with a function that returns a model, read without importing it: which function is it?

Standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

from bench.contract.errors import OwnModelError

SPLIT = (ast.If, ast.Try, ast.With)  # statements whose parts are read one by one
MAIN = ("__name__ == '__main__'", "'__main__' == __name__")
OF_KERAS = {"epochs", "batch_size", "validation_data", "validation_split", "callbacks", "steps_per_epoch", "verbose"}


def read(path: str, asked: str) -> str | None:
    """The name of the function that builds the model; None where the file is a workload already.

    That is the one asked for, else the only public one that can be called without arguments. OwnModelError where there
    is none, or are several.
    """
    tree = _parsed(path)
    _check_import(path, tree)
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


def _check_import(path: str, tree: ast.Module) -> None:
    """Refuse a file that trains when it is imported, as it is in every process: a script's own training."""
    at_once = [node for statement in _statements(tree.body) for node in _run(statement)]
    functions = [node for node in at_once if isinstance(node, ast.FunctionDef)]
    training = {one.name for one in functions if any(map(_trains, ast.walk(one)))}
    for node in at_once:
        if _trains(node) or (isinstance(node, ast.Call) and getattr(node.func, "id", None) in training):
            raise OwnModelError(
                f"{path}: line {node.lineno}: {ast.unparse(node.func)}(…) trains when the file is imported, as in "
                'every launch; put it under `if __name__ == "__main__":`, or into a function'
            )


def _trains(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether this is a call of a model's `fit`; a scaler's or a tokenizer's takes data alone."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    named = {keyword.arg for keyword in node.keywords}
    return node.func.attr == "train_on_batch" or (
        node.func.attr == "fit" and (len(node.args) > 1 or not named.isdisjoint(OF_KERAS))
    )


def _run(statement: ast.AST) -> Iterator[ast.AST]:
    """What runs with a statement: not the bodies of functions, nor of statements that `_statements` goes into."""
    yield statement
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(statement):
        if not (isinstance(statement, SPLIT) and isinstance(child, ast.stmt | ast.excepthandler)):
            yield from _run(child)


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
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in MAIN:
            continue
        for part in ("body", "orelse", "finalbody"):
            if isinstance(statement, SPLIT):
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
