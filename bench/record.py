"""The launch record, a pytest-benchmark JSON file with one `launch` object: read, validated, written atomically.

Every world shares these words and nothing else; the module needs the standard library only. The schema is described
in results/README.md.
"""

from __future__ import annotations

import contextlib
import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

SCHEMA = 2
READABLE = (1, 2)  # 1 knew neither attempts nor most of the noise gauges
NUMERICS = ("float32", "tf32", "bfloat16", "float16")  # that are timed; float64 is exact mode, for parity alone
MIXED = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # numerics that are a dtype policy of Keras's
TASKS = ("train", "predict")
TRACKS = ("shipped", "fit", "tuned", "loop", "native")  # from what one types to what one writes without Keras
DEVICES = ("cpu", "gpu")
INFERENCE_TRACKS = ("fit", "loop", "native")  # of task predict: `model.predict`, the compiled call, the exported one
SEARCHED = ("tuned", "loop", "native")  # tracks with knobs, whose best values are searched for
DIFFERENCES = ("machine", "versions", "samples", "numerics", "weights")  # between runs, each to be allowed by name
RESIDENT = "resident"  # every batch lies on the device before training begins: what is left when input costs nothing
INPUTS = {  # what `fit` is handed, and the backend whose environment alone has it
    "arrays": None,
    "PyDataset": None,
    "tf.data": "tensorflow",
    "DataLoader": "torch",
    RESIDENT: None,
}
QUICK_EPOCHS = 3  # of the smoke test
LADDER_BATCH = 32  # samples of a step on parity's ladder
ROUNDED_STEPS = 20  # of a ladder that is not float64: beyond, amplified rounding says nothing about the arithmetic
LADDER_OPTIMIZERS = ("own", "SGD")  # a ladder's: the workload's own, or one that every library writes alike
CLIMBS = {  # a track with its optimizer: `own` is the workload's, SGD what every library writes alike
    "fit": ("fit-own",),
    "loop": ("fit-own", "loop-own"),
    "native": ("fit-SGD", "native-SGD"),
}
LARGEST_BYTES = 2**26  # of a record, which has some kilobytes, or of run.json
STATUSES = ("ok", "skipped", "failed", "timeout", "out of memory")
# A file may come from anybody. Within these bounds tables, ratios and spreads of what it holds are finite too.
MOST_WHOLE = 2**53  # up to here a float, which tables make of a whole number, tells it from the next
MOST_NUMBER = 1e100
LEAST_SECONDS, MOST_SECONDS = 1e-9, 1e9  # of what a clock took
MOST_LETTERS = 4_096  # of a name, which may be a path
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # what can be a part of a file's name and leads nowhere else
# What a terminal obeys, what ends a line, and halves of characters, which no file can hold.
UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _option(column: str) -> str:
    return f"--{column.replace('_', '-')}"


class RecordError(Exception):
    """A file is not a launch record that this version reads; the message names the file and the fault."""


@dataclass(frozen=True)
class Case:
    """One cell of the plan; the fields are the case columns of every table, in their order."""

    workload: str
    dataset: str
    samples: int
    epochs: int
    batch_size: int
    input: str
    backend: str
    device: str
    numerics: str
    task: str
    track: str

    def options(self) -> list[str]:
        """The case as command-line options of a worker."""
        return [f"{_option(name)}={value}" for name, value in asdict(self).items()]

    @property
    def key(self) -> tuple[Any, ...]:
        """The values of the case columns, as tables are grouped by them."""
        return case_key(asdict(self))

    @property
    def title(self) -> str:
        """What tells the case apart from its neighbours, for people."""
        return title(asdict(self))


def case_key(row: Any) -> tuple[Any, ...]:
    """The values of the case columns in a mapping that has them, as tables are grouped by them."""
    return tuple(row[name] for name in CASE_COLUMNS)


def input_unavailable(kind: str, backend: str) -> str:
    """Why a backend is not handed this kind of input; empty where it can be."""
    needed = INPUTS[kind] or backend
    return "" if needed == backend else f"{kind} needs {needed}, which the environment of {backend} does not have"


