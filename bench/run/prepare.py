"""Before the first launch: which environments work, what the workloads are, the weights everything starts from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.contract.case import Case, stem
from bench.contract.errors import RunError, UsageError
from bench.contract.run_json import Workload
from bench.contract.typed import MalformedError, Typed, parse
from bench.launch.process import launch
from bench.machine import environments, nvidia
from bench.machine.nvidia import Gpu
from bench.own_models.adopt import remove, write
from bench.own_models.data_source import FUNCTION, data_source
from bench.places.files import Files
from bench.places.place import Site
from bench.plan.options import RunOptions
from bench.plan.planned import PlannedLaunch
from bench.plan.selection import Selection
from bench.plan.variants import NOTHING, Variant
from bench.run.devices import most_memory
from bench.run.interpreters import check_given, interpreters, variants_missing
from bench.run.own_files import own_files

NODE = ("-m", "pytest", "-c", "bench/launch/node/pytest.ini", "bench/launch/node/bench_case.py")
REFUSED = "refused.log"  # in the folder of the runs, until the next refusal
TRACEBACK = "Traceback (most recent call last)"
LIMIT_SECONDS = 900.0  # the weights of what is made for a GPU take seconds a seed


class Answer(Typed, frozen=True, kw_only=True):
    """What the prepare program writes: the workloads that it described, or why one of them cannot be used.

    `own` are the files of the user's that they need, and `elsewhere` others that were read.
    """

    workloads: tuple[Workload, ...] = ()
    own: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    workload: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        """Refuse an answer that says neither."""
        if not self.workloads and not self.error:
            raise MalformedError("no workloads")


@dataclass(frozen=True)
class Prepared:
    """What a run starts from: the backends' interpreters, the workloads' descriptions, and who described them.

    `refusals` say of backends that were asked first why they do not take the workloads. `knobs` are those that a search
    found best for a case, where there was one; `held_out` is the share of the training samples for validation where a
    workload holds out none itself. `variants` are those that are compared; `pythons` are the first one's that is
    there, and `pythons_of` those of each by its name; `packages` are in them besides the backend's own. `files` are the
    user's own that launches read.
    """

    folder: Path
    pythons: Mapping[str, Path | None]
    backend: str
    workloads: tuple[Workload, ...]
    reference: str = ""
    refusals: Mapping[str, Answer] = field(default_factory=dict)
    knobs: Mapping[Case, Mapping[str, Any]] = field(default_factory=dict)
    held_out: float = 0.0
    variants: tuple[Variant, ...] = (NOTHING,)
    pythons_of: Mapping[str, Mapping[str, Path | None]] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    files: Files = field(default_factory=Files)

    def python(self, backend: str, variant: str) -> Path | None:
        """The interpreter of a backend in a variant; None where there is no such environment."""
        return self.pythons_of.get(variant, self.pythons)[backend]

    def missing_reason(self, backend: str) -> str:
        """Why a backend has no interpreter, and how to get one."""
        return environments.missing_reason(backend, self.packages)

    def settings(self, variant: str) -> list[str]:
        """What comes before a command so that it runs with a variant's environment variables."""
        given = next((one.settings for one in self.variants if one.name == variant), {})  # none of all files together
        return ["env", *(f"{name}={value}" for name, value in given.items())] if given else []

    def weights(self, planned: PlannedLaunch) -> Path:
        """The initial weights of a launch, as the prepare worker wrote them."""
        number = [workload.workload for workload in self.workloads].index(planned.case.workload)
        return self.folder / "weights" / f"{number}-{Path(planned.case.workload).stem}-seed{planned.seed}.npz"

    def command(self, planned: PlannedLaunch, site: Site) -> list[str] | None:
        """The command that runs one launch: a pytest node with the case as its options, and who measures it.

        None where the place has no interpreter for it.
        """
        python = site.python(planned.case.backend, planned.case.variant)
        if python is None:
            return None
        command = [
            *self.settings(planned.case.variant),
            *(site.cards(planned.case.device_count) if planned.case.device == "gpu" else ()),
            site.suite_python,
            *NODE,
            f"--python={python}",
            *planned.case.options(),
        ]
        knobs = self.knobs.get(planned.case)
        command += [f"--knobs={json.dumps(knobs)}"] if knobs else []
        command += [f"--validation-split={self.held_out}"] if self.held_out else []
        return [*command, f"--seed={planned.seed}", f"--weights={site.weights}"]


