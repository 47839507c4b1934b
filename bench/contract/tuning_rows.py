"""The rows of tuning.csv, and the lines of a search under way, as types that check them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.contract import case as of_case
from bench.contract.case import CASE_TYPES, LATER, Case
from bench.contract.tuning import FINAL_COLUMNS
from bench.contract.typed import MalformedError, Number, Positive, Took, Typed, Whole, parse

Knobs = dict[str, Any]  # by name; a backend's own


class Begun(Typed, frozen=True, kw_only=True):
    """The configuration under way: what a search's process writes before it tries one."""

    begun: Knobs


class Tried(Typed, frozen=True, kw_only=True):
    """A configuration and what came of it; one that is not ok took no time, and its reason says why.

    `disturbed` says by what it was, if it was.
    """

    knobs: Knobs
    status: str
    reason: str
    step_seconds: Took | None
    disturbed: str = ""

    @property
    def seconds(self) -> float:
        """Of a step, infinite where the configuration does not work."""
        return float("inf") if self.step_seconds is None or self.status != "ok" else self.step_seconds


class TuningRow(Typed, frozen=True, kw_only=True):
    """A row of tuning.csv: what was tried for a case, whether it was chosen, in which run and circumstances.

    Of what took part in the final, `ratio` is how many times as long a step takes as with the default, with its
    interval; of the default itself it is None, as it is of all others. `rounds` were undisturbed, and decided.
    `disturbed` ones came besides. `step_seconds` are the search's.
    """

    knobs: Knobs
    status: str
    reason: str
    step_seconds: Took | None
    ratio: Number | None
    ratio_low: Number | None
    ratio_high: Number | None
    rounds: Whole
    disturbed: Whole
    case: Case
    chosen: bool
    steps: Positive
    searched_in: str
    circumstances: str

    def to_csv(self) -> dict[str, Any]:
        """As it stands in the file, by column."""
        columns = self.to_json()
        del columns["case"]
        return {**asdict(self.case), **columns, "knobs": json.dumps(self.knobs)}


def read_row(row: Mapping[str, str]) -> TuningRow:
    """A row of the file, by column; ValueError or KeyError where it is none."""
    case = {name: kind({**LATER, **row}[name]) for name, kind in CASE_TYPES.items()}
    wrong = of_case.fault(case)
    if wrong:
        raise MalformedError(wrong)
    found = {
        **{name: row[name] for name in ("status", "reason", "searched_in", "circumstances")},
        "case": case,
        "knobs": json.loads(row["knobs"]),
        **{name: float(row[name]) if row[name] else None for name in ("step_seconds", *FINAL_COLUMNS)},
        **{name: int(row[name]) for name in ("rounds", "disturbed", "steps")},
        "chosen": row["chosen"] == "True",
    }
    return parse(TuningRow, found)


def read_line(line: str) -> Begun | Tried:
    """A line that a search's process has written; ValueError where it was ended within it."""
    content = json.loads(line)
    kind: type[Begun | Tried] = Begun if isinstance(content, dict) and "begun" in content else Tried
    return parse(kind, content)
