"""From Python: the same runs as from the command line, for a notebook or a script.

    import bench

    result = bench.compare(build, (x, y), backends=("jax", "torch"), launches=3)
    result.cases  # a DataFrame; the result itself is shown as a table with its verdict

Measured is in processes of the backends' environments, as ever; this process only waits.
"""

from __future__ import annotations

import hashlib
import html
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contract.errors import UsageError
from bench.own_models.source import source_of
from bench.plan.options import ParityOptions, RunOptions
from bench.plan.selection import Selection
from models.datasets import npz

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from bench.analysis import Analysis
    from bench.report.view import Page

FOLDER = "notebook"  # of the runs' folder: what was handed over as Python objects
Data = str | Path | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """A run that was measured or climbed, with what its report says."""

    folder: Path

    @cached_property
    def analysis(self) -> Analysis:
        """Everything that the report is made of."""
        from bench.analysis import analyse

        return analyse(self.folder)

    @property
    def cases(self) -> pd.DataFrame:
        """A row for each case: seconds of an epoch with interval, metric, memory; as in cases.csv."""
        return self.analysis.cases

    @property
    def comparisons(self) -> pd.DataFrame:
        """A row for each comparison: ratio with interval and verdict; as in comparisons.csv."""
        return self.analysis.comparisons.table

    @property
    def epochs(self) -> pd.DataFrame:
        """A row for each epoch of each launch; as in epochs.csv."""
        return self.analysis.run.epochs

    @property
    def verdict(self) -> str:
        """What was found, in sentences, and what went wrong."""
        page = self._page
        return "\n".join([*(said.text for said in page.verdicts), *(f"problem: {text}" for text in page.problems)])

    @property
    def figures(self) -> dict[str, Figure]:
        """The pictures of the page, by their titles; a notebook shows each where Plotly is installed."""
        import plotly.graph_objects as go

        from bench.report.pages.run import sections

        every = [figure for section in sections(self.analysis, self._page) for figure in section.figures]
        return {one.title: go.Figure(one.traces, {**one.layout, "title": one.title}) for one in every}

    @property
    def report(self) -> Path:
        """The page with pictures, a file of its own."""
        return self.folder / "report.html"

    @cached_property
    def _page(self) -> Page:
        from bench.report import write

        return write(self.analysis, self.folder)

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(line)}</p>" for line in self.verdict.splitlines())
        tables = "".join(_table(one.title, one.columns, one.rows) for one in self._page.tables[:1])
        return f"{said}{tables}<p>The whole report: <code>{html.escape(str(self.report))}</code></p>"


Build = Callable[[], Any] | str | Path


def compare(build: Build | None = None, data: Data | None = None, **options: Any) -> Result:
    """Train a model on every backend, in turns, and compare.

    Args:
        build: a function that returns a Keras model and needs no arguments, one of a notebook's cell too; or what
            --workloads takes, a file or a workload's name. None with `script`, the path of a training script, in the
            options.
        data: what --dataset takes; or arrays: a mapping of x_train, y_train and, if there are, x_test, y_test, or these
            two or four in their order. None for a workload that names its own.
        options: fields of `bench.plan.options.RunOptions`, such as backends, launches, epochs, batch_sizes, loss,
            profile, tracks, numerics, parity.

    Raises UsageError, in one line, for what the caller can mend, and RunError where no backend works.
    """
    from bench.run.console import RunConsole
    from bench.run.measure import run

    folder = run(_options(RunOptions, build, data, options), RunConsole(file=sys.stdout))
    if folder is None:
        raise UsageError("dry_run: a plan alone has no result; leave it out, or use the command line")
    return Result(folder)


def parity(build: Build, data: Data | None = None, **options: Any) -> Result:
    """Do the backends compute the same? The ladder of `nox -s parity`; arguments as of `compare`.

    `options` are fields of `bench.plan.options.ParityOptions`, such as backends, steps, seeds.
    """
    from bench.run.console import RunConsole
    from bench.run.parity import parity as climb

    return Result(climb(_options(ParityOptions, build, data, options), RunConsole(file=sys.stdout)))


def _options(kind: type[Any], build: Build | None, data: Data | None, options: Mapping[str, Any]) -> Any:
    """The options of a run: objects are written to files first, each under a digest of its content."""
    folder = Path(options.get("output", Selection.output)) / FOLDER
    given = dict(options)
    if build is None and "script" not in given:
        raise UsageError("expected a function that returns a model, a file or a workload's name, or script=PATH")
    if build is not None:
        given["workloads"] = (_model(build, folder) if callable(build) else str(build),)
    if data is not None:
        given["dataset"] = str(data) if isinstance(data, str | Path) else _arrays(data, folder)
    try:
        return kind(**given)
    except TypeError as error:
        raise UsageError(f"{str(error).partition('__init__() ')[2] or error}; {kind.__name__} has the names") from None


def _model(build: Callable[[], Any], folder: Path) -> str:
    """The file of a live function, and in it the function's name."""
    text = source_of(build)
    path = folder / hashlib.sha256(text.encode()).hexdigest()[:8] / f"{build.__name__}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"{path}:{build.__name__}"


def _arrays(data: Sequence[Any] | Mapping[str, Any], folder: Path) -> str:
    """The `.npz` file of arrays."""
    parts = dict(data) if isinstance(data, Mapping) else dict(zip(npz.PARTS, data, strict=False))
    if len(parts) != len(data) or not {"x_train", "y_train"} <= parts.keys():
        raise UsageError("data: expected two or four arrays, x_train, y_train, x_test, y_test, or a mapping with these")
    arrays = npz.named(parts)
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    path = folder / f"data-{digest.hexdigest()[:8]}.npz"
    if not path.is_file():
        npz.save(path, arrays)
    return str(path)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{html.escape(title)}</caption><tr>{head}</tr>{body}</table>"
