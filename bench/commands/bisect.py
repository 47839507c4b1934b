"""bisect: the first version of a package at which something is slower, or computes something else."""

from __future__ import annotations

import argparse
import os
from functools import partial

from bench.launch.credentials import strip_credentials
from bench.machine.building import build_variant
from bench.machine.published import versions
from bench.plan.arguments import add_bisect_arguments
from bench.plan.bisection import BisectOptions
from bench.plan.parse import options_of

HELP = "find the version from which on it is slower"
add_arguments = add_bisect_arguments


def main(given: argparse.Namespace) -> int:
    """Search, then say what was found; exit status 0 where the first bad version is known."""
    from bench.run.bisect import bisect, conclusion, is_found
    from bench.run.console import RunConsole

    options = options_of(BisectOptions, given)
    of_pip = dict(os.environ)  # its settings of an index, which no worker sees
    strip_credentials(options.pass_env)
    search = bisect(
        options,
        RunConsole(quiet=given.quiet),
        build=partial(build_variant, environment=of_pip),
        versions=partial(versions, environment=of_pip),
    )
    print(conclusion(options, search))
    return 0 if is_found(search) else 1
