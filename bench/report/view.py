"""A page before it has a form: text and tables of text, which terminal, Markdown and HTML render."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.contract.case import stem

Row = Mapping[Any, Any]  # a row of a DataFrame
Facets = Mapping[str, str]  # of FACETS those that a part of a report is of
FACETS = ("workload", "device", "track", "numerics")  # by which a reader filters


class Sentence(NamedTuple):
    """A sentence, and what it is about, by which a reader filters; None: about everything."""

    text: str
    facets: Facets | None = None


class Table(NamedTuple):
    """A heading, column names, rows of text, and sentences below.

    The first `names` columns name a row, and `facets` say what each is of, if anything. `kind` is that of the table in
    COLUMNS, for those whose columns stand there.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]
    names: int = 1
    facets: Sequence[Facets] = ()
    kind: str = ""


class Figure(NamedTuple):
    """A picture: Plotly's traces and layout, less what the theme sets; a trace's `meta` is what it is of (facets).

    Where `rows`, each category of the y axis takes a row, and the height follows from how many there are.
    """

    title: str
    caption: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    rows: bool = False


class Cell(NamedTuple):
    """A rung of a ladder: `state` is `passed`, `failed`, `measured` (nobody to be held against) or empty."""

    state: str
    text: str
    hint: str


class Ladder(NamedTuple):
    """The rungs that one backend climbed, in the order of the grid's columns."""

    name: str
    facets: Facets
    cells: list[Cell]


class Grid(NamedTuple):
    """The ladders of one workload, and sentences on those that failed."""

    title: str
    columns: list[str]
    ladders: list[Ladder]
    said: list[str]


class Section(NamedTuple):
    """A heading of a page with pictures, and what stands below it."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    grids: Sequence[Grid] = ()


class Page(NamedTuple):
    """A whole report, top to bottom: `verdicts` is what a hurried reader needs, `remarks` the details."""

    title: str
    verdicts: list[Sentence]
    remarks: list[Sentence]
    problems: list[str]
    tables: list[Table]
    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()
    snippets: Sequence[tuple[str, str]] = ()  # Python to be pasted, each with its name
    place: str = "this machine"  # of which the verdicts are
    brief: Sequence[Table] = ()  # what a terminal shows in the place of `tables` where not all is asked for


def facets(row: Any, *names: str) -> Facets:
    """What a row is about: its values of all facets, or of those named."""
    return {name: stem(row[name]) if name == "workload" else str(row[name]) for name in names or FACETS}
