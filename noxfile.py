"""Sessions: bench, report, tests, lint, calibrate, and env(NAME), which the others build as they need it."""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # nox loads this file without its folder on the path

from bench.environments import ENVIRONMENTS, STAMP, environment_python  # noqa: E402
from bench.options import UsageError, backend_names, parse_run  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["bench"]

TOOLS = ("bench", "tests", "lint")  # environments that are no backend's
# Ctrl-C reaches the benchmark too: it ends its worker and writes the interrupted run's report, which nox must wait for.
PATIENT = {"interrupt_timeout": 60.0, "terminate_timeout": 60.0}


def requirements(name: str) -> list[str]:
    """The pins of one environment."""
    groups = nox.project.load_toml(ROOT / "pyproject.toml")
    group = name if name in TOOLS else f"backend-{name}"
    return nox.project.dependency_groups(groups, group)


def stamp(name: str) -> str:
    """What a complete environment's stamp says; another text, or none, means it has to be built."""
    text = "\n".join([sys.version, *requirements(name)])
    return hashlib.sha256(text.encode()).hexdigest()


def complete(name: str) -> bool:
    path = ENVIRONMENTS / f"env-{name}" / STAMP
    return path.is_file() and path.read_text() == stamp(name)


def environment(name: str) -> None:
    """Define the session that installs one environment's pins and stamps it, last: a half-built one has no stamp."""

    # nox decides per session whether to reuse an environment: a complete one is kept, any other is made anew. The
    # installer is pip, so that a user's pip settings (an index with CPU builds of torch, say) are honoured.
    @nox.session(name=f"env({name})", venv_backend="virtualenv", reuse_venv=complete(name), default=False)
    def build(session: nox.Session) -> None:
        """Build one environment, unless it is complete."""
        if not complete(name):
            session.install(*requirements(name))
            Path(session.virtualenv.location, STAMP).write_text(stamp(name))


for _name in (*TOOLS, *backend_names()):
    environment(_name)


def ensure(session: nox.Session, names: Iterable[str]) -> None:
    """Build the environments that are not complete; the first that cannot be built ends the session."""
    missing = [name for name in names if not complete(name)]
    for name in missing:
        session.run(sys.executable, "-m", "nox", "-s", f"env({name})", external=True, silent=False, **PATIENT)


def python(session: nox.Session, name: str, *arguments: str) -> None:
    session.run(str(environment_python(name)), *arguments, external=True, **PATIENT)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Train and time the workloads on every backend, and report: `nox -s bench -- --help`."""
    try:
        options = parse_run(session.posargs)
    except UsageError as error:
        session.error(str(error))
    ensure(session, ["bench"])
    for backend in options.backends:
        if backend in options.python:
            continue
        try:
            ensure(session, [backend])
        except CommandFailed:  # its cases end as failed, with this reason; the others are measured
            session.warn(f"the environment of {backend} could not be built; its cases will be reported as failed")
    python(session, "bench", "-m", "bench", "run", *session.posargs)


@nox.session(python=False)
def report(session: nox.Session) -> None:
    """Rebuild a run's report: `nox -s report -- RUN`."""
    ensure(session, ["bench"])
    python(session, "bench", "-m", "bench", "report", *session.posargs)


@nox.session(python=False)
def calibrate(session: nox.Session) -> None:
    """Hold the epoch clock against a bare clock: `nox -s calibrate -- --launches 10`."""
    ensure(session, ["bench", *backend_names()])
    python(session, "bench", "-m", "bench.calibrate", *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """The tests of parent, analysis and report, then the worker's in each backend's environment."""
    ensure(session, ["tests", *backend_names()])
    python(session, "tests", "-m", "pytest", "--ignore=tests/worker", *session.posargs)
    for backend in backend_names():
        python(
            session, backend, "-m", "pytest", "-c", "tests/worker/pytest.ini", f"--backend={backend}", "tests/worker"
        )


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Ruff's formatter and linter, and mypy."""
    ensure(session, ["lint"])
    python(session, "lint", "-m", "ruff", "format", "--check")
    python(session, "lint", "-m", "ruff", "check")
    python(session, "lint", "-m", "mypy")


os.chdir(ROOT)
