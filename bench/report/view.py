"""The view that terminal and Markdown render: nothing but text."""

from typing import NamedTuple

NOTHING = "–"


class Table(NamedTuple):
    """A heading, column names, rows of text, and sentences below."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


class Page(NamedTuple):
    """A whole report, top to bottom."""

    title: str
    summary: list[str]
    problems: list[str]
    tables: list[Table]
    facts: list[tuple[str, str]]
    commands: list[tuple[str, str]]
