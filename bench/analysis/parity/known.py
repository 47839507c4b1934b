"""What is known of the backends' ways: where a ladder parts, the finding of docs/findings.md that explains it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.contract.backend_facts import Finding
from bench.contract.catalog import backend_names, facts_of
from bench.contract.parity import EXACT


def finding(row: Any, kinds: Mapping[str, str]) -> Finding | None:
    """What explains the row of parity.csv at which a ladder parts; `kinds` are the classes of layers by location."""
    kind, name = kind_at(row["location"], kinds), str(row["location"]).rpartition("/")[2]
    both = [name for name in (row["backend"], row["reference"]) if name in backend_names()]
    known = (one for name in both for one in facts_of(name).findings)
    fitting = (
        one
        for one in known
        if not one.devices
        and (one.rung, one.rounded) == (row["rung"], row["numerics"] != EXACT)
        and re.fullmatch(one.layers, kind)
        and (row["rung"] == "outputs" or re.fullmatch(one.weight, name))
    )
    return next(fitting, None)


def kind_at(location: str, kinds: Mapping[str, str]) -> str:
    """The class of the layer whose output or weight is at a location; empty where none is known."""
    parts = re.sub(r"(#\d+|\[\d+\])+$", "", location).split("/")
    every = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((kinds[path] for path in every if path in kinds), "")
