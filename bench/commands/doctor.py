"""doctor: does each backend's environment work, and what does it see?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench.contract.catalog import backend_names, training_backends
from bench.launch.credentials import strip_credentials
from bench.machine import environments
from bench.plan.checks import interpreters
from bench.plan.words import interpreter

HELP = "does each backend's environment work, and what does it see?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environments other than those that were built."""
    parser.add_argument("--python", type=interpreter, action="append", default=[], metavar="BACKEND=PATH")


def main(given: argparse.Namespace) -> int:
    """Say for each backend whether its environment works and what it sees; exit status 1 where one does not."""
    from bench.machine.fingerprint import fingerprint, others

    well, own = True, interpreters(given.python)
    strip_credentials(())
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