def prepare(options: Selection, folder: Path, draw: bool = True, memory_mib: float | None = None) -> Prepared:
    """Let the first backend that can describe the workloads and draw the weights: of those that train the reference.

    `folder` is the run's; without `draw` no weights are drawn. A workload that needs more than `memory_mib`, by default
    what the largest of the devices has, is described without being built. The files of the user's own models are
    written first, and taken back where nothing comes of it. Raises UsageError where a workload is at fault on every
    backend that works, RunError where no backend works.
    """
    room = most_memory(options) if memory_mib is None else memory_mib
    written = _write(options)
    kept = False
    try:
        prepared = _prepare(options, folder, draw, room)
        kept = draw
    finally:
        if not kept:
            remove(written)
    return prepared


def remarks(options: Selection, prepared: Prepared, gpus: Sequence[Gpu]) -> list[str]:
    """What has to be said of the workloads and of measuring on these GPUs, a line each."""
    said = [one.said for one in options.adopted] + _without_gauges(prepared, gpus)
    said += [
        f"{name} does not take {stem(answer.workload)} and skips it: {answer.error}"
        + ("; --reference BACKEND says whom the others are compared with" if name == options.reference else "")
        for name, answer in prepared.refusals.items()
    ]
    return said + [f"{stem(workload.workload)}: {note}" for workload in prepared.workloads for note in workload.notes]


def _without_gauges(prepared: Prepared, gpus: Sequence[Gpu]) -> list[str]:
    """A line for each environment that measures on a GPU without the package that reads its gauges."""
    if not gpus or not nvidia.find().gpus:  # where the GPUs are a cluster's, environments here may be for CPUs alone
        return []
    return [
        f"{backend}: its environment lacks nvidia-ml-py, so that no energy, clock and memory of the card are recorded"
        for backend, python in prepared.pythons.items()
        if python and not environments.probe(python, backend).get("nvml")
    ]


def _write(options: Selection) -> list[Path]:
    try:
        return write(options.adopted)
    except OSError as error:
        raise UsageError(f"--output {options.output}: cannot be written ({error.strerror}); name another") from None


def _read_data(options: Selection, pythons: Mapping[str, Path | None], folder: Path) -> None:
    """Read the data that are no `.npz` file into one, each once; what a function gives is asked for anew."""
    for reads, data in {one.reads: one.data for one in options.adopted if one.reads}.items():
        if Path(data).exists() and ".py:" not in reads:
            continue
        source = data_source(reads)
        try:
            if source.kind == FUNCTION:
                _call(source.text, Path(data), pythons, folder, options.packages)
            else:
                from bench.own_data.convert import convert  # late: it needs pandas and more

                convert(source, Path(data))
        except OSError as error:
            raise UsageError(f"{data}: cannot be written ({error.strerror}); name another --output") from None


def _call(function: str, data: Path, pythons: Mapping[str, Path | None], folder: Path, packages: Sequence[str]) -> None:
    """Let the first backend that can call a user's function, whose packages not every environment has."""
    refusals = {}
    for backend, python in pythons.items():
        if python is None:
            continue
        answer = folder / "read.json"
        command = [str(python), "-m", "bench.worker.programs.arrays", "--backend", backend, "--function", function]
        command += ["--output", str(data), "--answer", str(answer.resolve())]
        log = folder / "logs" / f"data-{backend}.log"
        outcome = launch(command, log=log, limit_seconds=LIMIT_SECONDS)
        said = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {"error": outcome.reason}
        answer.unlink(missing_ok=True)
        if "error" not in said and outcome.status == "ok":
            return
        refusals[backend] = said.get("error", outcome.reason)
    if not refusals:
        missing = (environments.missing_reason(backend, packages) for backend in pythons)
        raise RunError("no backend works here: " + "; ".join(missing))
    raise UsageError("; ".join(dict.fromkeys(refusals.values())))


