"""The command line's words: parsed and checked before anything is built or written.

Standard library only: the noxfile checks the options of `nox -s bench` with it, in nox's own interpreter.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from bench import adopt
from bench.environments import ROOT
from bench.record import CLIMBS, DIFFERENCES, INFERENCE_TRACKS, INPUTS, NUMERICS, QUICK_EPOCHS, TASKS, TRACKS
from bench.saved_model import OwnModelError

BACKENDS = ROOT / "bench" / "worker" / "backends"
DEVICES = ("cpu", "gpu")
LADDER_NUMERICS = ("float64", *NUMERICS)  # float64 is exact mode
REFERENCE = "jax"
SEEDS = 2**32  # NumPy takes seeds below
PILOT = 6  # repetitions at least, before their spread says how many an ordered precision takes
MOST_LAUNCHES = 1_000  # of one case, however much an ordered precision would take


class UsageError(Exception):
    """The user asked for something that cannot be: one line with what was passed, what is known, how to mend it."""


@dataclass(frozen=True)
class Profile:
    """How much a run measures where the options do not say; None means all workloads, and the workload's own epochs."""

    workloads: tuple[str, ...] | None
    launches: int
    epochs: int | None
    help: str


PROFILES = {
    "quick": Profile(("mlp", "cnn"), 1, QUICK_EPOCHS, "a smoke test: few samples, one launch"),
    "default": Profile(("mlp", "cnn"), 5, None, "mlp and cnn, five launches, large workloads cut on a CPU"),
    "full": Profile(None, 10, None, "every workload on all its samples, ten launches"),
}


