"""The command line: `python -m bench run|parity|compare|calibrate|report|history|list|doctor|new`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.errors import BundleError, UsageError
from bench.contract.paths import ROOT
from bench.machine import environments
from bench.plan.arguments import parse

LIBRARIES = ("jinja2", "pandas", "plotly", "psutil", "rich", "scipy", "tensorboardX")


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 all well, 1 something failed or disagrees, 2 a mistake in the user's input."""
    try:
        given = parse(arguments)
        if given.command != "new":  # which needs nothing, and means the folder it is called in
            use_own_environment(arguments)
        command = importlib.import_module(f"bench.commands.{given.command}")  # late: some need pandas or rich
        status: int = command.main(given)
        return status
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (
        OSError,
        BundleError,
    ) as error:  # a full disk, a folder taken away: what was recorded until then is kept
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1


def use_own_environment(arguments: Sequence[str]) -> None:
    """Go on in the environment that nox built for this command where the present one lacks its libraries."""
    if all(importlib.util.find_spec(name) for name in LIBRARIES):
        return
    python = environments.environment_python("bench")
    if not python.exists() or python == Path(sys.executable):
        raise UsageError(
            f'this Python lacks one of {", ".join(LIBRARIES)}; build the environment with nox -s "env(bench)"'
        )
    os.chdir(ROOT)
    os.execv(python, [str(python), "-m", "bench", *arguments])  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
