"""The command line: `python -m bench run|parity|compare|calibrate|report|history|list|doctor|new`."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import bundle, credentials, environments, machine
from bench.command_line import UsageError, parse
from bench.options import calibrate_options, parity_options, run_options
from bench.registry import backend_names, names_of, training_backends, workload_modules

LONGEST = 20  # characters of a name in a list
LIBRARIES = ("jinja2", "pandas", "plotly", "psutil", "rich", "scipy", "tensorboardX")

if TYPE_CHECKING:  # rich and pandas may be missing until the right environment is found
    from bench.analysis import Analysis
    from bench.progress import RunConsole
    from bench.report.view import Page


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 all well, 1 something failed or disagrees, 2 the user asked for something that cannot be."""
    commands = {
        "run": run,
        "parity": parity,
        "compare": compare,
        "calibrate": calibrate,
        "report": report,
        "history": history,
        "list": list_all,
        "doctor": doctor,
        "new": new,
    }
    try:
        given = parse(arguments)
        if given.command != "new":  # which needs nothing, and means the folder it is called in
            use_own_environment(arguments)
        return commands[given.command](given)
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (
        OSError,
        bundle.BundleError,
    ) as error:  # a full disk, a folder taken away: what was recorded until then is kept
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1


def use_own_environment(arguments: Sequence[str]) -> None:
    """Go on in the environment that nox built for this command where the present one lacks its libraries."""
    if all(importlib.util.find_spec(name) for name in LIBRARIES):
        return
    python = environments.environment_python("bench")
    if not python.exists() or python == Path(sys.executable):
        raise UsageError(
            f'this Python lacks one of {", ".join(LIBRARIES)}; build the environment with nox -s "env(bench)"'
        )
    os.chdir(environments.ROOT)
    os.execv(python, [str(python), "-m", "bench", *arguments])  # noqa: S606 - no shell is what is wanted


def run(given: argparse.Namespace) -> int:
    """Measure, then report."""
    from bench.run import run as measure

    options = run_options(given)
    credentials.forget(options.pass_env)
    return _worked(lambda console: measure(options, console), lambda folder: _report(folder, given), given)


def parity(given: argparse.Namespace) -> int:
    """Let every backend climb the ladder, then compare."""
    from bench.parity import parity as climb

    options = parity_options(given)
    credentials.forget(options.pass_env)
    return _worked(lambda console: climb(options, console), lambda folder: _report(folder, given), given)


def report(given: argparse.Namespace) -> int:
    """Rebuild everything that is derived from a run's records, and what else is asked for from them."""
    from bench.results import find_run

    return _report(find_run(given.run, given.output), given)


def compare(given: argparse.Namespace) -> int:
    """Hold a run against an older one; exit status 1 where a case became slower or reaches another metric."""
    from bench.analysis import frames, two_runs
    from bench.report.files import two_runs_json
    from bench.report.two_runs import page
    from bench.results import find_run

    older, newer = (find_run(name, given.output) for name in (given.older, given.newer))
    try:
        runs = frames.load(newer), frames.load(older)
        found = two_runs.compare(*runs, given.margin / 100, given.across or ())
    except (frames.RunFormatError, two_runs.NotComparableError) as error:
        raise UsageError(str(error)) from None
    for warning in (*runs[0].warnings, *runs[1].warnings):
        print(f"bench: {warning}", file=sys.stderr)
    _show(page(found, older.name, newer.name), None, given, lambda: two_runs_json(found, older.name, newer.name))
    return 1 if found.problems else 0


def calibrate(given: argparse.Namespace) -> int:
    """Record many launches, then say how often verdicts on them would be wrong."""
    from bench.calibrate import calibrate as record

    options = calibrate_options(given)
    credentials.forget(options.pass_env)
    return _worked(lambda console: record(options, console), _calibration, given)


def history(given: argparse.Namespace) -> int:
    """All runs of a results folder in one page."""
    from rich.console import Console

    from bench.analysis import history as past
    from bench.report import terminal
    from bench.report.history import write

    found = past.history(given.output)
    if found.runs.empty:
        raise UsageError(f"--output {given.output}: no run with a result in it")
    page, path = write(found, given.output)
    terminal.show(page, path, Console(), terminal.Amount.NORMAL)
    return 0


def list_all(given: argparse.Namespace) -> int:  # noqa: ARG001
    """Name what can be selected, each with its one-line description."""
    from models.datasets import DATASETS

    print("workloads")
    for module in workload_modules():
        source = (environments.ROOT / "models" / f"{module}.py").read_text(encoding="utf-8")
        for name in names_of(module):
            print(f"  {name:{LONGEST}} {_first_line(ast.get_docstring(ast.parse(source)))}")
    print("backends")
    for name in backend_names():
        python = environments.interpreter(name, {})
        print(f"  {name:{LONGEST}} {'environment built' if python else environments.missing_reason(name)}")
    print("data sets")
    for name, function in DATASETS.items():
        print(f"  {name:{LONGEST}} {_first_line(function.__doc__)}")
    return 0


