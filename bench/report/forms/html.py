"""A report as one page that needs nothing but a browser: no request leaves it, and no name in it is code."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline

from bench.report import drawing
from bench.report.view import FACETS, Page, Section

FOLDER = Path(__file__).with_name("page")
LIBRARY = plotly.offline.get_plotlyjs().replace("\r\n", "\n")  # as a browser reads it, for its digest
SCRIPT = (FOLDER / "page.js").read_text(encoding="utf-8")
COMPACT: dict[str, Any] = {"separators": (",", ":"), "sort_keys": False, "allow_nan": False}  # of json.dumps
STYLE = (FOLDER / "page.css").read_text(encoding="utf-8")


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
    shown = [section for section in sections if section.figures or section.tables or section.grids]
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
        colours=drawing.colours(),
        links=links or {},
    )


def _packed(content: str) -> str:
    """Text, compressed and as letters: figures shrink to a tenth, the library to a third."""
    return base64.b64encode(zlib.compress(content.encode())).decode()


def _values(sections: Iterable[Section], page: Page) -> dict[str, list[str]]:
    """For each facet with more than one value on the page, these values in their order."""
    values_of: dict[str, dict[str, None]] = {name: {} for name in (*FACETS, "machine")}
    every: list[Mapping[str, str]] = [said.facets for said in (*page.verdicts, *page.remarks) if said.facets]
    for section in sections:
        every += [trace["meta"] for figure in section.figures for trace in figure.traces]
        every += [row for table in section.tables for row in table.facets]
        every += [ladder.facets for grid in section.grids for ladder in grid.ladders]
    for facets in every:
        for name, value in facets.items():
            values_of[name][value] = None
    return {name: list(values) for name, values in values_of.items() if len(values) > 1}


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
