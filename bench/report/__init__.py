"""DataFrames to files, to standard output and to the terminal: the only code that formats."""

from pathlib import Path

from bench.analysis import Analysis
from bench.report.forms import files, html, markdown
from bench.report.pages import run as run_page
from bench.report.view import Page


def write(analysis: Analysis, folder: Path) -> Page:
    """Write the tables as CSV, report.md and report.html into the run's folder; what they show is returned."""
    files.write(analysis, folder)
    page = run_page.page(analysis)
    (folder / "report.md").write_text(markdown.render(page), encoding="utf-8")
    (folder / "report.html").write_text(html.render(analysis, page), encoding="utf-8")
    return page