def doctor(given: argparse.Namespace) -> int:
    """Say for each backend whether its environment works and what it sees; exit status 1 where one does not."""
    well = True
    credentials.forget(())
    print(f"machine: {json.dumps(machine.fingerprint())}")
    for line in machine.others():
        print(line)
    for backend in backend_names():
        python = environments.interpreter(backend, dict(given.python))
        if python is None and backend not in training_backends():
            print(f"{backend}: not built; only --tasks predict needs it, and builds it")
            continue
        answer: dict[str, Any] = (
            environments.probe(python, backend) if python else {"missing": [environments.missing_reason(backend)]}
        )
        well = well and not answer["missing"]
        numbers: dict[str, str] = answer.get("versions", {})
        versions = ", ".join(f"{name} {number}" for name, number in numbers.items())
        print(f"{backend}: {'works' if not answer['missing'] else 'does not work'}")
        for label, text in (
            ("python", str(python)),
            ("versions", versions),
            ("devices", "; ".join(answer.get("devices", []))),
            ("missing", "; ".join(answer["missing"])),
        ):
            if text:
                print(f"  {label:9} {text}")
    return 0 if well else 1


def new(given: argparse.Namespace) -> int:
    """Write a workload file to begin with."""
    from bench import workload_file
    from bench.saved_model import OwnModelError

    try:
        path = workload_file.new(given.name)
    except OwnModelError as error:
        raise UsageError(str(error)) from None
    shown = shlex.quote(str(path if Path.cwd() == environments.ROOT else path.resolve()))
    print(f"wrote {path}; run it as it is with: nox -s bench -- --workloads {shown} --profile quick")
    return 0


def _worked(work: Callable[[RunConsole], Path | None], tell: Callable[[Path], int], given: argparse.Namespace) -> int:
    """Do the work that leaves a run's folder, if it leaves one, and tell what is in it."""
    from bench.prepare import RunError
    from bench.progress import RunConsole

    try:
        folder = work(RunConsole(quiet=given.quiet))
    except RunError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    from bench.runs import interruptible

    try:
        with interruptible(hang_up=False):  # which has ended the run, and may come twice
            return 0 if folder is None else tell(folder)
    except KeyboardInterrupt:
        print(f"bench: interrupted; nox -s report -- {folder} writes the report", file=sys.stderr)
        return 1


def _report(folder: Path, given: argparse.Namespace) -> int:
    """Analyse and write; pandas is imported only now, when nothing is being timed any more."""
    from bench.analysis import analyse
    from bench.analysis.frames import RunFormatError
    from bench.report import tables, write
    from bench.report.files import to_json

    try:
        analysis = analyse(folder)
    except RunFormatError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    written = True
    try:
        page = write(analysis, folder)
    except OSError as error:  # a full disk, a folder that may only be read
        written = False
        page = tables.page(analysis)
        print(f"bench: {folder}: the report cannot be written there ({error.strerror})", file=sys.stderr)
    _show(page, folder / "report.html" if written else None, given, lambda: to_json(analysis, page))
    _export(analysis, folder, given)
    return 0 if written and not analysis.problems else 1


def _show(page: Page, path: Path | None, given: argparse.Namespace, as_json: Callable[[], str]) -> None:
    """Print a page as it was asked for: in the terminal, or as a document for another program."""
    from rich.console import Console

    from bench.report import markdown, terminal

    kind = getattr(given, "format", None)  # a run has none
    if kind == "markdown":
        print(markdown.render(page), end="")
    elif kind == "json":
        print(as_json())
    else:
        terminal.show(page, path, Console(), terminal.amount(given.quiet, given.verbose))


def _export(analysis: Analysis, folder: Path, given: argparse.Namespace) -> None:
    """What `report` was asked to write besides."""
    if getattr(given, "tensorboard", None):
        from bench.report import tensorboard

        count = tensorboard.write(analysis, given.tensorboard)
        print(
            f"tensorboard: {count} runs; look at them with: tensorboard --logdir {shlex.quote(str(given.tensorboard))}",
            file=sys.stderr,
        )
    if getattr(given, "bundle", None):
        print(f"bundle: {bundle.write(folder, given.bundle)}", file=sys.stderr)


def _calibration(folder: Path) -> int:
    """Hold the launches of a calibration against themselves, and write what comes out."""
    from bench.analysis import calibration, frames
    from bench.report.calibration import write

    try:
        run = frames.load(folder)
        found = calibration.calibrate(run)
    except (frames.RunFormatError, calibration.TooFewLaunchesError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write(found, folder)
    return 1 if found.problems else 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
