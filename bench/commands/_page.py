"""What several commands print: a page, in the form that was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan.arguments import add_amount
from bench.plan.words import choice

if TYPE_CHECKING:
    from bench.report.view import Page

FORMATS = ("markdown", "json")


def add_format(parser: argparse.ArgumentParser) -> None:
    """How much is printed, and in which form."""
    add_amount(parser)
    parser.add_argument("--format", type=choice(FORMATS, "format"), help="to standard output, in place of the tables")


def show_page(page: Page, path: Path | None, given: argparse.Namespace, as_json: Callable[[], str]) -> None:
    """Print a page as it was asked for: in the terminal, or as a document for another program."""
    from rich.console import Console

    from bench.report.forms import markdown, terminal

    kind = getattr(given, "format", None)  # a run has none
    if kind == "markdown":
        print(markdown.render(page), end="")
    elif kind == "json":
        print(as_json())
    else:
        terminal.show(page, path, Console(), terminal.amount(given.quiet, given.verbose))
