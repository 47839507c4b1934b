"""DataFrames to files, to standard output and to the terminal: the only code that formats.

A page (`pages/`) is put together from parts (`parts/`), whose tables have the columns of `columns.py`. A form
(`forms/`) writes any page, and knows none of them. They meet here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bench.report.forms import files, html, markdown
from bench.report.pages import calibration as calibration_page
from bench.report.pages import history as history_page
from bench.report.pages import run as run_page
from bench.report.view import Page

if TYPE_CHECKING:
    from bench.analysis import Analysis
    from bench.analysis.calibration.calibrate import Calibration
    from bench.analysis.history import History


def write(analysis: Analysis, folder: Path) -> Page:
    """Write the tables as CSV, report.md and report.html into the run's folder; what they show is returned."""
    files.write(analysis, folder)
    page = run_page.page(analysis)
    (folder / "report.md").write_text(markdown.render(page), encoding="utf-8")
    sections, where = run_page.sections(analysis, page), run_page.where(analysis)
    text = html.document(page, where, sections, files.downloads(analysis))
    (folder / "report.html").write_text(text, encoding="utf-8")
    return page


def write_history(history: History, folder: Path) -> tuple[Page, Path]:
    """Write history.html into the results folder; what it shows is returned with its path."""
    page = history_page.page(history)
    links = {run: f"{run}/report.html" for run in history.runs["run"] if (folder / run / "report.html").is_file()}
    points = {"points.csv": history.points.drop(columns="versions").to_csv(index=False)}
    sections, where = history_page.sections(history, page), history_page.where(history)
    path = folder / "history.html"
    folder.mkdir(parents=True, exist_ok=True)  # where all runs came from elsewhere
    path.write_text(html.document(page, where, sections, points, links), encoding="utf-8")
    return page, path


def write_calibration(calibration: Calibration, folder: Path) -> tuple[Page, Path]:
    """Write calibration.md and a CSV per table into the run's folder; what it shows is returned with its path."""
    for name, table in calibration._asdict().items():
        if isinstance(table, pd.DataFrame):
            table.to_csv(folder / f"calibration-{name}.csv", index=False)
    page = calibration_page.page(calibration)
    path = folder / "calibration.md"
    path.write_text(markdown.render(page), encoding="utf-8")
    return page, path
