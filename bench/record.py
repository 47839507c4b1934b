"""The launch record, a pytest-benchmark JSON file with one `launch` object: read, validated, written atomically.

Every world shares these words and nothing else; the module needs the standard library only. The schema is described
in results/README.md.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.values import printable

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
    from bench.record_faults import fault  # which needs this module's words

    found = fault(content.get("launch"))
    if found:
        raise RecordError(f"{name}: {found}")


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as `write_whole` writes."""
    write_whole(path, json.dumps(content, indent=1, default=str) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write text so that the file is there whole or as it was; OSError where the disk is full, say."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _first_line(error: BaseException) -> str:
    return printable(str(error).splitlines()[0]) if str(error) else type(error).__name__
