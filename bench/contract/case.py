"""The cell that is measured, and the words of its columns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.contract.catalog import facts_of, facts_of_all
from bench.contract.values import MOST_LETTERS, MOST_WHOLE, WORD, is_text, shown

FLOAT64 = "float64"  # timed as Keras has it; of parity it is exact mode, which keeps float32 out by patches
NUMERICS = ("float32", "tf32", "bfloat16", "float16", FLOAT64)  # that are timed
MIXED = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # numerics that are a dtype policy of Keras's
TASKS = ("train", "predict", "generate")
CALLING = ("predict", "generate")  # whose launch is a series of calls, which do not train
# From the call a user types to code without Keras; of task predict `fit` is `model.predict`, `on_batch` is
# `model.predict_on_batch`, `call` is `model(x)`, `loop` the compiled call, `native` the exported one. Task generate
# makes the same calls once for each token; `own` is the model's own method `generate`.
TRAINING_TRACKS = ("shipped", "fit", "tuned", "loop", "native")
INFERENCE_TRACKS = ("fit", "on_batch", "call", "loop", "native")
GENERATION_TRACKS = ("fit", "on_batch", "call", "own", "loop")
TRACKS_OF = {"train": TRAINING_TRACKS, "predict": INFERENCE_TRACKS, "generate": GENERATION_TRACKS}
TRACKS = ("shipped", "fit", "on_batch", "call", "own", "tuned", "loop", "native")
DEVICES = ("cpu", "gpu")
SEARCHED = ("tuned", "loop", "native")  # tracks with knobs, whose best values are searched for
RESIDENT = "resident"  # every batch lies on the device before training begins: what is left when input costs nothing
OF_FILES = ("workload=", "git=")  # what variants' names begin with where each trains a file of its own
LONGEST_IN_PATH = 150  # letters; a file system takes 255
QUICK_EPOCHS = 3  # of the smoke test
MOST_DEVICES = 1_024  # of a case
FIRST_LOOK = 3  # repetitions of a run that stops as soon as it is sure, before which nobody looks


def _option(column: str) -> str:
    return f"--{column.replace('_', '-')}"


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
    variant: str = ""
    device_count: int = 1

    def options(self) -> list[str]:
        """The case as command-line options of a worker."""
        given = {_option(name): value for name, value in asdict(self).items()}
        return [f"{name}={value}" for name, value in given.items() if CASE_DEFAULTS.get(name) != value]

    @property
    def simulated(self) -> bool:
        """Whether its devices are parts of one CPU, which show that the result is right and nothing of speed."""
        return self.device_count > 1 and self.device == "cpu"

    @property
    def key(self) -> tuple[Any, ...]:
        """The values of the case columns, as tables are grouped by them."""
        return case_key(asdict(self))

    @property
    def title(self) -> str:
        """The case in a few words, for people."""
        return title(asdict(self))


def in_turns(case: Case) -> Case:
    """What the cases share that take turns: all but backend, track, input, variant and number of devices.

    Where files are compared, each of which is a workload of its own, it is not the workload either.
    """
    workload = "" if case.variant.startswith(OF_FILES) else case.workload
    return replace(case, workload=workload, backend="", track="", input="", variant="", device_count=1)


def case_key(row: Any) -> tuple[Any, ...]:
    """The values of the case columns in a mapping that has them, as tables are grouped by them."""
    return tuple(row[name] for name in CASE_COLUMNS)


def input_kinds() -> Mapping[str, str | None]:
    """What `fit` may be handed, each kind with the backend whose framework it needs; None where it needs none."""
    own = {kind: facts.name for facts in facts_of_all() for kind in facts.inputs}
    return {"arrays": None, "PyDataset": None, **own, RESIDENT: None}


def known_words() -> dict[str, Sequence[str]]:
    """The columns whose words are known, with those words."""
    kinds = tuple(input_kinds())
    return {"input": kinds, "device": DEVICES, "numerics": NUMERICS, "task": TASKS, "track": TRACKS}


def guest_of(kind: str, backend: str) -> str:
    """The backend whose framework an input brings into another backend's process; empty where it brings none."""
    owner = input_kinds()[kind] or backend
    return "" if owner == backend else owner


