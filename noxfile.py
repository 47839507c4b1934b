"""Sessions: bench, parity, explain, bisect, compare, report, history, calibrate, tests, long, worker, lint, audit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # nox loads this file without its folder on the path

from bench.contract import catalog  # noqa: E402
from bench.contract.errors import UsageError  # noqa: E402
from bench.machine import building, environments  # noqa: E402
from bench.plan import parse, selection  # noqa: E402
from bench.plan.places import LOCAL  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["bench"]

# Ctrl-C reaches the benchmark too: it ends its worker and writes the interrupted run's report, which nox must wait for.
PATIENT = {"interrupt_timeout": 60.0, "terminate_timeout": 60.0}


def environment(name: str) -> None:
    """Define the session that installs one environment's pins and stamps it, last: a half-built one has no stamp."""
    # nox decides per session whether to reuse an environment: a complete one is kept, any other is made anew. The
    # installer is pip, so that a user's pip settings (an index with CPU builds of torch, say) are honoured.
    reuse = environments.complete(name)

    @nox.session(name=f"env({name})", venv_backend="virtualenv", reuse_venv=reuse, default=False)
    def build(session: nox.Session) -> None:
        """Build one environment, unless it is complete."""
        if (
            name not in environments.TOOLS
        ):  # only the parent's environment knows the driver, which decides on a backend's
            ensure(session, ["bench"])
            environments.cuda_major.cache_clear()
        path = Path(session.virtualenv.location, environments.STAMP)
        if not path.exists():
            session.install(*environments.requirements(name))
            path.write_text(environments.stamp(name), encoding="utf-8")


for _name in (*environments.TOOLS, *catalog.backend_names()):
    environment(_name)


def ensure(session: nox.Session, names: Iterable[str]) -> None:
    """Build the environments that are not complete; the first that cannot be built ends the session."""
    for name in [name for name in names if not environments.complete(name)]:
        command = [sys.executable, "-m", "nox", "--envdir", str(environments.ENVIRONMENTS), "-s", f"env({name})"]
        session.run(*command, external=True, **PATIENT)


def ensure_with(session: nox.Session, backend: str, packages: Sequence[str]) -> None:
    """Build a backend's environment with packages besides its own, and what these need, unless it is complete."""
    if environments.complete(backend, packages):
        return
    folder = environments.folder(backend, packages)
    session.run(sys.executable, "-m", "virtualenv", "--clear", str(folder), external=True, silent=True)
    install = ["-m", "pip", "install", *environments.requirements(backend, packages)]
    session.run(str(environments.environment_python(backend, packages)), *install, external=True, **PATIENT)
    Path(folder, environments.STAMP).write_text(environments.stamp(backend, packages), encoding="utf-8")


def ensure_backends(session: nox.Session, given: selection.Selection, backends: Iterable[str]) -> None:
    """Build what the parent needs, and the environments of those backends that came without one of their own."""
    ensure(session, ["bench"])
    environments.cuda_major.cache_clear()  # the environment `bench`, which knows the driver, is there now
    here = getattr(given, "places", LOCAL) == LOCAL
    if here and "gpu" in (given.devices or ()) and environments.cuda_major() is None:
        session.error("--devices gpu: no GPU was found here (NVIDIA's driver names none); leave it out")
    with_own = {label.partition("@")[0] for label in given.python}
    for backend in [backend for backend in backends if backend not in with_own]:
        try:
            if given.packages:
                ensure_with(session, backend, given.packages)
            else:
                ensure(session, [backend])
        except CommandFailed:  # its cases end as failed, with this reason; the others go on
            session.warn(f"the environment of {backend} could not be built; what needs it will be reported as failed")
            continue
        for variant in getattr(given, "variants", ()):
            failed = building.build_variant(backend, given.packages, variant.pins) if variant.pins else None
            if failed:  # its cases are skipped, with this reason
                session.warn(failed)


def python(session: nox.Session, name: str, *arguments: str, **more: dict[str, str]) -> None:
    session.run(str(environments.environment_python(name)), *arguments, external=True, **PATIENT, **more)


Options = TypeVar("Options", bound=selection.Selection)


