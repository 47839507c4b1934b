"""The command line: `python -m bench COMMAND`; each module of bench/commands is a command."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from bench import commands
from bench.contract.errors import BundleError, RunError, UsageError
from bench.contract.paths import ROOT
from bench.machine import environments
from bench.plan.arguments import Parser
from bench.plan.places import kind_of

LIBRARIES = ("filelock", "jinja2", "msgspec", "pandas", "plotly", "psutil", "rich", "scipy", "tensorboardX")


class Command(Protocol):
    """What a module of bench/commands has. Imported, it needs the standard library alone.

    One that has `NEEDS_LIBRARIES = False` stays in the interpreter and the folder that it was called in.
    """

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""

    def main(self, given: argparse.Namespace) -> int:
        """Do it; exit status 0 all well, 1 something failed or disagrees."""


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 all well, 1 something failed or disagrees, 2 a mistake in the user's input."""
    try:
        known = find_commands()
        given = parse(arguments, known)
        command = known[given.command]
        if getattr(command, "NEEDS_LIBRARIES", True):
            use_own_environment(arguments, kind_of(getattr(given, "places", "")))
        return command.main(given)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (OSError, BundleError, RunError) as error:  # a full disk, say: what was recorded until then is kept
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1


def find_commands() -> dict[str, Command]:
    """The commands by name: every module of the package `commands` whose name begins with no underscore."""
    names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    modules = {name: importlib.import_module(f"{commands.__name__}.{name}") for name in names if name[0] != "_"}
    return cast(dict[str, Command], modules)


def parse(arguments: Sequence[str], known: Mapping[str, Command]) -> argparse.Namespace:
    """The command and its options; UsageError says in one line what is wrong with them."""
    parser = Parser(prog="python -m bench", description="Train one Keras 3 model on several backends and compare them.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in known.items():
        command.add_arguments(subparsers.add_parser(name, help=command.HELP, description=command.HELP))
    return parser.parse_args(arguments)


def use_own_environment(arguments: Sequence[str], places: str = "") -> None:
    """Go on in the environment that nox built for this command where the present one lacks its libraries.

    `places` is the kind of them, which may need a library more.
    """
    needed = (*LIBRARIES, *([places] if places in environments.PARENTS else []))
    if all(importlib.util.find_spec(name) for name in needed):
        return
    name = environments.PARENTS.get(places, "bench")
    python = environments.environment_python(name)
    if not python.exists() or python == Path(sys.executable):
        raise UsageError(
            f'this Python lacks one of {", ".join(needed)}; build the environment with nox -s "env({name})"'
        )
    os.chdir(ROOT)
    os.execv(python, [str(python), "-m", "bench", *arguments])  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
