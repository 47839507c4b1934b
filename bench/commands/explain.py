"""explain: where the time of a training step goes on every backend, and what makes it shorter."""

from __future__ import annotations

import argparse

from bench.commands._work import run_and_tell
from bench.commands.report import report_run
from bench.launch.credentials import strip_credentials
from bench.plan.arguments import add_explain_arguments
from bench.plan.options import ExplainOptions
from bench.plan.parse import options_of

HELP = "say why a backend is slower, and what to do about it"
add_arguments = add_explain_arguments


def main(given: argparse.Namespace) -> int:
    """Let every backend take its step apart, then say what was found."""
    from bench.run.explain import explain

    options = options_of(ExplainOptions, given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: explain(options, console), lambda folder: report_run(folder, given), given)
