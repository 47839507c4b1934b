"""A training script of the user's own, which is run as it is."""

from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from models import own
from models.own import imports

OURS = ("bench", "models")  # packages whose names a script's neighbours may bear too


@dataclass(frozen=True)
class Script:
    """A script by its path and SHA-256; of a notebook `source` has the Python of its cells.

    `arguments` are the words after its name on a command line. `fit` says which of its calls of `fit` is timed, from 1
    on. `evaluates`: it, or a module beside it, calls a model's `evaluate` somewhere.
    """

    path: str
    sha256: str
    source: str | None = None
    arguments: tuple[str, ...] = ()
    fit: int = 1
    evaluates: bool = False

    @cached_property
    def text(self) -> str:
        """What is run; ModelError where the file has changed since it was looked at."""
        own.unchanged(self.path, self.sha256)
        return Path(self.path).read_text(encoding="utf-8") if self.source is None else self.source

    def run(self) -> None:
        """Run it as `python NAME.py ARGUMENTS` would, in its own folder, and leave the process as it was.

        Raises whatever it raises.
        """
        code = compile(self.text, self.path, "exec")
        main = types.ModuleType("__main__")
        main.__file__ = self.path
        folder = Path(self.path).parent
        modules, arguments, path, here = dict(sys.modules), sys.argv, list(sys.path), Path.cwd()
        variables = dict(os.environ)
        _make_room(folder)
        imports.roots.append(imports.Root(Path(self.path), (folder,), text=self.source))
        sys.modules["__main__"], sys.argv = main, [self.path, *self.arguments]
        sys.path.insert(0, str(folder))
        os.chdir(folder)
        os.environ.setdefault("MPLBACKEND", "Agg")  # no window
        try:
            exec(code, vars(main))  # noqa: S102 - the user's own
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(variables)
            sys.argv, sys.path[:] = arguments, path
            sys.modules.update(modules)


def _make_room(folder: Path) -> None:
    """Forget our packages where a module beside the script bears their name; what is running holds what it needs."""
    for name in OURS:
        if (folder / f"{name}.py").exists() or (folder / name).is_dir():
            for one in [found for found in sys.modules if found == name or found.startswith(f"{name}.")]:
                del sys.modules[one]
