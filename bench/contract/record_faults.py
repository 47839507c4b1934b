"""What is wrong with a launch record, in words: every field that tables and reports read is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.contract import case as of_case
from bench.contract.record import READABLE, STATUSES
from bench.contract.values import (
    LEAST_SECONDS,
    MOST_SECONDS,
    is_number,
    is_text,
    is_whole,
    printable,
    shown,
)


def fault(launch: object) -> str | None:
    """What is wrong with a record's `launch` object; None when nothing is."""
    if not isinstance(launch, dict):
        return "no launch object"
    if type(launch.get("schema")) is not int or launch["schema"] not in READABLE:
        return f"schema {shown(launch.get('schema'))}, this version reads {', '.join(map(str, READABLE))}"
    return of_case.fault(launch.get("case")) or _head_fault(launch) or _result_fault(launch, launch["case"])


def _head_fault(launch: Mapping[str, Any]) -> str | None:
    """What is wrong with what every launch says, however it ended."""
    if not all(is_whole(launch.get(name)) for name in ("repetition", "seed")):
        return "repetition and seed have to be whole numbers from 0 on"
    if not is_whole(launch.get("attempt", 1), least=1):
        return "attempt has to be a whole number from 1 on"
    if launch.get("status") not in STATUSES:
        return f"status {shown(launch.get('status'))}, expected one of {', '.join(STATUSES)}"
    if not isinstance(launch.get("reason"), str):
        return "reason has to be words; a status other than ok needs a reason in words"
    wall = launch.get("wall_seconds")
    if wall is not None and not is_number(wall, 0, MOST_SECONDS):
        return "wall_seconds has to be a finite number of seconds, not negative"
    command = launch.get("command")
    if command is not None and not (isinstance(command, list) and all(map(is_text, command))):
        return "command has to be a list of words"
    return None


def _result_fault(launch: Mapping[str, Any], case: Mapping[str, Any]) -> str | None:
    """What is wrong with what an ok launch measured; others measured nothing."""
    if launch["status"] != "ok":
        return None
    if case["task"] == "predict":
        return _calls_fault(launch, case) or _common_fault(launch, [launch["calls"]["series"]])
    epochs = launch.get("epochs")
    if not isinstance(epochs, list) or len(epochs) < 2 or not all(isinstance(epoch, dict) for epoch in epochs):
        return "an ok launch needs at least two epochs"
    stopped_early = launch.get("stopped_early") is True and len(epochs) < case["epochs"]
    if len(epochs) != case["epochs"] and not stopped_early:
        return f"{len(epochs)} epochs, but its case says {case['epochs']}"
    if not all(_took(epoch.get("seconds")) for epoch in epochs):
        return f"every epoch needs a positive, finite number of seconds, {LEAST_SECONDS} to {MOST_SECONDS:g}"
    test = launch.get("test")
    if not isinstance(test, dict) or not all(is_number(test.get(name)) for name in ("metric", "loss")):
        return "test needs a finite metric and loss"
    return _common_fault(launch, epochs)


def _calls_fault(launch: Mapping[str, Any], case: Mapping[str, Any]) -> str | None:
    """What is wrong with the calls of an ok launch of inference, and with the outputs that it keeps."""
    calls = launch.get("calls")
    if not isinstance(calls, dict) or not isinstance(calls.get("series"), dict):
        return "an ok launch of inference needs calls, with what went on during the series of them"
    seconds, expected = calls.get("seconds"), case["samples"] // case["batch_size"]
    if not isinstance(seconds, list) or len(seconds) != expected or not expected:
        counted = len(seconds) if isinstance(seconds, list) else "no"
        return f"{counted} calls, but its case says {expected}"
    if not all(map(_took, (calls.get("first_seconds"), calls["series"].get("seconds"), *seconds))):
        return (
            "the first call, the series and every call in it need a positive, finite number of seconds, "
            f"{LEAST_SECONDS} to {MOST_SECONDS:g}"
        )
    outputs = launch.get("outputs")
    if not isinstance(outputs, list) or not outputs or not all(map(is_number, outputs)):
        return "outputs have to be finite numbers"
    return None


def _common_fault(launch: Mapping[str, Any], spans: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with an ok launch besides its times; `spans` are what the gauges were read around."""
    if not is_number(launch.get("setup_seconds"), 0, MOST_SECONDS):
        return "setup_seconds has to be a finite number, not negative"
    for name in ("memory", "phases", "resolved", "versions"):
        if not isinstance(launch.get(name), dict):
            return f"{name} has to be an object"
    for values in (*spans, launch["memory"], launch["phases"]):
        unusable = [name for name, value in values.items() if value is not None and not is_number(value)]
        if unusable:
            return f"{printable(unusable[0])[:40]} has to be a finite number"
    if any((span.get("validation_seconds") or 0) < 0 for span in spans):
        return "validation_seconds must not be negative"
    for name in ("parameters", "samples_per_epoch"):
        if launch.get(name) is not None and not is_whole(launch[name]):
            return f"{name} has to be a whole number"
    for name in ("weights_digest", "batches_digest"):
        if launch.get(name) is not None and not is_text(launch[name]):
            return f"{name} has to be a word"
    return _settings_fault(launch)


def _settings_fault(launch: Mapping[str, Any]) -> str | None:
    """What is wrong with what an ok launch says was in force."""
    resolved = launch["resolved"]
    if not all(map(is_text, (*launch["versions"], *launch["versions"].values()))):
        return "versions has to be an object of words"
    if not isinstance(resolved.get("flags", {}), dict):
        return "resolved.flags has to be an object"
    values = {**resolved, "flags": None}
    if not (_are_settings(values) and _are_settings(resolved.get("flags", {}))):
        return "resolved has to be an object of words, numbers and lists of them"
    if not isinstance(launch.get("knobs", {}), dict):
        return "knobs has to be an object"
    asked, lived = launch["case"]["device"], resolved.get("device")
    if lived not in (None, "", asked):  # it does not say, or has no variables that could live elsewhere
        where = lived if isinstance(lived, str) and len(lived) < 40 else shown(lived)
        return f"asked for on the {asked}, its variables lived on the {where}"
    return None


def _are_settings(values: Mapping[str, Any]) -> bool:
    """Whether names have words, numbers or nothing, or lists of them."""
    every = [one for value in values.values() for one in (value if isinstance(value, list) else [value])]
    return all(map(is_text, values)) and all(
        one is None or isinstance(one, bool) or is_text(one) or is_number(one) for one in every
    )


def _took(seconds: object) -> bool:
    """Whether a value is seconds that something can have taken."""
    return is_number(seconds, LEAST_SECONDS, MOST_SECONDS)