@dataclass(frozen=True)
class Selection:
    """What to work on, with whose interpreters, and where to. Of `devices` None means that the machine decides."""

    workloads: tuple[str, ...]
    backends: tuple[str, ...]
    devices: tuple[str, ...] | None
    reference: str
    python: Mapping[str, Path]
    seed: int
    launches: int
    output: Path
    adopted: tuple[adopt.Adopted, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, from the first on."""
        return tuple(range(self.seed, self.seed + self.launches))

    @property
    def training(self) -> tuple[str, ...]:
        """Those of the backends that can train."""
        return tuple(backend for backend in self.backends if backend in training_backends())


@dataclass(frozen=True)
class RunOptions(Selection):
    """What `run` was asked for. None means that profile or workload decide.

    With `within` (a fraction) or `budget_seconds`, `launches` is the pilot, and its spread decides how many follow.
    """

    profile: str
    epochs: int | None
    samples: int | None
    batch_sizes: tuple[int, ...] | None
    tasks: tuple[str, ...]
    tracks: tuple[str, ...]
    numerics: tuple[str, ...]
    inputs: tuple[str, ...]
    to_target: bool
    within: float | None
    budget_seconds: float | None
    parity: bool
    dry_run: bool
    resume: Path | None = None

    @property
    def ordered(self) -> bool:
        """Whether the number of launches follows from a pilot."""
        return self.within is not None or self.budget_seconds is not None


@dataclass(frozen=True)
class CalibrateOptions(RunOptions):
    """What `calibrate` was asked for: a run of many launches, while so many processes keep a core busy."""

    load: int = 0


@dataclass(frozen=True)
class ParityOptions(Selection):
    """What `parity` was asked for: `launches` counts the seeds."""

    steps: int
    numerics: tuple[str, ...]
    tracks: tuple[str, ...]


def workload_names() -> tuple[str, ...]:
    """The workloads of the registry: one module in `models/` is one workload, or one for each of its VARIANTS."""
    return tuple(name for module in workload_modules() for name in names_of(module))


@functools.cache
def workload_modules() -> tuple[str, ...]:
    """The modules in `models/` that define workloads."""
    return tuple(sorted(path.stem for path in (ROOT / "models").glob("*.py") if not path.stem.startswith("_")))


@functools.cache
def names_of(module: str) -> tuple[str, ...]:
    """The workloads that a module in `models/` defines, read without importing it, for Keras may not be here."""
    tree = ast.parse((ROOT / "models" / f"{module}.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "VARIANTS" for target in statement.targets
        ):
            return tuple(f"{module}-{variant}" for variant in ast.literal_eval(statement.value))
    return (module,)


def backend_names() -> tuple[str, ...]:
    """The backends: one package in `bench/worker/backends/` is one backend."""
    return tuple(sorted(path.parent.name for path in BACKENDS.glob("*/__init__.py")))


def training_backends() -> tuple[str, ...]:
    """The backends that can train, which so have a training loop; the others take part in task predict alone."""
    return tuple(name for name in backend_names() if (BACKENDS / name / "loop.py").is_file())


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options; UsageError says in one line what is wrong with them."""
    return _parser().parse_args(arguments)


def parse_run(arguments: Sequence[str]) -> RunOptions:
    """The options of `run`, checked against each other."""
    return run_options(parse(["run", *arguments]))


def run_options(given: argparse.Namespace) -> RunOptions:
    """What the parsed words of `run` mean, with the profile's values where nothing was said."""
    if given.resume is not None:
        return _resumed(given, RunOptions)
    profile = PROFILES[given.profile]
    launches = given.launches or profile.launches
    if given.within is not None or given.budget is not None:
        if (given.launches or PILOT) < PILOT:
            raise UsageError(
                f"--launches {given.launches}: with --within or --budget it is the pilot, at least {PILOT}"
            )
        launches = max(launches, PILOT)
    ordered = given.within is not None or given.budget is not None
    tasks = tuple(sorted(given.tasks or ("train",), key=TASKS.index))
    tracks = tuple(sorted(given.tracks or ("fit",), key=TRACKS.index))
    if "predict" in tasks and not set(tracks) & set(INFERENCE_TRACKS):
        raise UsageError(
            f"--tracks {','.join(tracks)}: task predict has {', '.join(INFERENCE_TRACKS)}; name one of them"
        )
    most = MOST_LAUNCHES if ordered else launches
    return RunOptions(
        **_selection(given, profile.workloads or workload_names(), launches, most, tasks),
        profile=given.profile,
        epochs=given.epochs or profile.epochs,
        samples=given.samples,
        batch_sizes=given.batch_size,
        tasks=tasks,
        tracks=tracks,
        numerics=tuple(sorted(given.numerics or ("float32",), key=NUMERICS.index)),
        inputs=tuple(sorted(given.inputs or ("arrays",), key=list(INPUTS).index)),
        to_target=given.to_target,
        within=None if given.within is None else given.within / 100,
        budget_seconds=given.budget,
        parity=not given.no_parity and "train" in tasks,
        dry_run=given.dry_run,
    )


def parse_calibrate(arguments: Sequence[str]) -> CalibrateOptions:
    """The options of `calibrate`, checked against each other."""
    return calibrate_options(parse(["calibrate", *arguments]))


def calibrate_options(given: argparse.Namespace) -> CalibrateOptions:
    """What the parsed words of `calibrate` mean."""
    if given.resume is not None:
        return _resumed(given, CalibrateOptions, finished=True)
    return CalibrateOptions(
        **_selection(given, ("mlp",), given.launches),
        profile="default",
        epochs=given.epochs,
        samples=given.samples,
        batch_sizes=None,
        tasks=("train",),
        tracks=("fit",),
        numerics=("float32",),
        inputs=("arrays",),
        to_target=False,
        within=None,
        budget_seconds=None,
        parity=False,
        dry_run=False,
        load=given.load,
    )


Resumed = TypeVar("Resumed", bound=RunOptions)


def _resumed(given: argparse.Namespace, kind: type[Resumed], finished: bool = False) -> Resumed:
    """The options that an interrupted run was started with; UsageError where others are given besides."""
    from bench.runs import resumable  # which needs this module's words

    nothing = vars(parse([given.command]))
    others = [
        name for name, value in vars(given).items() if value != nothing[name] and name not in ("resume", "output")
    ]
    if others:
        option = f"--{others[0].replace('_', '-')}"
        raise UsageError(f"{option}: a run goes on with the options it was started with; give --resume alone")
    folder, stored = resumable(given.resume, given.output, finished)
    if ("load" in stored) is not (kind is CalibrateOptions):
        raise UsageError(f"--resume {given.resume}: another command began it; go on with that one")
    try:
        return kind(
            **{
                **{field.name: stored[field.name] for field in fields(kind) if field.name != "resume"},
                **{
                    name: tuple(stored[name])
                    for name in ("workloads", "backends", "tasks", "tracks", "numerics", "inputs")
                },
                **{name: stored[name] and tuple(stored[name]) for name in ("devices", "batch_sizes")},
                "python": {backend: Path(path) for backend, path in stored["python"].items()},
                "output": folder.parent,
                "adopted": tuple(adopt.Adopted(**one) for one in stored["adopted"]),
                "resume": folder,
            }
        )
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"--resume {given.resume}: an earlier version began it; start anew") from None