def _prepare(options: Selection, folder: Path, draw: bool, room: float) -> Prepared:
    check_given(options)
    varied = options.variants if isinstance(options, RunOptions) else (NOTHING,)
    pythons_of = {variant.name: interpreters(options, variant) for variant in varied}
    pythons = {  # of the first variant, or of the next one that has an environment where that has none
        backend: next((found[backend] for found in pythons_of.values() if found[backend] is not None), None)
        for backend in options.backends
    }
    missing = variants_missing(options, varied, pythons_of)
    ordered = sorted(pythons, key=lambda name: (name not in options.training, name != options.reference))
    _read_data(options, {backend: pythons[backend] for backend in ordered}, folder)
    weights = folder / "weights" if draw else None
    failures, refusals = [], dict[str, Answer]()
    for backend in ordered:
        python = pythons[backend]
        if python is None:
            reason = missing.get((backend, varied[0].name))
            failures.append(f"{backend}: {reason or environments.missing_reason(backend, options.packages)}")
            continue
        answer = folder / "prepared.json"
        log = folder / "logs" / f"prepare-{backend}.log"
        command = _command(python, backend, options, room, weights, answer)
        outcome = launch(command, log=log, limit_seconds=LIMIT_SECONDS)
        if outcome.status != "ok":
            failures.append(f"{backend}: {outcome.reason}")
            continue
        try:
            found = parse(Answer, json.loads(answer.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            failures.append(f"{backend}: ended well but left no usable description ({error})")
            continue
        answer.unlink()
        if not found.error:
            return Prepared(
                folder,
                pythons,
                backend,
                found.workloads,
                options.reference,
                _by_their_names(options, refusals),
                variants=varied,
                pythons_of=pythons_of,
                packages=options.packages,
                files=own_files(found.workloads, varied, found.own, found.elsewhere),
            )
        refusals[backend] = found
    if refusals:
        raise UsageError(_refusal(options, refusals, folder))
    raise RunError("no backend works here: " + "; ".join(failures))


def _by_their_names(options: Selection, refusals: Mapping[str, Answer]) -> dict[str, Answer]:
    """Refusals in which the user's models are named, and not the files written for them."""
    told = {}
    for name, answer in refusals.items():
        error = answer.error
        for one in options.adopted:
            error = error.replace(one.path, one.source)
        told[name] = replace(answer, error=error)
    return told


def _refusal(options: Selection, refusals: Mapping[str, Answer], folder: Path) -> str:
    """In one line why no backend takes the workloads; what Python said at length is kept beside the runs."""
    told = {name: answer.error for name, answer in _by_their_names(options, refusals).items()}
    said = list(dict.fromkeys(told.values()))
    refusal = said[0] if len(said) == 1 else "; ".join(f"on {name}: {text}" for name, text in told.items())
    logs = {name: (folder / "logs" / f"prepare-{name}.log").read_text("utf-8", "replace") for name in refusals}
    if not any(TRACEBACK in text for text in logs.values()):
        return refusal
    kept = options.output / REFUSED
    with contextlib.suppress(OSError):  # the line is what matters
        kept.write_text("".join(f"{name}\n\n{text}\n" for name, text in logs.items()), encoding="utf-8")
    return f"{refusal}; the whole of it is in {kept}"


def _command(
    python: Path, backend: str, options: Selection, room: float, weights: Path | None, answer: Path
) -> list[str]:
    seeds = ",".join(map(str, options.seeds))
    command = [str(python), "-m", "bench.worker.programs.prepare", "--backend", backend, "--seeds", seeds]
    command += ["--memory-mib", str(room)]
    if weights is not None:
        command += ["--weights", str(weights.resolve())]
    return [*command, "--output", str(answer.resolve()), "--workloads", *options.workloads]
