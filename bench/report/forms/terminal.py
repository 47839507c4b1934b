"""A report in the terminal."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.text import number_of
from bench.report.view import Page, Table

BORDER = 3  # characters a column takes besides its text


FEW = 3  # remarks that are printed where not all are asked for


class Amount(IntEnum):
    """How much is printed."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


def amount(quiet: bool, verbose: bool) -> Amount:
    """How much to print, by the options --quiet and --verbose."""
    return Amount.QUIET if quiet else Amount.VERBOSE if verbose else Amount.NORMAL


def show(page: Page, path: Path | None, console: Console, amount: Amount = Amount.NORMAL) -> None:
    """Print the tables, the verdicts, what went wrong, and where the files are, if there are any.

    Without colour where NO_COLOR is set or the output is no terminal.
    """
    for table in _shown(page, amount):
        console.print(Text(table.title, style="bold"))
        for columns in _fitting(table, console.width):
            drawn = RichTable()
            for index in columns:
                drawn.add_column(Text(table.columns[index]), justify="left" if index < table.names else "right")
            for row in table.rows:
                drawn.add_row(*(Text(row[index]) for index in columns))
            console.print(drawn)
        for note in table.notes:
            console.print(Text(note))
        console.print()
    for said in page.verdicts:
        console.print(Text(said.text, style="bold"))
    if amount > Amount.QUIET:
        _remarks(page, console, amount)
    for problem in page.problems:
        console.print(Text(f"problem: {problem}", style="red"))
    for name, text in page.facts:
        if amount == Amount.VERBOSE or (amount == Amount.NORMAL and name == "wall time"):
            console.print(Text(f"{name}: {text}"))
    if path is not None:
        console.print(Text(f"report: {path}"), soft_wrap=True)


def _shown(page: Page, amount: Amount) -> Sequence[Table]:
    """The tables of this amount: none, those that fit a terminal, or all."""
    if amount == Amount.QUIET:
        return ()
    return page.tables if amount == Amount.VERBOSE or not page.brief else page.brief


def _remarks(page: Page, console: Console, amount: Amount) -> None:
    shown = page.remarks if amount == Amount.VERBOSE else page.remarks[:FEW]
    for said in shown:
        console.print(Text(said.text))
    left = len(page.remarks) - len(shown)
    if left:
        more = number_of(left, "more remark stands in the report, or is", "more remarks stand in the report, or are")
        console.print(Text(f"{more} printed with --verbose"))


def _fitting(table: Table, width: int) -> Iterator[list[int]]:
    """The columns in groups that fit the width; each group begins with the columns that name a row."""
    widths = [max(len(row[index]) for row in [table.columns, *table.rows]) for index in range(len(table.columns))]
    names = list(range(table.names))
    group = [*names]
    for index in range(table.names, len(widths)):
        if len(group) > len(names) and sum(widths[i] + BORDER for i in [*group, index]) + 1 > width:
            yield group
            group = [*names]
        group.append(index)
    yield group
