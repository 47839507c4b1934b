"""A live function, one of a notebook's cell too, as the text of a file that defines it. Standard library only."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from bench.contract.errors import UsageError

PLAIN = (bool, int, float, str, bytes, type(None))
MAIN = ("__main__", "builtins")


def source_of(function: Callable[..., Any]) -> str:
    """The text of a file with a function and what of its surroundings it names.

    Modules are imported, plain values written down, functions and classes of the notebook or script taken along, and
    those of other modules imported. UsageError, in one line, where something cannot be: a value that no text gives
    back, a function whose text is not known, one that is closed over variables.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise UsageError(f"build: expected a function with a name, not {function!r}; write it with def")
    written: dict[str, str] = {}
    _write_text(function.__name__, function, written)
    return "\n\n".join(written.values()) + "\n"


def _write(name: str, value: Any, written: dict[str, str]) -> None:
    """Put into `written` what makes a name stand for a value, after all that it needs itself."""
    if name in written:
        return
    if isinstance(value, ModuleType):
        written[name] = f"import {_as(value.__name__, name)}"
    elif isinstance(value, PLAIN) or (isinstance(value, list | tuple | dict | set) and _is_plain(value)):
        written[name] = f"{name} = {value!r}"
    elif _is_of_its_module(value):
        written[name] = f"from {value.__module__} import {_as(value.__qualname__, name)}"
    elif isinstance(value, FunctionType | type):
        _write_text(name, value, written)
    else:
        raise UsageError(
            f"build: uses {name}, a {type(value).__name__}, which cannot be written to a file; make it inside the "
            "function, or give the file that has both"
        )


def _write_text(name: str, value: Any, written: dict[str, str]) -> None:
    """Put a function's or class's own text into `written`, after all that it needs."""
    text = _text(name, value)
    written[name] = ""  # so that one which names itself ends
    for needed, found in _surroundings(name, value, text).items():
        _write(needed, found, written)
    del written[name]
    written[name] = text


def _as(found: str, name: str) -> str:
    return name if found == name else f"{found} as {name}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)


def _is_of_its_module(value: Any) -> bool:
    """Whether importing the module anew gives the same: not so in a script that is run, or in a cell."""
    name, module = getattr(value, "__qualname__", ""), getattr(value, "__module__", None)
    return module not in (None, *MAIN) and getattr(sys.modules.get(str(module)), name, None) is value


def _text(name: str, value: Any) -> str:
    """The text of a function or class; UsageError where it is not known."""
    try:
        found = _class_text(value) if isinstance(value, type) else None
        return textwrap.dedent(found or inspect.getsource(value)).strip()
    except (OSError, TypeError, SyntaxError):
        raise UsageError(f"build: the text of {name} is not known here; put it into a file and give that") from None


def _class_text(value: type) -> str | None:
    """The text of a class, found by one of its methods: of a class of a cell Python knows no file."""
    for method in filter(_is_function, vars(value).values()):
        lines = linecache.getlines(method.__code__.co_filename)
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.ClassDef) and node.name == value.__name__:
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
    return None


def _surroundings(name: str, value: Any, text: str) -> dict[str, Any]:
    """The names that a function or class takes from around it, and what they stand for."""
    functions = (
        [value] if isinstance(value, FunctionType) else [one for one in vars(value).values() if _is_function(one)]
    )
    found: dict[str, Any] = {}
    for one in functions:
        if one.__closure__ and set(one.__code__.co_freevars) - {"__class__"}:
            names = ", ".join(one.__code__.co_freevars)
            raise UsageError(f"build: {name} is closed over {names}; hand them over as defaults, or define it outside")
        known = one.__globals__
        for needed in _named(one.__code__):
            if needed in known and not hasattr(builtins, needed):
                found[needed] = known[needed]
    if isinstance(value, type):
        around = functions[0].__globals__ if functions else vars(sys.modules[value.__module__])
        (written,) = ast.parse(text).body
        outside = {node.id for node in ast.walk(written) if isinstance(node, ast.Name)}  # bases and decorators too
        found |= {one: around[one] for one in outside if one in around and not hasattr(builtins, one)}
    return found


def _is_function(value: Any) -> bool:
    return isinstance(value, FunctionType)


def _named(code: Any) -> list[str]:
    """The global names of a function's code, those of functions inside it too."""
    inner = [one for one in code.co_consts if inspect.iscode(one)]
    return [*code.co_names, *(name for one in inner for name in _named(one))]
