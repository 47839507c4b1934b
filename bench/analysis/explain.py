"""Where the time of a training step goes, part by part, and what would make it shorter: from what `explain` measured.

A launch gives each part as a difference of two trainings that took turns in it, so that the parts add up to the step.
The replication is the launch: intervals are over launches.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis import statistics
from bench.analysis.advice import LEVEL, PLACE, Advice, Launch
from bench.analysis.memory import leaks, memory
from bench.analysis.operations import Operations, operations
from bench.analysis.rules import RULES
from bench.analysis.statistics import Interval
from bench.contract import explain
from bench.contract.case import stem

GAIN = 0.97  # advice makes a step take at most so much of its time, by the whole interval
DIGITS = 9  # of a share: rounding gives equal values a spread
# Of the time, what remains at least: of less, noise makes a multiple or less than none, so that launches that all leave
# next to nothing would not agree.
NOTHING = 0.02
# What a training without something is held against, where other things are taken away from it too.
TAKEN_FROM = {explain.UNMEASURED: explain.RESIDENT, explain.PLAIN: explain.UNMEASURED}
OTHER_TRAININGS = (explain.LARGER, explain.PLAIN)  # reach other weights
SLOWER = 0.05  # more than the fastest backend: its reasons are told
TOLD = 0.1  # of what it takes longer: a part that is told
COLUMNS = [*PLACE, "part", "seconds", "low", "high", "share", "launches"]
# Seconds that are no part of a step.
FIXED = ("a validation step", "an epoch", "a fit", "the first epoch", "a partial batch")


class Explanation(NamedTuple):
    """The rows of explain.csv, what to do, fastest first, why backends differ, and what went wrong.

    Then what was traced, and the rows of memory.csv.
    """

    table: pd.DataFrame
    advice: list[Advice]
    reasons: list[Advice]
    problems: list[str]
    operations: Operations
    memory: pd.DataFrame


def explained(folder: Path) -> Explanation | None:
    """What the processes of a run's explanation found; None where there was none."""
    files = sorted((folder / "explain").glob("[!.]*.json"))
    if not files:
        return None
    launches, problems = [], []
    for path in files:
        found = _read(path)
        if isinstance(found, str):
            problems.append(found)
        else:
            launches.append(found)
    groups: dict[tuple[str, str, str], list[Launch]] = {}
    for one in launches:
        groups.setdefault((one["workload"], one["device"], one["backend"]), []).append(one)
    rows, advice = [], []
    for place, group in groups.items():
        parts = pd.DataFrame([_parts(one) for one in group])
        rows += [dict(zip(PLACE, place, strict=True)) | row for row in _rows(parts)]
        advice += sorted(_advice(place, group, parts), key=lambda one: one.remains)
    table, traced, held = pd.DataFrame(rows, columns=COLUMNS), operations(launches), memory(groups)
    advice += [*traced.advice, *leaks(held)]
    return Explanation(table, advice, list(_reasons(table)), problems, traced, held)


def _read(path: Path) -> Launch | str:
    """What a process wrote, or in words why it is of no use."""
    try:
        found: Launch = json.loads(path.read_text(encoding="utf-8"))
        where = f"explain: {stem(found['workload'])} {found['backend']} {found['device']}, seed {found['seed']}"
        if found.get("error"):
            return f"{where}: {found['error']}"
        for name in (explain.AS_IT_IS, explain.RESIDENT, explain.UNMEASURED, explain.PLAIN, explain.SHORT):
            training = found["trainings"][name]
            if training["error"]:
                return f"{where}: {name}: {training['error']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"left out: {path.name}: not readable ({type(error).__name__}: {error})"
    return found


