"""A report as one page that needs nothing but a browser: no request leaves it, and no name in it is code."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import plotly.offline

from bench.analysis import Analysis
from bench.report import drawing
from bench.report.forms.files import downloads
from bench.report.pages import run as run_page
from bench.report.parts import figures, parity, predict, tracks
from bench.report.view import FACETS, Figure, Grid, Page, Table

FOLDER = Path(__file__).with_name("page")
LIBRARY = plotly.offline.get_plotlyjs().replace("\r\n", "\n")  # as a browser reads it, for its digest
SCRIPT = (FOLDER / "page.js").read_text(encoding="utf-8")
COMPACT: dict[str, Any] = {"separators": (",", ":"), "sort_keys": False, "allow_nan": False}  # of json.dumps
STYLE = (FOLDER / "page.css").read_text(encoding="utf-8")


class Section(NamedTuple):
    """A heading with what stands below it."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    grids: Sequence[Grid] = ()


def render(analysis: Analysis, page: Page) -> str:
    """The report of a run."""
    description = analysis.run.description
    machine = description.machine
    sections = [
        Section("How fast", [*figures.ratios(analysis)]),
        Section("Every launch", [*figures.launches(analysis)]),
        Section("What Keras costs", [*tracks.figures(analysis)]),
        Section("Batch sizes", [*tracks.batch_figures(analysis)]),
        Section("Latency of inference", [*predict.figures(analysis)]),
        Section("Learning", [*figures.curves(analysis)]),
        Section("Setup, cold and steady", [*figures.phases(analysis)]),
        Section("Memory", [*figures.memory(analysis)]),
        Section("Parity", grids=parity.grids(analysis.parity)),
        Section("Tables", tables=[*run_page.overview(analysis), *run_page.optional_tables(analysis)]),
    ]
    gpus = ", ".join(machine.gpus) or "no GPU"
    where = f"{machine.cpu}, {machine.logical_cpus} logical CPUs, {gpus}; {description.started or ''}"
    return document(page, where, sections, downloads(analysis))


def document(
    page: Page,
    where: str,
    sections: Iterable[Section],
    files: Mapping[str, str],
    links: Mapping[str, str] | None = None,
) -> str:
    """A page of sections, of which those without content are left out; `files` can be saved from it, CSV by name.

    A cell whose text is in `links` leads there.
    """
    shown = [one for one in sections if one.figures or one.tables or one.grids]
    content = {
        "figures": [figure._asdict() for section in shown for figure in section.figures],
        "files": files,
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = COMPACT
    return environment.get_template("page.html.j2").render(
        page=page,
        where=where,
        sections=shown,
        files=list(files),
        facets=_values(shown, page),
        content=_packed(json.dumps(content, **COMPACT)),
        style=STYLE,
        library=_packed(LIBRARY),
        script=SCRIPT,
        policy="; ".join(
            [
                "default-src 'none'",
                f"script-src '{_digest(LIBRARY)}' '{_digest(SCRIPT)}'",
                "style-src 'unsafe-inline'",
                "img-src data: blob:",
            ]
        ),
        colours=drawing.COLOURS,
        links=links or {},
    )


def _packed(content: str) -> str:
    """Text, deflated, as letters: figures become a tenth of what they would be, the library a third."""
    return base64.b64encode(zlib.compress(content.encode())).decode()


def _values(sections: Iterable[Section], page: Page) -> dict[str, list[str]]:
    """Of each facet the values in the page, in their order, where there is a choice."""
    found: dict[str, dict[str, None]] = {name: {} for name in (*FACETS, "machine")}
    every: list[Mapping[str, str]] = [said.facets for said in (*page.verdicts, *page.remarks) if said.facets]
    for section in sections:
        every += [trace["meta"] for figure in section.figures for trace in figure.traces]
        every += [row for table in section.tables for row in table.facets]
        every += [ladder.facets for grid in section.grids for ladder in grid.ladders]
    for facets in every:
        for name, value in facets.items():
            found[name][value] = None
    return {name: list(values) for name, values in found.items() if len(values) > 1}


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
