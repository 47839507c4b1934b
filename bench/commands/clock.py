"""The clock check: launches held against a bare script."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.contract.errors import RunError, UsageError
from bench.launch import lock
from bench.launch.credentials import strip_credentials
from bench.launch.interruption import interruptible
from bench.plan.parse import parse_run
from bench.run.clock import measure, summary


def main(arguments: Sequence[str]) -> int:
    """Print both comparisons for each backend; exit status 1 where a launch failed, 2 for usage."""
    try:
        options = parse_run(arguments)
        if options.dry_run:
            raise UsageError("--dry-run: the clock check has no plan to show")
        if options.tasks != ("train",):
            raise UsageError("--tasks: the clock that is checked is that of training; leave it out")
        strip_credentials(options.pass_env)
        with lock.alone(), interruptible(), tempfile.TemporaryDirectory() as name:
            pairs = measure(options, Path(name))
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (RunError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1
    for title, launches in pairs.items():
        print(summary(title, launches))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
