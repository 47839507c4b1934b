"""list: what can be selected."""

from __future__ import annotations

import argparse
import ast

from bench.contract.catalog import backend_names, names_of, workload_modules
from bench.contract.paths import ROOT
from bench.machine import environments

HELP = "workloads, backends and data sets"
LONGEST = 20  # characters of a name in a list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(given: argparse.Namespace) -> int:  # noqa: ARG001
    """Name what can be selected, each with its one-line description."""
    from models.datasets import DATASETS

    print("workloads")
    for module in workload_modules():
        source = (ROOT / "models" / f"{module}.py").read_text(encoding="utf-8")
        for name in names_of(module):
            print(f"  {name:{LONGEST}} {_first_line(ast.get_docstring(ast.parse(source)))}")
    print("backends")
    for name in backend_names():
        python = environments.interpreter(name, {})
        print(f"  {name:{LONGEST}} {'environment built' if python else environments.missing_reason(name)}")
    print("data sets")
    for name, function in DATASETS.items():
        print(f"  {name:{LONGEST}} {_first_line(function.__doc__)}")
    return 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""
