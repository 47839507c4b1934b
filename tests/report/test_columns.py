"""A column of a report is one entry in one table; pages, parts and forms know each other in one direction alone."""

import ast
import io

import pandas as pd
import pytest
from rich.console import Console

from bench import report
from bench.analysis import analyse
from bench.contract.paths import ROOT
from bench.report import columns
from bench.report.columns import Column, Kind
from bench.report.forms import terminal
from bench.report.pages import run as run_page

FOLDER = ROOT / "bench" / "report"


@pytest.fixture
def with_watts(recorded_run, monkeypatch):
    """A report of the recorded run with a column more: the value in the table of cases, and one entry."""
    entry = Column("mean power", lambda case: f"{case['watts']:.1f} W", (Kind.TRAINING, Kind.CASES))
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, entry))
    analysis = analyse(recorded_run)
    watts = [100.5 + number for number in range(len(analysis.cases))]
    analysis = analysis._replace(cases=analysis.cases.assign(watts=watts))
    return report.write(analysis, recorded_run), recorded_run


def printed(page):
    console = Console(file=io.StringIO(), width=200)
    terminal.show(page, None, console, terminal.Amount.VERBOSE)
    return console.file.getvalue()


@pytest.mark.parametrize("name", ["terminal", "report.md", "report.html"])
def test_a_column_is_one_entry_in_the_table_of_columns(with_watts, name):
    page, folder = with_watts
    text = printed(page) if name == "terminal" else (folder / name).read_text()

    assert "mean power" in text
    assert "100.5 W" in text
    assert "101.5 W" in text


def test_the_value_of_a_column_is_in_the_csv_file_too(with_watts):
    _, folder = with_watts

    assert pd.read_csv(folder / "cases.csv")["watts"].iloc[0] == 100.5


def test_an_optional_column_that_no_row_fills_is_left_out(monkeypatch):
    entries = [Column(name, lambda row, name=name: row.get(name), (Kind.TRACKS,), optional=True) for name in "ab"]
    monkeypatch.setattr(columns, "COLUMNS", entries)
    table = columns.table(Kind.TRACKS, "tracks", [{"a": "1"}, {}])

    assert (table.columns, table.rows) == (["a"], [["1"], ["–"]])


def test_a_backends_name_is_no_word_that_a_heading_fills_in():
    table = columns.table(Kind.BATCH_SIZES, "sizes", [], backends=["{level}"], words={"level": "95%"})

    assert table.columns == ["{level}"]


def imported(path):
    """The modules of `bench.report` that a file imports, as paths below it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench.report"):
            place = node.module.removeprefix("bench.report").strip(".")
            yield from (f"{place}.{alias.name}".strip(".") for alias in node.names)


@pytest.mark.parametrize(
    ("room", "unknown"),
    [("forms", ("pages", "parts", "columns")), ("parts", ("pages", "forms")), ("pages", ("forms",))],
)
def test_pages_know_parts_and_forms_know_neither(room, unknown):
    files = sorted((FOLDER / room).glob("*.py"))
    arrows = [(path.name, name) for path in files for name in imported(path) if name.startswith(unknown)]

    assert FOLDER / room / "__init__.py" in files
    assert arrows == []


def test_a_table_of_all_cases_stands_beside_pictures(tracked):
    analysis = analyse(tracked)
    page = run_page.page(analysis)
    training = [table for table in page.tables if table.kind == Kind.TRAINING]
    shown = run_page.sections(analysis, page)[-1].tables

    assert len(training) == 10  # two workloads with five tracks each
    assert shown[0].title.startswith("All cases")
    assert shown[1:] == [table for table in page.tables if table not in training]