def _parts(launch: Launch) -> dict[str, float]:
    """The seconds of each part of a step in one launch, of the step itself, and of what is no part of one."""
    trainings, step = launch["trainings"], partial(_step, launch)
    whole, short = trainings[explain.AS_IT_IS], trainings[explain.SHORT]
    line = (whole["epoch_seconds"] - short["epoch_seconds"]) / (whole["steps"] - short["steps"])
    epoch = max(whole["epoch_seconds"] - line * whole["steps"], 0.0)  # of an epoch, besides its steps
    besides = epoch / whole["steps"]
    quiet = step(explain.QUIET) if explain.QUIET in trainings else step(explain.AS_IT_IS)
    plain, single, size = step(explain.PLAIN), step(explain.SINGLE), whole["batch_size"]
    per_step = math.nan if math.isnan(single) else (single * size - plain) / (size - 1) - besides
    return {
        "step": step(explain.AS_IT_IS) - besides,
        "callbacks": step(explain.AS_IT_IS) - quiet,
        "input": quiet - step(explain.RESIDENT),
        "metrics": step(explain.RESIDENT) - step(explain.UNMEASURED),
        "optimizer": step(explain.UNMEASURED) - plain,
        "per step": per_step,
        "per sample": plain - besides - (0.0 if math.isnan(per_step) else per_step),
        "a validation step": launch.get("validation_seconds") or math.nan,
        "an epoch": epoch,
        "a fit": float(whole["fit_seconds"] or 0.0),
        "the first epoch": float(whole["cold_seconds"] or 0.0) - whole["epoch_seconds"],
        "a partial batch": launch.get("partial_batch_seconds") or math.nan,
    }


