"""Import a user's file, with what it imports from beside it and from its repository.

Several files may be imported in one process, each of which has a neighbour `layers.py`: each gets its own.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

REPOSITORY = ".git"  # at the top of a user's repository
REVISION = ".revision"  # at the top of the files of one of its commits, whose packages go before the environment's
SOURCES = "src"  # the folder in which many repositories have their packages

_places: list[str] = []  # on the path because of a file that was imported


class Root(NamedTuple):
    """A user's file that was imported or run: where its own imports are looked for, and what marks its repository.

    `text` is what was run, where the file itself does not hold it.
    """

    path: Path
    places: tuple[Path, ...]
    mark: Path | None = None
    text: str | None = None


roots: list[Root] = []  # in their order; read where it has to be known what a file needs


def import_file(path: str) -> ModuleType | None:
    """Import a Python file, which may import its neighbours; raises whatever it raises. None where it is no such file.

    What its repository has at its top and in `src` can be imported too.
    """
    name = f"file{re.sub(r'[^0-9a-zA-Z]', '_', path)}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        return None
    roots.append(Root(Path(path), tuple(_places_of(Path(path))), _mark(_top(Path(path)))))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    _make_importable(Path(path))
    specification.loader.exec_module(module)
    return module


def _make_importable(path: Path) -> None:
    """Put the places of a file on the path, before those of other files, and forget what these have under its names."""
    places = list(dict.fromkeys(map(str, _places_of(path))))
    _forget(places)
    others = [place for place in _places if place not in places]
    sys.path[:] = [place for place in sys.path if place not in _places]
    missing = [place for place in places if place not in sys.path]
    if (_top(path) / REVISION).exists():
        sys.path[1:1] = missing  # after the suite's own folder
    else:
        sys.path += missing
    sys.path += others
    _places[:] = [*missing, *others]


def _places_of(path: Path) -> Iterator[Path]:
    yield path.parent
    top = _top(path)
    if top != path.parent:
        yield top
    if (top / SOURCES).is_dir():
        yield top / SOURCES


def _top(path: Path) -> Path:
    """The top of a file's repository; its own folder where it lies in none."""
    tops = (folder for folder in path.parents if (folder / REPOSITORY).exists() or (folder / REVISION).exists())
    return next(tops, path.parent)


def _mark(top: Path) -> Path | None:
    """What shows that a folder is the top of a repository; None where nothing does."""
    return next((top / name for name in (REVISION, REPOSITORY) if (top / name).exists()), None)


def _forget(places: Sequence[str]) -> None:
    """Forget modules of other files' places where these places have a module of that name."""
    theirs = [place for place in _places if place not in places]
    if not theirs:  # as in a launch, which imports one file
        return
    for name in [name for name in sys.modules if "." not in name and _is_in(places, name)]:
        specification = sys.modules[name].__spec__
        found = specification and [str(specification.origin), *(specification.submodule_search_locations or ())]
        if any(one.startswith(f"{place}/") for one in found or () for place in theirs):
            for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
                del sys.modules[one]


def _is_in(places: Sequence[str], name: str) -> bool:
    return any(Path(place, f"{name}.py").is_file() or Path(place, name).is_dir() for place in places)