def parse_parity(arguments: Sequence[str]) -> ParityOptions:
    """The options of `parity`, checked against each other."""
    return parity_options(parse(["parity", *arguments]))


def parity_options(given: argparse.Namespace) -> ParityOptions:
    """What the parsed words of `parity` mean. Exact mode is always climbed: everything else is judged against it."""
    numerics = tuple(dict.fromkeys(("float64", *(given.numerics or ("float32",)))))
    options = ParityOptions(
        **_selection(given, workload_names(), given.seeds),
        steps=given.steps,
        numerics=numerics,
        tracks=given.tracks or tuple(CLIMBS),
    )
    if len(options.backends) < 2:
        raise UsageError(f"--backends {options.backends[0]}: parity compares backends; name at least two")
    return options


def _selection(
    given: argparse.Namespace,
    default_workloads: tuple[str, ...],
    launches: int,
    most: int | None = None,
    tasks: Sequence[str] = ("train",),
) -> dict[str, Any]:
    """The fields of a Selection, checked against each other; a run may come to `most` launches."""
    workloads = given.workloads or default_workloads
    backends, reference = _backends(given, tasks)
    stems = [adopt.stem(name) for name in workloads]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UsageError(f"--workloads: two are called {stem}, and a report could not tell them apart; rename one")
    if given.seed + (most or launches) > SEEDS:
        raise UsageError(f"--seed {given.seed}: with {most or launches} launches the seeds would pass {SEEDS - 1}")
    sizes, epochs = (getattr(given, name, None) for name in ("batch_size", "epochs"))
    asked = adopt.Asked(given.dataset, given.loss, given.unsafe, sizes, epochs)
    try:
        workloads, adopted = adopt.adopt(workloads, asked, given.output)
    except OwnModelError as error:
        raise UsageError(str(error)) from None
    return {
        "workloads": workloads,
        "adopted": adopted,
        "backends": backends,
        "devices": given.devices,
        "reference": reference,
        "python": dict(given.python),
        "seed": given.seed,
        "launches": launches,
        "output": given.output,
    }


