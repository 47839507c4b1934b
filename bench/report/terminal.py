"""A report in the terminal."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.view import Page, Table

BORDER = 3  # characters a column takes besides its text


def show(page: Page, path: Path | None, console: Console) -> None:
    """Print the tables, the verdicts, what went wrong, and where the files are, if there are any."""
    for table in page.tables:
        console.print(Text(table.title, style="bold"))
        for columns in _fitting(table, console.width):
            drawn = RichTable()
            for index in columns:
                drawn.add_column(Text(table.columns[index]), justify="left" if index == 0 else "right")
            for row in table.rows:
                drawn.add_row(*(Text(row[index]) for index in columns))
            console.print(drawn)
        for note in table.notes:
            console.print(Text(note))
        console.print()
    for sentence in page.summary:
        console.print(Text(sentence))
    for problem in page.problems:
        console.print(Text(f"not well: {problem}", style="red"))
    for name, text in page.facts:
        if name == "wall time":
            console.print(Text(f"{name} {text}"))
    if path is not None:
        console.print(Text(f"report: {path}"), soft_wrap=True)


def _fitting(table: Table, width: int) -> Iterator[list[int]]:
    """The columns in groups that fit the width, each beginning with the first column again, which names the row."""
    widths = [max(len(row[index]) for row in [table.columns, *table.rows]) for index in range(len(table.columns))]
    group = [0]
    for index in range(1, len(widths)):
        if len(group) > 1 and sum(widths[i] + BORDER for i in [*group, index]) + 1 > width:
            yield group
            group = [0]
        group.append(index)
    yield group
