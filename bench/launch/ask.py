"""One question to an environment, one JSON line back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.contract.paths import ROOT
from bench.launch import strays
from bench.launch.interruption import held_back
from bench.launch.process import end

ANSWER_SECONDS = 120


def ask(python: Path, module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a worker's program prints as its last line; `{"error": "one line"}` where there is none."""
    asked, has_answered = None, False
    try:
        with held_back():
            asked = subprocess.Popen(
                [str(python), "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd=ROOT,
                env={**os.environ, strays.MARK: strays.mark()},
                start_new_session=True,
            )
        said, complaints = asked.communicate(timeout=ANSWER_SECONDS)
        has_answered = True
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {ANSWER_SECONDS} s"}
    except OSError as error:
        return {"error": f"{python} cannot be started ({error.strerror})"}
    finally:  # Ctrl-C comes through here too
        if asked is not None:
            end(asked)
        if not has_answered:
            strays.end_own(grace_seconds=0.0)  # which waits for its children's end, too
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                answer: dict[str, Any] = json.loads(line)
            except ValueError:
                return {"error": f"no JSON in its answer: {line[:100]}"}
            return answer
    last = (complaints.strip().splitlines() or ["no output"])[-1]
    return {"error": f"exit status {asked.returncode}: {last}"}
