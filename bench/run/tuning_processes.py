"""The search for the knobs of one case: every configuration is tried, then the best take turns in a final."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.contract.case import Case
from bench.contract.tuning import knob_words
from bench.contract.tuning_rows import Begun, Knobs, Tried, TuningRow, read_line
from bench.launch.outcome import Outcome
from bench.launch.process import launch
from bench.plan.planned import PlannedLaunch
from bench.run.console import RunConsole, duration
from bench.run.prepare import Prepared
from bench.run.tuning_final import Final, Standing, Turn, choose, finalists, hold

PASS_SECONDS, MOST_STEPS = 0.25, 128  # of a pass over a few steps
FEWEST_STEPS = {"tuned": 32, "loop": 8, "native": 8}  # 32 fill the longest of `steps_per_execution`
LIMIT_SECONDS = 600.0  # of a process, in which a search goes through its configurations
MOST_DEATHS = 5  # processes of a search that may end early: after more it is given up


@dataclass
class Search:
    """The search for one case: every configuration is tried in a process, then the best take turns in a final."""

    prepared: Prepared
    case: Case
    python: Path
    console: RunConsole

    def rows(self, now: str) -> list[TuningRow]:
        """Search, in these circumstances; a configuration that takes its process down is a row too."""
        self._begin()
        tried, outcome, seconds = self._all()
        said = f"{len(tried)} configurations in {duration(seconds)}" if tried else f"no search: {outcome.reason}"
        if tried and choose(tried) is None:
            said += f", of which none works: {tried[0].reason}"
        self.console.say(f"{self.case.title}: {said}")
        return self._decided(tried, now) if tried else []

    def _decided(self, tried: list[Tried], now: str) -> list[TuningRow]:
        """Hold the final; a candidate that fails in it has failed, and the others take turns without it."""
        final = self._final(tried)
        while final and final.failed:
            failed = final.failed
            self.console.say(f"{self.case.title}: {knob_words(failed.knobs)} failed in its turn: {failed.reason}")
            if failed.knobs == tried[0].knobs:
                break
            tried = [failed if one.knobs == failed.knobs else one for one in tried]
            final = self._final(tried)
        return self._as_rows(tried, final, now)

    def _begin(self) -> None:
        case = self.case
        workload = next(one for one in self.prepared.workloads if one.workload == case.workload)
        within = math.ceil(PASS_SECONDS / workload.step_seconds) if workload.step_seconds else MOST_STEPS
        steps = max(FEWEST_STEPS[case.track], min(MOST_STEPS, within))
        self._steps = min(steps, case.samples // case.batch_size)
        # The seed is a part of the path of the weights alone: any will do.
        self._seed = int(next(iter(workload.weights), 0))
        self._output = self.prepared.folder / "logs" / f"tune-{case.title.replace(' ', '-')}.jsonl"

    def _all(self) -> tuple[list[Tried], Outcome, float]:
        """Every configuration; one that takes the process down is left behind, and the others go on."""
        seconds = 0.0
        for _ in range(MOST_DEATHS):
            title = f"{self.case.title}: searching for the best knobs"
            with self.console.showing(title) as show:
                outcome = self._launch(self._output, lambda message: show(f"{title}: {_where(message)}"))  # noqa: B023
            seconds += outcome.wall_seconds
            if outcome.status == "ok" or not _blame(self._output, f"{outcome.status}: {outcome.reason}"):
                break
        return [line for line in _lines(self._output) if isinstance(line, Tried)], outcome, seconds

    def _final(self, tried: Sequence[Tried]) -> Final | None:
        """Let those that look best take turns; None where there is nothing to decide."""
        taking_part = finalists(tried)
        if not taking_part:
            return None
        title = f"{self.case.title}: {len(taking_part)} configurations take turns"
        with self.console.showing(title) as show:

            def take_turn(number: int, knobs: Knobs) -> Turn:
                show(f"{title}: round {number}, {knob_words(knobs)}")
                return self._turn(knobs)

            return hold(taking_part, take_turn)

    def _turn(self, knobs: Knobs) -> Turn:
        """One configuration in a process of its own."""
        output = self._output.with_name(f"{self._output.stem}-turn.jsonl")
        output.unlink(missing_ok=True)
        outcome = self._launch(output, lambda _message: None, f"--knobs={json.dumps(knobs)}")
        lines = [line for line in _lines(output) if isinstance(line, Tried)]
        reason = outcome.reason or "it left no time"
        failed = Tried(knobs=knobs, status="failed", reason=reason, step_seconds=None)
        return Turn(lines[-1] if lines else failed, outcome.wall_seconds)

    def _launch(self, output: Path, on_message: Callable[[Mapping[str, Any]], None], *more: str) -> Outcome:
        weights = self.prepared.weights(PlannedLaunch(self.case, 0, self._seed))
        command = [*self.prepared.settings(self.case.variant), str(self.python), "-m", "bench.worker.programs.tuning"]
        command += replace(self.case, epochs=2).options()
        command += [f"--steps={self._steps}", f"--weights={weights.resolve()}", f"--output={output.resolve()}", *more]
        return launch(command, log=output.with_suffix(".log"), limit_seconds=LIMIT_SECONDS, on_message=on_message)

    def _as_rows(self, tried: Sequence[Tried], final: Final | None, now: str) -> list[TuningRow]:
        best = choose(tried)
        standings = final.standings if final else ()
        if final:
            winner: Knobs | None = final.winner
        else:  # nothing gains, or there is no default that works, to hold it against
            winner = None if best is None else best.knobs
        return [
            _row(
                one,
                next((standing for standing in standings if standing.knobs == one.knobs), None),
                final,
                case=self.case,
                chosen=one.knobs == winner,
                steps=self._steps,
                searched_in=self.prepared.folder.name,
                circumstances=now,
            )
            for one in tried
        ]


def _row(tried: Tried, standing: Standing | None, final: Final | None, **more: Any) -> TuningRow:
    """A configuration's row; `standing` is its own in the final, if it took part."""
    took_part = final if standing else None
    return TuningRow(
        knobs=tried.knobs,
        status=tried.status,
        reason=tried.reason,
        step_seconds=tried.step_seconds,
        ratio=standing.ratio if standing else None,
        ratio_low=standing.low if standing else None,
        ratio_high=standing.high if standing else None,
        rounds=took_part.rounds if took_part else 0,
        disturbed=took_part.disturbed if took_part else 0,
        **more,
    )


def _where(message: Mapping[str, Any]) -> str:
    """Where a search is, as its process tells it."""
    number, about = message.get("number"), message.get("about")
    return f"configuration {number} of about {about}, {message.get('words')}"


def _blame(output: Path, reason: str) -> bool:
    """Record that the configuration under way ended its process; False where none was under way."""
    lines = _lines(output)
    last = lines[-1] if lines else None
    if not isinstance(last, Begun):
        return False
    row = Tried(knobs=last.begun, status="failed", reason=reason, step_seconds=None)
    with output.open("a", encoding="utf-8") as file:
        print(json.dumps(row.to_json()), file=file)
    return True


def _lines(output: Path) -> list[Begun | Tried]:
    """What a search's process has written so far; it may have been ended within a line."""
    found = []
    for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(read_line(line))
    return found
