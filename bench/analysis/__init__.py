"""Records to tidy DataFrames to statistics to comparisons: pandas and scipy; only `load` touches files."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.analysis import cases as of_cases
from bench.analysis import comparisons as comparing
from bench.analysis import frames, tuning
from bench.analysis.by_node import ByNode, by_node
from bench.analysis.comparisons import Comparisons
from bench.analysis.explain import Explanation, explained
from bench.analysis.frames import Run
from bench.analysis.parity.compare import Parity, compare
from bench.analysis.problems import problems
from bench.analysis.targets import targets
from bench.analysis.time_spent import time_spent
from bench.analysis.tuning import Choice


class Analysis(NamedTuple):
    """Everything a report shows; `problems` are the reasons, in words, for an exit status other than 0."""

    run: Run
    cases: pd.DataFrame
    comparisons: Comparisons
    choices: list[Choice]
    targets: pd.DataFrame
    parity: Parity | None
    explanation: Explanation | None
    nodes: ByNode | None
    spent: dict[str, float]
    problems: list[str]


def analyse(folder: Path) -> Analysis:
    """All tables of the run in `folder`, from run.json and the records alone.

    Raises RunFormatError where run.json cannot be used.
    """
    run = frames.load(folder)
    cases = of_cases.cases(run)
    comparisons = comparing.compare(run)
    parity = compare(folder, run.description)
    explanation = explained(folder)
    reasons = problems(run, cases, comparisons) + (parity.problems if parity else [])
    reasons += explanation.problems if explanation else []
    spent, choices = time_spent(run), tuning.choices(run)
    return Analysis(run, cases, comparisons, choices, targets(run), parity, explanation, by_node(run), spent, reasons)
