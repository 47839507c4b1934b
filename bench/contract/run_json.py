"""What run.json has to be for an analysis: of which types, and with which words, what tables and reports read of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bench.contract.case import case_key
from bench.contract.record_faults import case_fault
from bench.contract.values import MOST_SECONDS, WORD, is_number, is_text, is_whole, printable, shown

REQUIRED = ("id", "state", "plan", "reference", "launches", "workloads", "machine")
STATES = ("running", "finished", "interrupted")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")  # of a run: its folder's, so it leads nowhere else
Check = Callable[[Any], bool]


def cleaned(value: Any) -> Any:
    """A JSON value whose texts can stand in a line of any file; RecursionError where it is too deep."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {printable(name): cleaned(one) for name, one in value.items()}
    return value


def fault(description: Mapping[str, Any]) -> str:
    """What is wrong with a run's description in one line of words; empty where nothing is."""
    missing = sorted(set(REQUIRED) - set(description))
    if missing:
        return f"lacks {', '.join(missing)}"
    return (
        _wrong("", description, RUN, OPTIONAL)
        or _plan_fault(description)
        or _of_each("workloads", description["workloads"], WORKLOAD, WORKLOAD_OPTIONAL)
        or _wrong("machine.", description["machine"], MACHINE, MACHINE_OPTIONAL)
        or _of_each("options.adopted", description.get("options", {}).get("adopted", []), ADOPTED, {})
        or _parity_fault(description.get("parity"))
        or _unknown_workload(description)
    )


def _plan_fault(description: Mapping[str, Any]) -> str:
    seen = set()
    for item in description["plan"]:
        if not isinstance(item, dict) or not {"case", "skip", "target_attempted"} <= set(item):
            return "an entry of its plan lacks case, skip or target_attempted"
        wrong = case_fault(item["case"])
        if wrong:
            return f"its plan: {wrong}"
        wrong = _wrong("plan: ", item, PLANNED, {"launches": is_whole})
        if wrong:
            return wrong
        key = case_key(item["case"])
        if key in seen:
            return "its plan has a case twice"
        seen.add(key)
    return ""


def _parity_fault(parity: Mapping[str, Any] | None) -> str:
    if not parity:
        return ""
    return _wrong("parity.", parity, PARITY, {}) or _of_each(
        "parity.ladders", parity["ladders"], LADDER, {"climbs": _several(_text)}
    )


def _unknown_workload(description: Mapping[str, Any]) -> str:
    known = {one["workload"] for one in description["workloads"]}
    if len(known) < len(description["workloads"]):
        return "it describes a workload twice"
    unknown = [item["case"]["workload"] for item in description["plan"] if item["case"]["workload"] not in known]
    return f"it does not describe {unknown[0]}, which is in its plan" if unknown else ""


def _of_each(where: str, values: list[Any], needed: Mapping[str, Check], allowed: Mapping[str, Check]) -> str:
    for one in values:
        if not isinstance(one, dict):
            return f"{where}: expected objects, found {shown(one)}"
        wrong = _wrong(f"{where}: ", one, needed, allowed)
        if wrong:
            return wrong
    return ""


def _wrong(where: str, value: Mapping[str, Any], needed: Mapping[str, Check], allowed: Mapping[str, Check]) -> str:
    """The first field, in words, that is not what it has to be; `allowed` are those that may be absent."""
    for name, check in needed.items():
        if name not in value:
            return f"{where}{name} is missing"
        if not check(value[name]):
            return f"{where}{name} cannot be {shown(value[name])}"
    for name, check in allowed.items():
        if name in value and not check(value[name]):
            return f"{where}{name} cannot be {shown(value[name])}"
    return ""


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _several(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _named(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _seconds(value: Any) -> bool:
    return is_number(value, 0, MOST_SECONDS)


def _speed(value: Any) -> bool:
    return is_number(value, 1)


def _positive(value: Any) -> bool:
    return is_whole(value, 1)


def _margin(value: Any) -> bool:
    """NaN is the margin where labels are no numbers."""
    return is_number(value, 0) or (isinstance(value, float) and value != value)


def _moment(value: Any) -> bool:
    """Whether a value is a time with its zone, as every run says it."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _target(value: Any) -> bool:
    return isinstance(value, dict) and not _wrong("", value, TARGET, TARGET_OPTIONAL)


def _options(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("adopted", []), list)


RUN: Mapping[str, Check] = {
    "id": lambda value: isinstance(value, str) and bool(NAME.fullmatch(value)),
    "state": lambda value: isinstance(value, str) and value in STATES,
    "plan": _list,
    "reference": lambda value: isinstance(value, str) and bool(WORD.fullmatch(value)),
    "launches": is_whole,
    "workloads": _list,
    "machine": _object,
}
OPTIONAL: Mapping[str, Check] = {
    "started": _moment,
    "wall_seconds": _seconds,
    "tuning_seconds": _seconds,
    "ceilings": _named(_named(_speed)),
    "ordered": lambda value: isinstance(value, dict) and isinstance(value.get("words"), str),
    "options": _options,
    "parity": _maybe(_object),
}
PLANNED: Mapping[str, Check] = {"skip": _maybe(_text), "target_attempted": _flag}
TARGET: Mapping[str, Check] = {
    "metric": _text,
    "value": _maybe(is_number),
    "source": _text,
    "margin": _margin,
}
TARGET_OPTIONAL: Mapping[str, Check] = {
    "chance": _maybe(is_number),
    "quick": _maybe(is_number),
    "lower_is_better": _flag,
}
WORKLOAD: Mapping[str, Check] = {
    "workload": is_text,
    "test_samples": _positive,
    "batch_size": _positive,
    "quick_samples": is_whole,
    "target": _target,
}
WORKLOAD_OPTIONAL: Mapping[str, Check] = {
    "weights": _named(_text),
    "step_flops": _maybe(lambda value: is_number(value, 0)),
    "uncounted": _several(_text),
    "notes": _several(_text),
    "memory_mib": lambda value: is_number(value, 0),
    "without_native_ladder": _maybe(_text),
}
MACHINE: Mapping[str, Check] = {
    "cpu": _text,
    "logical_cpus": _maybe(is_whole),
    "memory_mib": _maybe(lambda value: is_number(value, 0)),
    "system": _text,
    "gpus": _several(_text),
    "flags": _named(_text),
}
MACHINE_OPTIONAL: Mapping[str, Check] = {"usable_cpus": _maybe(_several(is_whole))}
ADOPTED: Mapping[str, Check] = {"path": _text, "said": _text}
PARITY: Mapping[str, Check] = {"steps": _positive, "seeds": _several(is_whole), "ladders": _list}
LADDER: Mapping[str, Check] = {
    "backend": _text,
    "device": _text,
    "numerics": _text,
    "skip": _maybe(_text),
    "status": _text,
    "reason": _text,
    "wall_seconds": _seconds,
}