def input_unavailable(kind: str, backend: str, others: Collection[str] = ()) -> str:
    """Why a backend is not handed this kind of input; empty where it can be.

    `others` are the backends whose frameworks its environment has besides its own.
    """
    needed = guest_of(kind, backend)
    if not needed or needed in others:
        return ""
    way_out = "".join(f"; --with {name} brings it" for name in facts_of(needed).distributions[:1])
    return f"{kind} needs {needed}, which the environment of {backend} does not have{way_out}"


def stem(workload: Any) -> str:
    """What a workload given by name or by file is called."""
    return Path(str(workload)).stem


def in_path(title: str) -> str:
    """A title as a part of a file's name."""
    text = re.sub(r"[^\w.=+-]+", "-", title)
    digest = hashlib.sha256(title.encode()).hexdigest()[:8]
    return text if len(text) <= LONGEST_IN_PATH else f"{text[: LONGEST_IN_PATH - 9]}-{digest}"


def module_of(workload: str) -> str:
    """The module in `models/` of a workload given by name: a name with a variant is `module-variant`."""
    return workload.partition("-")[0]


def variant_of(workload: str) -> str:
    """The variant in a workload's name; empty where it has none, or is given by file."""
    return "" if workload.endswith(".py") else workload.partition("-")[2]


USUAL = {"numerics": "float32", "input": "arrays"}  # the defaults, which a title leaves out


def title(case: Any) -> str:
    """A case, or a row with its columns, in a few words, for people."""
    task = [] if case["task"] == "train" else [case["task"]]
    words = [stem(case["workload"]), case["backend"], case["device"], *task, case["track"]]
    words += [f"batch {case['batch_size']}", *(case[name] for name, usual in USUAL.items() if case[name] != usual)]
    words += [devices_in_words(case["device_count"])] if case.get("device_count", 1) > 1 else []
    return " ".join([*words, *([case["variant"]] if case.get("variant") else [])])


def devices_in_words(count: int) -> str:
    """`1 device`, `2 devices`."""
    return "1 device" if count == 1 else f"{count} devices"


CASE_COLUMNS = tuple(field.name for field in fields(Case))
CASE_TYPES: dict[str, type] = {
    name: int if name in ("samples", "epochs", "batch_size", "device_count") else str for name in CASE_COLUMNS
}
LATER: Mapping[str, Any] = {"variant": "", "device_count": 1}  # columns that earlier versions did not have
CASE_DEFAULTS = {_option(name): value for name, value in LATER.items()}  # of the options that may be left out
CASE_OPTIONS = {_option(name): kind for name, kind in CASE_TYPES.items()}  # of every worker that is given a case


def fault(case: object) -> str | None:
    """What is wrong with a case from a file, of a record or of a plan, in words; None when nothing is."""
    if not isinstance(case, dict) or {*case, *LATER} != set(CASE_COLUMNS):
        return f"its case needs {', '.join(CASE_COLUMNS)}, and nothing else"
    if any(type(case.get(name, LATER.get(name))) is not kind for name, kind in CASE_TYPES.items()):
        return f"its case needs {', '.join(CASE_COLUMNS)}, of the right types"
    if not all(1 <= case[name] <= MOST_WHOLE for name in ("samples", "epochs", "batch_size")):
        return f"samples, epochs and batch_size have to be positive, and at most {MOST_WHOLE}"
    if not 1 <= case.get("device_count", 1) <= MOST_DEVICES:
        return f"device_count has to be positive, and at most {MOST_DEVICES}"
    for name, known in known_words().items():
        if case[name] not in known:
            return f"unknown {name} {shown(case[name])}, known: {', '.join(known)}"
    if case["track"] not in TRACKS_OF[case["task"]]:
        return f"task {case['task']} has no track {case['track']}"
    if not WORD.fullmatch(case["backend"]) or len(case["backend"]) > MOST_LETTERS:
        return f"backend {shown(case['backend'])} is not one plain word"
    if not is_text(case.get("variant", "")) or len(case.get("variant", "")) > MOST_LETTERS:
        return f"variant {shown(case['variant'])} is no name"
    for name in ("workload", "dataset"):
        if not case[name] or not is_text(case[name]) or len(case[name]) > MOST_LETTERS:
            return f"{name} {shown(case[name])} is no name and no path"
    return None
