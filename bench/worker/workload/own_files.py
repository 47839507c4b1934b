"""Which files of the user's own a workload needs: those that it imported or read here, and those that its text names.

A launch on a machine that does not share this one's files needs them too. What was imported and read is known, but a
launch may take another way: an import for another backend alone, a file that is opened in C. So what the text of these
files imports or names counts too, wherever it stands. One more than is needed does no harm.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract.paths import ROOT
from models.own import imports
from models.own.imports import Root

SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
NEVER = {"__pycache__", imports.REPOSITORY}  # parts of paths of what is nobody's
LONGEST = 255  # characters of a text that may name a file
WRITES = os.O_WRONLY | os.O_RDWR


class OwnFiles(NamedTuple):
    """Paths: `own` are files in the folders of the user's; `elsewhere` was read or listed too, and is not the system's.

    What is hidden is never own: a folder may have keys in it.
    """

    own: set[str]
    elsewhere: set[str]


class Watch:
    """Sees from now on which files this process reads and which folders it lists; Python takes no watch back."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.listed: set[str] = set()
        sys.addaudithook(self._see)

    def _see(self, event: str, given: tuple[Any, ...]) -> None:
        """What happens, as Python tells it: an error here would be the user's code's."""
        if event == "open" and not given[2] & WRITES:
            self._note(given[0], self.read)
        elif event in ("os.listdir", "os.scandir"):
            self._note("." if given[0] is None else given[0], self.listed)

    @staticmethod
    def _note(path: Any, found: set[str]) -> None:
        if isinstance(path, str | bytes | os.PathLike):  # else a number, of a file that is open
            with contextlib.suppress(OSError, ValueError):
                found.add(os.path.normpath(Path.cwd() / os.fsdecode(path)))


def needed(watch: Watch, roots: Sequence[Root]) -> OwnFiles:
    """What these files of the user's need, by what this process has imported and read since they were."""
    if not roots:
        return OwnFiles(set(), set())
    places = list(dict.fromkeys(str(place) for root in roots for place in root.places))
    imported, listed = set(_imported()), set(watch.listed)  # which grows while this looks
    read = imported | watch.read | {file for folder in listed for file in _data_in(folder, places)}
    own = {path for path in read if _is_own(path, places)}
    for root in roots:
        here = {path for path in imported if _is_own(path, [*map(str, root.places)])}
        named = {path for path in _named(root, map(Path, here)) if _is_own(path, places)}
        own |= named | {str(root.path)}
        outside = any(path.endswith(".py") and not _within(path, str(root.path.parent)) for path in here | named)
        if root.mark and (outside or root.mark.name == imports.REVISION):
            own.add(str(root.mark))
    own = {path for path in own if os.access(path, os.R_OK)}
    listed -= {*places, *sys.path}  # which imports list
    return OwnFiles(own, {path for path in (read | listed) - own if _is_elsewhere(path, places)})


def _imported() -> Iterator[str]:
    """The files of all modules here; not by their attributes, for which some would import more."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            yield file


def _data_in(folder: str, places: Sequence[str]) -> list[str]:
    """The files in a folder of data that was listed; none in one of Python files, which every import lists."""
    if folder in places or not _is_own(folder, places):
        return []
    try:
        files = [entry.path for entry in os.scandir(folder) if entry.is_file()]
    except OSError:  # gone since
        return []
    return [] if any(path.endswith(".py") for path in files) else files


def _named(root: Root, imported: Iterable[Path]) -> Iterator[str]:
    """The files that the text of a root names, or that of a module it needs: by an import, or in quotes."""
    waiting, seen = [root.path, *imported], {root.path}
    seen.update(waiting)
    while waiting:
        path = waiting.pop()
        with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):  # it shows when it runs
            text = root.text if path == root.path and root.text is not None else path.read_text(encoding="utf-8")
            for found in {file for node in ast.walk(ast.parse(text)) for file in _of_node(node, path, root.places)}:
                yield str(found)
                if found.suffix == ".py" and found not in seen and _is_own(str(found), [*map(str, root.places)]):
                    seen.add(found)
                    waiting.append(found)


def _of_node(node: ast.AST, path: Path, places: Sequence[Path]) -> Iterator[Path]:
    """The files that a piece of a file's text leads to."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _modules(alias.name, places)
    elif isinstance(node, ast.ImportFrom):
        folders = [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else places
        for alias in node.names:
            name = "" if alias.name == "*" else alias.name
            yield from _modules(f"{node.module or ''}.{name}".strip("."), folders)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) <= LONGEST:
        yield from _modules(node.value, places)
        for folder in (path.parent, *places):
            with contextlib.suppress(OSError, ValueError):  # no name of a file
                if (folder / node.value).is_file():
                    yield Path(os.path.normpath(folder / node.value))


def _modules(name: str, folders: Iterable[Path]) -> Iterator[Path]:
    """The files of a module and of the packages it is in, by its name with dots, where they lie in one of the folders.

    The last part may be something in the module.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    for folder in folders:
        for count in range(1, len(parts) + 1):
            place = folder.joinpath(*parts[:count])
            yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def _is_own(path: str, places: Iterable[str]) -> bool:
    return any(
        _within(path, place) and not _is_hidden(path, place) and not _is_of_others(path, place) for place in places
    )


def _is_elsewhere(path: str, places: Iterable[str]) -> bool:
    """Whether a launch may miss what is not own: a hidden file in the user's folders, or what lies outside of these."""
    place = next((one for one in places if _within(path, one)), None)
    if _is_of_others(path, place or os.sep) or path == str(ROOT):
        return False
    if place is None:
        return not _is_hidden(path, os.sep) and Path(path).exists()
    return not NEVER & set(Path(path).parts) and Path(path).is_file()


def _is_hidden(path: str, place: str) -> bool:
    """Whether what lies in a folder is hidden, or compiled."""
    return any(part.startswith(".") or part in NEVER for part in Path(path).relative_to(place).parts)


def _is_of_others(path: str, place: str) -> bool:
    """Whether what lies in a folder is not the user's, since it is in a folder of others that is within it."""
    return any(_within(folder, place) and (path == folder or _within(path, folder)) for folder in _of_others())


def _of_others() -> list[str]:
    """Folders whose files are not the user's own: the system's, the environment's, the suite's."""
    suite = (str(ROOT / part) for part in ("bench", "models"))
    return [*SYSTEM, sys.prefix, sys.base_prefix, os.environ.get("KERAS_HOME", "/proc"), tempfile.gettempdir(), *suite]


def _within(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
