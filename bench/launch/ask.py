"""One question to an environment, one JSON line back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.contract.paths import ROOT
from bench.launch import strays

ANSWER_SECONDS = 120


def ask(python: Path, module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a worker's program prints as its last line; `{"error": "one line"}` where there is none."""
    try:
        done = subprocess.run(
            [str(python), "-m", module, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            cwd=ROOT,
            env={**os.environ, strays.MARK: strays.mark()},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {ANSWER_SECONDS} s"}
    except OSError as error:
        return {"error": f"{python} cannot be started ({error.strerror})"}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            try:
                answer: dict[str, Any] = json.loads(line)
            except ValueError:
                return {"error": f"no JSON in its answer: {line[:100]}"}
            return answer
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return {"error": f"exit status {done.returncode}: {last}"}
