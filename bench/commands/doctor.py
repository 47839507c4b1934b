"""doctor: does each backend's environment work, and what does it see?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract.catalog import backend_names, training_backends
from bench.launch.credentials import strip_credentials
from bench.machine import environments
from bench.plan.checks import interpreters
from bench.plan.places import LOCAL, Places, read_places
from bench.plan.words import interpreter

HELP = "does each backend's environment work, and what does it see?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environments other than those that were built."""
    parser.add_argument("--python", type=interpreter, action="append", default=[], metavar="BACKEND=PATH")
    parser.add_argument("--places", default=LOCAL, metavar="WHERE", help="the nodes of a cluster, as run takes them")


def main(given: argparse.Namespace) -> int:
    """Say for each backend whether its environment works and what it sees; exit status 1 where one does not."""
    from bench.machine.fingerprint import fingerprint, others

    well, own = True, interpreters(given.python)
    strip_credentials(())
    if given.places != LOCAL:
        return _tell_nodes(read_places(given.places), own)
    print(f"machine: {json.dumps(fingerprint())}")
    for line in others():
        print(line)
    for backend in backend_names():
        python = environments.interpreter(backend, own)
        if python is None and backend not in training_backends():
            print(f"{backend}: not built; only --tasks predict and generate need it, and build it")
            continue
        answer: dict[str, Any] = (
            environments.probe(python, backend) if python else {"missing": [environments.missing_reason(backend)]}
        )
        well = well and not answer["missing"]
        numbers: dict[str, str] = answer.get("versions", {})
        versions = ", ".join(f"{name} {number}" for name, number in numbers.items())
        print(f"{backend}: {'works' if not answer['missing'] else 'does not work'}")
        for label, text in (
            ("python", str(python)),
            ("versions", versions),
            ("devices", "; ".join(answer.get("devices", []))),
            ("missing", "; ".join(answer["missing"])),
        ):
            if text:
                print(f"  {label:9} {text}")
    return 0 if well else 1


def _tell_nodes(places: Places, own: Mapping[str, Path]) -> int:
    """Say what each node of a cluster has; exit status 1 where one cannot be measured on."""
    from bench.places.fleet import Fleet
    from bench.places.node import environment

    wanted = [environment(name, own=own.get(name)) for name in training_backends()]
    with Fleet(places.kind, places.address, print) as fleet:
        fleet.begin(
            {"environments": wanted, "device_counts": [1], "gpu": None, "shared": True, "devices": None, "keep": []}
        )
        for node in fleet.nodes:
            print(f"{node.name}: {json.dumps(node.facts['machine'])}")
            for backend, versions in node.facts["versions"].items():
                print(f"  {backend:10} {', '.join(f'{name} {number}' for name, number in versions.items())}")
            for backend, reason in node.facts["missing"].items():
                print(f"  {backend:10} missing: {reason}")
        for name, reason in sorted(fleet.refused.items()):
            print(f"{name}: cannot be measured on: {reason}")
        return 1 if fleet.refused or any(node.facts["missing"] for node in fleet.nodes) else 0