def _rows(parts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    step = parts["step"].mean()
    for part in parts:
        found = _mean(parts[part])
        share = found.estimate / step if part in ("step", *explain.PARTS) else math.nan
        seconds = {"seconds": found.estimate, "low": found.low, "high": found.high}
        yield {"part": part, **seconds, "share": share, "launches": len(parts)}


def _mean(values: pd.Series) -> Interval:
    """The mean over launches with its interval."""
    return statistics.difference_interval(values.dropna(), LEVEL)


def _advice(place: tuple[str, str, str], group: Sequence[Launch], parts: pd.DataFrame) -> Iterator[Advice]:
    """What makes a step take less here: measured in the same launches, and by the whole interval."""
    first, step = group[0], parts["step"].mean()
    told = {name: ", ".join(first.get(name) or ["nothing"]) for name in ("metrics", "callbacks")}
    told |= {name: first.get(name, "") for name in ("input", "optimizer")}
    for rule in RULES:
        share = parts[rule.part].mean() / step if rule.part else 1.0
        ratio = _ratio(group, rule.tried)
        if math.isnan(share) or share < rule.share or not ratio.high <= GAIN:
            continue
        because = f"{share:.0%} of its step {rule.cause.format(**told)}: " if rule.part else ""
        of = "the time a sample" if rule.tried == explain.LARGER else "the time"
        remains = f"takes {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] of {of} here"
        joined = " " if rule.cure.endswith(",") else ", which "
        if rule.tried in explain.COMPILED:
            remains += _paid_back(group, rule.tried, explain.AS_IT_IS)
        order = ratio.estimate + (rule.tried in OTHER_TRAININGS)  # which are the last resort
        yield Advice(*place, order, f"{because}{rule.cure}{joined}{remains}")
    yield from (Advice(*place, remains, text) for remains, text in _symptoms(group, parts))


def _ratio(group: Sequence[Launch], tried: str) -> Interval:
    """The seconds of a sample with a setting over those of the training as it is, over launches."""
    base = TAKEN_FROM.get(tried, explain.AS_IT_IS)
    found = pd.DataFrame({name: [_sample(one, name) for one in group] for name in {tried, base, explain.AS_IT_IS}})
    if found.isna().any(axis=None):
        return Interval(math.nan, math.nan, math.nan)
    # What is taken away beside other things saves of the whole no more than what is left without these is of it.
    left = min(found[base].mean() / found[explain.AS_IT_IS].mean(), 1)
    ratios = (1 - left * (1 - found[tried] / found[base])).round(DIGITS).clip(lower=NOTHING)
    if len(ratios) > 1 and ratios.max() == NOTHING:
        return Interval(NOTHING, NOTHING, NOTHING)  # at most, in every launch
    return statistics.mean_interval(ratios, LEVEL)


def _sample(launch: Launch, name: str) -> float:
    """The seconds of a sample in a training; NaN where it is not there, or failed."""
    return _step(launch, name) / float((launch["trainings"].get(name) or {"batch_size": 1})["batch_size"])


def _paid_back(group: Sequence[Launch], setting: str, without: str) -> str:
    """How much longer compiling with a setting takes, and how many epochs win that back; nothing where it does not."""
    # The very first training meets what a framework does once besides, compiled or not; the next like it does not.
    plain = explain.UNMEASURED if without == explain.AS_IT_IS else without
    longer = pd.Series([_compiling(one, setting) - _compiling(one, plain) for one in group]).round(DIGITS)
    gained = [one["steps_per_epoch"] * (_step(one, without) - _step(one, setting)) for one in group]
    found = statistics.difference_interval(longer, LEVEL)
    if not found.low > 0:
        return ""
    epochs = math.ceil(found.estimate / (sum(gained) / len(gained)))
    won = f"{epochs} epochs win" if epochs > 1 else "an epoch wins"
    return f"; compiling takes {found.estimate:.2g} s longer, which {won} back"


def _compiling(launch: Launch, name: str) -> float:
    """The seconds that the first epoch of a training takes more than a later one."""
    training = launch["trainings"][name]
    return float(training["cold_seconds"]) - float(training["epoch_seconds"])


def _step(launch: Launch, name: str) -> float:
    """The seconds of a step of a training; NaN where it is not there, or failed."""
    training = launch["trainings"].get(name) or {"error": "not there"}
    return math.nan if training["error"] else float(training["epoch_seconds"]) / float(training["steps"])


def _symptoms(group: Sequence[Launch], parts: pd.DataFrame) -> Iterator[tuple[float, str]]:
    """What is seen besides, with the share of the time that would remain without it, where that is known.

    A `jit_compile` that is on and helps, short epochs, and compilations that come again.
    """
    ratio = _ratio(group, explain.NO_JIT)
    if ratio.low >= 1 / GAIN:
        inverse = "{:.2f} [{:.2f}, {:.2f}]".format(*(1 / ratio[end] for end in (0, 2, 1)))
        paid = _paid_back(group, explain.AS_IT_IS, explain.NO_JIT)
        yield 1.0, f"{explain.JIT}, as it is, takes {inverse} of the time without it{paid}"
    epoch, step, steps = _mean(parts["an epoch"]), parts["step"].mean(), group[0]["steps_per_epoch"]
    whole = epoch.estimate + steps * step
    again = min(one["compilations"] for one in group)
    if again > 0:  # which is what an epoch then costs besides
        yield (
            1 - epoch.estimate / whole if epoch.low > 0 else 1.0,
            f"it compiles again in warm epochs, at least {again} times: "
            "something that a layer or a metric does is new each time, such as a shape or a Python number",
        )
    elif epoch.low > 0 and epoch.estimate > 0.2 * whole:
        text = (
            f"an epoch costs {1e3 * epoch.estimate:.3g} ms besides its {steps} "
            f"{'step' if steps == 1 else 'steps'} of {1e3 * step:.3g} ms each, {epoch.estimate / whole:.0%} of it: let "
            "an epoch have more steps, by repeating the data or with steps_per_epoch"
        )
        yield 1 - epoch.estimate / whole, text


def _reasons(table: pd.DataFrame) -> Iterator[Advice]:
    """For each backend that takes longer than the fastest: in which parts, of those that differ beyond their noise."""
    for (workload, device), rows in table.groupby(["workload", "device"], sort=False):
        found = {
            str(backend): {row["part"]: row for row in of.to_dict("records")}
            for backend, of in rows.groupby("backend", sort=False)
        }
        fastest = min(found, key=lambda name: float(found[name]["step"]["seconds"]))
        least = float(found[fastest]["step"]["seconds"])
        for backend, parts in found.items():
            took = float(parts["step"]["seconds"])
            if took - least < SLOWER * least:
                continue
            more = {part: _more(parts[part], found[fastest][part]) for part in explain.PARTS}
            dearest = sorted(explain.PARTS, key=lambda part: -more[part])
            shares = [
                f"{WORDS[part]} {min(more[part] / (took - least), 1):.0%}"  # more, where another part takes less
                for part in dearest
                if more[part] > TOLD * (took - least)
            ]
            said = ", ".join(shares) or "no part is sure"
            text = (
                f"a step takes {1e3 * took:.3g} ms, {1e3 * (took - least):.3g} more than on {fastest}; of that {said}"
            )
            yield Advice(str(workload), str(device), backend, math.nan, text)


def _more(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> float:
    """How many seconds more a part takes; 0 where its noise over launches may make the difference."""
    more = float(ours["seconds"] - theirs["seconds"])
    noise = math.hypot(*(float(one["high"] - one["low"]) / 2 for one in (ours, theirs)))
    return more if more > noise or math.isnan(noise) else 0.0


WORDS: Mapping[str, str] = {
    "callbacks": "callbacks",
    "input": "waiting for input",
    "metrics": "metrics",
    "optimizer": "the optimizer beyond plain SGD",
    "per step": "work of each step whatever its samples",
    "per sample": "work that grows with the samples",
}
