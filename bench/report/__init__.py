"""DataFrames to files and to the terminal: the only code that formats."""

from pathlib import Path

from rich.console import Console

from bench.analysis import Analysis
from bench.report import markdown, tables, terminal


def write(analysis: Analysis, folder: Path, console: Console | None = None) -> None:
    """Write the tables as CSV and report.md into the run's folder and print the tables."""
    if analysis.run.description["plan"]:
        analysis.run.epochs.to_csv(folder / "epochs.csv", index=False)
        analysis.cases.to_csv(folder / "cases.csv", index=False)
        analysis.comparisons.table.to_csv(folder / "comparisons.csv", index=False)
        if len(analysis.targets):
            analysis.targets.to_csv(folder / "targets.csv", index=False)
    if analysis.parity:
        analysis.parity.table.to_csv(folder / "parity.csv", index=False)
    page = tables.page(analysis)
    (folder / "report.md").write_text(markdown.render(page), encoding="utf-8")
    terminal.show(page, folder / "report.md", console or Console())