def checked(session: nox.Session, parse: Callable[[Sequence[str]], Options]) -> Options:
    """The options given to a session, refused before anything is built."""
    try:
        return parse(session.posargs)
    except UsageError as error:
        session.error(str(error))


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Train and time the workloads on every backend, and report: `nox -s bench -- --help`."""
    given = checked(session, parse.parse_run)
    ensure_backends(session, given, [given.reference] if given.dry_run else given.backends)
    parent = environments.PARENTS.get(given.where.kind, "bench")
    ensure(session, [parent])
    python(session, parent, "-m", "bench", "run", *session.posargs)


@nox.session(python=False)
def parity(session: nox.Session) -> None:
    """Prove that the backends compute the same, or name where they differ: `nox -s parity -- --workloads mlp`."""
    given = checked(session, parse.parse_parity)
    ensure_backends(session, given, given.backends)
    python(session, "bench", "-m", "bench", "parity", *session.posargs)


@nox.session(python=False)
def explain(session: nox.Session) -> None:
    """Say why a backend is slower, and what to do about it: `nox -s explain -- --workloads mlp`."""
    given = checked(session, parse.parse_explain)
    ensure_backends(session, given, given.backends)
    python(session, "bench", "-m", "bench", "explain", *session.posargs)


@nox.session(python=False)
def bisect(session: nox.Session) -> None:
    """From which version on is it slower? `nox -s bisect -- --package keras --good 3.14.1 --bad 3.15.1`."""
    given = checked(session, parse.parse_bisect)
    ensure_backends(session, given, given.backends)
    python(session, "bench", "-m", "bench", "bisect", *session.posargs)


@nox.session(python=False)
def report(session: nox.Session) -> None:
    """Rebuild a run's report: `nox -s report -- RUN`."""
    ensure(session, ["bench"])
    python(session, "bench", "-m", "bench", "report", *session.posargs)


@nox.session(python=False)
def history(session: nox.Session) -> None:
    """All runs of a results folder in one page: `nox -s history`."""
    ensure(session, ["bench"])
    python(session, "bench", "-m", "bench", "history", *session.posargs)


@nox.session(python=False)
def compare(session: nox.Session) -> None:
    """Compare a run with an older one: `nox -s compare -- RUN_A RUN_B`; fails where a case became slower."""
    ensure(session, ["bench"])
    python(session, "bench", "-m", "bench", "compare", *session.posargs)