def _backends(given: argparse.Namespace, tasks: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The backends and the one that is the reference; one that cannot train only where something else is asked for."""
    able = training_backends()
    backends = given.backends or (backend_names() if "predict" in tasks else able)
    idle = [backend for backend in backends if backend not in able]
    if idle and "train" in tasks and (len(tasks) == 1 or len(idle) == len(backends)):
        raise UsageError(f"--backends {idle[0]}: Keras cannot train on it; it takes part in run --tasks predict alone")
    usual = REFERENCE if REFERENCE in backends else next((one for one in backends if one in able), backends[0])
    reference = given.reference or usual
    if reference not in backends:
        raise UsageError(f"--reference {reference}: not among the backends of this run ({', '.join(backends)})")
    if reference in idle and "train" in tasks:
        raise UsageError(f"--reference {reference}: Keras cannot train on it; name one of {', '.join(able)}")
    return backends, reference


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m bench", description="Train one Keras 3 model on several backends and compare them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train, time and report", allow_abbrev=False)
    profiles = "; ".join(f"{name}: {profile.help}" for name, profile in PROFILES.items())
    run.add_argument("--profile", default="default", type=_choice(tuple(PROFILES), "profile"), help=profiles)
    _add_selection(run)
    run.add_argument("--launches", type=_at_least(1), metavar="N", help="fresh processes per case, one seed each")
    run.add_argument(
        "--within", type=_percent, metavar="3%", help="as many launches as give every ratio within so much"
    )
    run.add_argument("--budget", type=_time_span, metavar="20m", help="but no longer than this (s, m or h)")
    run.add_argument("--epochs", type=_at_least(2), metavar="N", help="the first is cold, so at least two")
    run.add_argument("--samples", type=_at_least(1), metavar="N", help="training samples: the first N of the data set")
    run.add_argument("--batch-size", type=_several(_at_least(1)), metavar="N,…", help="each makes cases of its own")
    tasks = _several(_choice(TASKS, "task"), TASKS)
    run.add_argument("--tasks", type=tasks, metavar="NAME,…", help=f"{', '.join(TASKS)}, or `all`; default train")
    tracks = _several(_choice(TRACKS, "track"), TRACKS)
    run.add_argument("--tracks", type=tracks, metavar="NAME,…", help=f"{', '.join(TRACKS)}, or `all`; default fit")
    numerics = _several(_choice(NUMERICS, "numerics"), NUMERICS)
    run.add_argument("--numerics", type=numerics, metavar="NAME,…", help=f"{', '.join(NUMERICS)}; default float32")
    inputs = _several(_choice(tuple(INPUTS), "input"), tuple(INPUTS))
    run.add_argument("--inputs", type=inputs, metavar="NAME,…", help=f"of `fit`: {', '.join(INPUTS)}; default arrays")
    run.add_argument(
        "--to-target", action="store_true", help="hold out a tenth of the samples; how long to the target?"
    )
    run.add_argument("--resume", metavar="RUN", help="go on with an interrupted run; no other option goes with it")
    run.add_argument("--no-parity", action="store_true", help="do not check first that the backends agree")
    run.add_argument("--dry-run", action="store_true", help="list the cases and the expected time; measure nothing")

    parity = commands.add_parser("parity", help="prove that the backends agree, or name where", allow_abbrev=False)
    _add_selection(parity)
    parity.add_argument("--steps", type=_at_least(1), default=300, metavar="N", help="of training; default 300")
    parity.add_argument("--seeds", type=_at_least(1), default=1, metavar="N", help="how many; default 1")
    parity.add_argument(
        "--numerics",
        type=_several(_choice(LADDER_NUMERICS, "numerics"), LADDER_NUMERICS),
        metavar="NAME,…",
        help="what is judged against exact mode (float64); default float32",
    )

    climbed = _several(_choice(tuple(CLIMBS), "track with a ladder"))
    parity.add_argument("--tracks", type=climbed, metavar="NAME,…", help=f"default {', '.join(CLIMBS)}")

    calibrate = commands.add_parser("calibrate", help="are the verdicts right, on this machine?", allow_abbrev=False)
    _add_selection(calibrate)
    calibrate.add_argument(
        "--launches", type=_at_least(12), default=60, metavar="N", help="of each backend; default 60"
    )
    calibrate.add_argument("--epochs", type=_at_least(4), default=10, metavar="N", help="default 10")
    calibrate.add_argument("--samples", type=_at_least(1), default=19_200, metavar="N", help="default 19200")
    calibrate.add_argument("--load", type=_at_least(0), default=0, metavar="N", help="processes that keep a core busy")
    calibrate.add_argument("--resume", metavar="RUN", help="go on with it, or tell again what a finished one found")

    report = commands.add_parser("report", help="rebuild a run's tables and report from its records")
    report.add_argument("run", metavar="RUN", help="a run's id or folder, or `latest`")
    report.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")

    compare = commands.add_parser("compare", help="hold a run against an older one", allow_abbrev=False)
    compare.add_argument("older", metavar="RUN_A", help="a run's id or folder, or `latest`")
    compare.add_argument("newer", metavar="RUN_B", help="likewise; slower than RUN_A or another metric: exit status 1")
    compare.add_argument("--margin", type=_percent, default=5.0, metavar="PERCENT", help="what counts; default 5")
    across = _several(_choice(DIFFERENCES, "difference"), DIFFERENCES)
    compare.add_argument("--across", type=across, metavar="NAME,…", help=f"what may differ: {', '.join(DIFFERENCES)}")
    compare.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")

    new = commands.add_parser("new", help="write a workload file that runs as it stands, to be changed")
    new.add_argument("name", metavar="NAME", help="writes NAME.py; a path will do")

    commands.add_parser("list", help="workloads, backends and data sets")
    doctor = commands.add_parser("doctor", help="does each backend's environment work, and what does it see?")
    doctor.add_argument("--python", type=_python, action="append", default=[], metavar="BACKEND=PATH")
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that make a Selection, but for how many launches."""
    backend = _choice(backend_names(), "backend")
    devices = _several(_choice(DEVICES, "device"))
    parser.add_argument("--workloads", type=_workloads, metavar="NAME_OR_FILE,…", help="or `all`; a model's file too")
    parser.add_argument("--dataset", type=_dataset, metavar="NAME_OR_FILE", help="of a model's file; a name or an .npz")
    parser.add_argument("--loss", type=_loss, metavar="NAME", help=f"of a model's file: {', '.join(adopt.LOSSES)}")
    parser.add_argument("--unsafe", action="store_true", help="let code in a .keras file run; only if you trust it")
    parser.add_argument("--backends", type=_several(backend), metavar="NAME,…")
    parser.add_argument("--devices", type=devices, metavar="cpu,gpu", help="default: all here")
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="the first; default 0")
    parser.add_argument("--reference", type=backend, metavar="NAME", help="default jax")
    parser.add_argument(
        "--python", type=_python, action="append", default=[], metavar="BACKEND=PATH", help="an environment of your own"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="default results/")