def turned(knobs: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """The knobs that are not at their default."""
    return [name for name, value in knobs.items() if value != default[name]]


def knob_words(knobs: Mapping[str, Any]) -> str:
    """Knobs for people."""
    return ", ".join(f"{name}={value}" for name, value in knobs.items())


def stem(workload: Any) -> str:
    """What a workload given by name or by file is called."""
    return Path(str(workload)).stem


def module_of(workload: str) -> str:
    """The module in `models/` of a workload given by name: a name with a variant is `module-variant`."""
    return workload.partition("-")[0]


def variant_of(workload: str) -> str:
    """The variant in a workload's name; empty where it has none, or is given by file."""
    return "" if workload.endswith(".py") else workload.partition("-")[2]


def is_climbed(workload: Mapping[str, Any]) -> bool:
    """Whether a described workload is climbed on parity's ladder, which for one made for a GPU would take too much."""
    return not workload.get("memory_mib")


USUAL = {"numerics": "float32", "input": "arrays"}  # what goes without saying


def title(case: Any) -> str:
    """What tells a case, or a row with its columns, apart from its neighbours, for people."""
    task = [] if case["task"] == "train" else [case["task"]]
    words = [stem(case["workload"]), case["backend"], case["device"], *task, case["track"]]
    words += [f"batch {case['batch_size']}", *(case[name] for name, usual in USUAL.items() if case[name] != usual)]
    return " ".join(words)


CASE_COLUMNS = tuple(field.name for field in fields(Case))
CASE_TYPES: dict[str, type] = {
    name: int if name in ("samples", "epochs", "batch_size") else str for name in CASE_COLUMNS
}
KNOWN_WORDS: dict[str, Sequence[str]] = {
    "input": tuple(INPUTS),
    "device": DEVICES,
    "numerics": NUMERICS,
    "task": TASKS,
    "track": TRACKS,
}
CASE_OPTIONS = {_option(name): kind for name, kind in CASE_TYPES.items()}  # of every worker that is given a case
TUNING_COLUMNS = (
    *CASE_COLUMNS,
    "knobs",
    "status",
    "reason",
    "step_seconds",
    "chosen",
    "steps",
    "searched_in",
    "circumstances",
)


def empty(case: Case, *, repetition: int, seed: int, status: str, reason: str, attempt: int = 1) -> dict[str, Any]:
    """The record of a launch that measured nothing: still a valid pytest-benchmark file, with the reason in words."""
    launch = {
        "schema": SCHEMA,
        "case": asdict(case),
        "repetition": repetition,
        "attempt": attempt,
        "seed": seed,
        "status": status,
        "reason": reason,
        "epochs": [],
    }
    return {"machine_info": {}, "commit_info": {}, "benchmarks": [], "datetime": "", "version": "", "launch": launch}


def load(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; RecordError where it holds none, or is larger than any of ours."""
    name = printable(path.name)
    try:
        if not path.is_file():  # a pipe or a device need never end
            raise OSError("no such file")
        if path.stat().st_size > LARGEST_BYTES:
            raise OSError(f"larger than {LARGEST_BYTES // 2**20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{name}: not a readable JSON file ({_first_line(error)})") from None
    if not isinstance(content, dict):
        raise RecordError(f"{name}: expected a JSON object, found {type(content).__name__}")
    return content


def read(path: Path) -> dict[str, Any]:
    """A launch record's content; RecordError when it is unreadable, truncated, of another schema or inconsistent."""
    content = load(path)
    check(content, printable(path.name))
    return content


def check(content: Mapping[str, Any], name: str) -> None:
    """Raise RecordError when `content`, called `name` in the message, is not a launch record of this schema."""
    fault = _fault(content.get("launch"))
    if fault:
        raise RecordError(f"{name}: {fault}")


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that the file is there whole or as it was; OSError where the disk is full, say."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def case_fault(case: object) -> str | None:
    """What is wrong with a case, of a record or of a plan, in words; None when nothing is."""
    if not isinstance(case, dict) or set(case) != set(CASE_COLUMNS):
        return f"its case needs {', '.join(CASE_COLUMNS)}, and nothing else"
    if any(type(case[name]) is not kind for name, kind in CASE_TYPES.items()):
        return f"its case needs {', '.join(CASE_COLUMNS)}, of the right types"
    if not all(1 <= case[name] <= MOST_WHOLE for name in ("samples", "epochs", "batch_size")):
        return f"samples, epochs and batch_size have to be positive, and at most {MOST_WHOLE}"
    for name, known in KNOWN_WORDS.items():
        if case[name] not in known:
            return f"unknown {name} {shown(case[name])}, known: {', '.join(known)}"
    if case["task"] == "predict" and case["track"] not in INFERENCE_TRACKS:
        return f"task predict has no track {case['track']}"
    if not WORD.fullmatch(case["backend"]) or len(case["backend"]) > MOST_LETTERS:
        return f"backend {shown(case['backend'])} is not one plain word"
    for name in ("workload", "dataset"):
        if not case[name] or not is_text(case[name]) or len(case[name]) > MOST_LETTERS:
            return f"{name} {shown(case[name])} is no name and no path"
    return None


def is_number(value: object, least: float = -MOST_NUMBER, most: float = MOST_NUMBER) -> bool:
    """Whether a value is a finite number between two others; NaN is not."""
    if type(value) is int:
        return max(least, -MOST_WHOLE) <= value <= min(most, MOST_WHOLE)
    return isinstance(value, float) and least <= value <= most


def is_whole(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number from `least` on."""
    return type(value) is int and least <= value <= MOST_WHOLE


def is_text(value: object) -> bool:
    """Whether a value is text that can stand in a line of any file."""
    return isinstance(value, str) and not UNPRINTABLE.search(value)


def printable(text: str) -> str:
    """Text as it can stand in a line of any file: see `UNPRINTABLE`."""
    return UNPRINTABLE.sub(lambda match: "" if len(match.group()) > 1 else " ", text)


def shown(value: object) -> str:
    """A value that may be anything, for a message: its beginning."""
    return reprlib.repr(value)


def _fault(launch: object) -> str | None:
    """What is wrong with a record's `launch` object, in words; None when nothing is."""
    if not isinstance(launch, dict):
        return "no launch object"
    if type(launch.get("schema")) is not int or launch["schema"] not in READABLE:
        return f"schema {shown(launch.get('schema'))}, this version reads {', '.join(map(str, READABLE))}"
    return case_fault(launch.get("case")) or _head_fault(launch) or _result_fault(launch, launch["case"])


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


def _first_line(error: BaseException) -> str:
    return printable(str(error).splitlines()[0]) if str(error) else type(error).__name__