@nox.session(python=False)
def calibrate(session: nox.Session) -> None:
    """Are the verdicts right, `nox -s calibrate`, and the epoch clock, `nox -s calibrate -- clock --workloads mlp`?"""
    if session.posargs[:1] == ["clock"]:
        session.posargs.pop(0)
        given: selection.Selection = checked(session, parse.parse_run)
        command = "clock"
    else:
        given = checked(session, parse.parse_calibrate)
        command = "calibrate"
    ensure_backends(session, given, given.backends)
    python(session, "bench", "-m", "bench", command, *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """The tests of parent, analysis and report, then the workers'; with arguments for pytest the former alone."""
    ensure(session, TESTED if session.posargs else [*TESTED, "worker-tests", *catalog.backend_names()])
    python(session, "tests", *PYTEST, "--ignore=tests/worker", *session.posargs)
    if not session.posargs:
        worker_tests(session)


@nox.session(python=False)
def long(session: nox.Session) -> None:
    """The tests that take minutes each, which `tests` leaves out: campaigns, whole ladders, large models."""
    ensure(session, [*TESTED, "worker-tests", *catalog.backend_names()])
    python(session, "tests", *PYTEST, "--ignore=tests/worker", "-m", "long", *session.posargs)
    worker_tests(session, "-m", "long")


@nox.session(python=False)
def worker(session: nox.Session) -> None:
    """The worker's tests on one backend: `nox -s worker -- torch`, or `-- torch ARGUMENTS` for pytest."""
    backend, *arguments = session.posargs or [""]
    if backend not in catalog.backend_names():
        session.error(f"expected a backend, one of {', '.join(catalog.backend_names())}: nox -s worker -- torch")
    ensure(session, ["worker-tests", backend])
    chosen = WHOLE if backend in catalog.training_backends() else INFERENCE
    python(session, backend, *worker_pytest(backend, chosen), *arguments, env=lent_pytest())


TESTED = ["tests", "bench"]
# On two cores two processes, four at most; tests that share what is dear to make name their group.
PYTEST = ["-m", "pytest", "--numprocesses=logical", "--maxprocesses=4", "--dist=loadgroup"]
NO_TESTS = 5  # the exit status of pytest where none was chosen: a backend that cannot train has no long ones
# Two parts of the worker's tests, about as long as each other. Those of the first share launches.
LAUNCHES = [f"tests/worker/test_{name}.py" for name in ("tracks", "train", "validation")]
WHOLE = ["tests/worker"]
OTHERS = [*WHOLE, *(f"--ignore={path}" for path in LAUNCHES)]
INFERENCE = ["tests/worker/test_predict.py"]  # of a backend that cannot train


def worker_pytest(backend: str, chosen: Sequence[str]) -> list[str]:
    """What runs tests of the worker on a backend."""
    return ["-m", "pytest", "-c", "tests/worker/pytest.ini", f"--backend={backend}", *chosen]


def worker_parts() -> list[tuple[str, Sequence[str]]]:
    """What can run side by side, the longest first."""
    training = sorted(catalog.training_backends())
    others = [name for name in catalog.backend_names() if name not in training]
    parts = [(name, part) for part in (OTHERS, LAUNCHES) for name in training]
    return [*parts, *((name, INFERENCE) for name in others)]


def lent_pytest() -> dict[str, str]:
    """The setting that lends pytest to a backend's environment, which holds Keras and the backend alone."""
    return {"PYTHONPATH": str(environments.site_packages(environments.folder("worker-tests")))}


def worker_tests(session: nox.Session, *arguments: str) -> None:
    """The worker's tests, two backends at a time, each on half of the CPUs: more threads would wait for each other.

    What they print is shown part by part, when it has ended.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    halves = [cpus[::2], cpus[1::2]]

    def on_its_half() -> None:
        if len(cpus) > 1:
            os.sched_setaffinity(0, halves.pop())  # of this thread, which its processes inherit

    def run(part: tuple[str, Sequence[str]]) -> str:
        command = [str(environments.environment_python(part[0])), *worker_pytest(*part), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, env={**os.environ, **lent_pytest()}, check=False, **pipes)
        session.log(f"{' '.join(command)}\n{done.stdout}")
        return "" if done.returncode in (0, NO_TESTS) else part[0]

    with ThreadPoolExecutor(2, initializer=on_its_half) as pool:
        failed = sorted(set(pool.map(run, worker_parts())) - {""})
    if failed:
        session.error(f"the worker's tests failed on {', '.join(failed)}")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Ruff's formatter and linter, and mypy."""
    ensure(session, ["lint"])
    python(session, "lint", "-m", "ruff", "format", "--check")
    python(session, "lint", "-m", "ruff", "check")
    python(session, "lint", "-m", "mypy")


@nox.session(python=False)
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of what is installed in the environments, where pip-audit reaches its data about them."""
    ensure(session, ["audit"])
    answer = Path(session.create_tmp()).resolve() / "audit.json"
    unsafe = []
    for name in filter(environments.complete, (*environments.TOOLS, *catalog.backend_names())):
        answer.unlink(missing_ok=True)
        packages = environments.site_packages(environments.folder(name))
        words = ["-m", "pip_audit", "--path", str(packages), "--format=json", f"--output={answer}"]
        session.run(
            str(environments.environment_python("audit")), *words, external=True, silent=True, success_codes=[0, 1]
        )
        found = json.loads(answer.read_text(encoding="utf-8"))["dependencies"] if answer.exists() else []
        audited = [one for one in found if "skip_reason" not in one]
        hit = [f"{one['name']} {one['version']} ({vuln['id']})" for one in audited for vuln in one["vulns"]]
        unsafe += hit
        if audited:
            words = ", ".join(hit) or "none"
            session.log(f"{name}: {len(audited)} of {len(found)} packages audited; vulnerable: {words}")
        else:  # pip-audit then says that nothing is known against them
            session.warn(f"{name}: the data about vulnerabilities cannot be reached from here: nothing was audited")
    if unsafe:
        session.error(f"known vulnerabilities: {', '.join(dict.fromkeys(unsafe))}")