Word = TypeVar("Word", str, int)


def _several(
    one: Callable[[str], Word], everything: tuple[Word, ...] | None = None
) -> Callable[[str], tuple[Word, ...] | None]:
    """A list of words; `all` stands for `everything`, or, as None, for what leaving the option out means."""

    def parse_list(text: str) -> tuple[Word, ...] | None:
        words = [word.strip() for word in text.split(",") if word.strip()]
        if words == ["all"]:
            return everything
        if not words:
            raise argparse.ArgumentTypeError("an empty list; name at least one, or leave the option out")
        return tuple(dict.fromkeys(one(word) for word in words))

    return parse_list


def _choice(known: Sequence[str], kind: str) -> Callable[[str], str]:
    def parse_name(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(_unknown(kind, text, known))
        return text

    return parse_name


def _workloads(text: str) -> tuple[str, ...] | None:
    """Names and files; a name with variants stands for all of them."""
    words = _several(_workload, workload_names())(text)
    expanded = [names_of(word) if word in workload_modules() else (word,) for word in words or ()]
    return tuple(dict.fromkeys(name for names in expanded for name in names)) or None


def _workload(text: str) -> str:
    if adopt.is_file(text):
        return _usable(adopt.model_file, text)
    if text in workload_modules():
        return text
    return _choice(workload_names(), "workload")(text)


def _dataset(text: str) -> str:
    if adopt.is_file(text):
        return _usable(adopt.data_file, text)
    return _choice(adopt.dataset_names(), "data set")(text)


def _loss(text: str) -> str:
    return _choice(tuple(adopt.LOSSES), "loss")(adopt.loss_name(text))


def _usable(parse_file: Callable[[str], str], text: str) -> str:
    try:
        return parse_file(text)
    except OwnModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _unknown(kind: str, text: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {text!r}, known: {', '.join(known)}{guess}"


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least {minimum}")
        return number

    return parse_number


def _percent(text: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a percentage between 0 and 100")
    return number


def _time_span(text: str) -> float:
    """Seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time span such as 90s, 20m or 1.5h")
    return seconds


def _python(text: str) -> tuple[str, Path]:
    backend, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r}, expected BACKEND=PATH, for example jax=/opt/jax/bin/python")
    _choice(backend_names(), "backend")(backend)
    # Not resolved: an environment's python is a link, and behind the link it would be another environment's.
    python = Path(path).expanduser().absolute()
    if not python.is_file():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no file {path}; name the environment's python itself")
    return backend, python
