"""What the fault campaign is made of: the suite's command line, watched from outside, and the table of what it did."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.playback import launches, state

from bench.contract.paths import ROOT
from bench.contract.results import run_folders
from bench.launch import lock, strays
from bench.plan.parse import parse_run
from bench.run.console import RunConsole
from bench.run.measure import run as measure

ROWS = pytest.StashKey[list]()  # fault, expected, observed, records lost, processes left behind
LIMIT_SECONDS = 3
NODE = ("-S", "-E", str(Path(__file__).with_name("fake_python.py")))  # in place of a launch's real one
# A shell that starts the tests in the background ignores Ctrl-C, and nohup SIGHUP, for all that descend from it.
# Limits are shortened.
START = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from bench.run import launches, prepare, workflow
prepare.NODE = {node!r}
launches.LIMIT_SECONDS, launches.GUESS_FACTOR, launches.LIMIT_FACTOR = {limit}, 0, 0
write_state = workflow.write_state
def slowed(*given, **more):
    time.sleep({slow} * (given[2] == "interrupted"))
    write_state(*given, **more)
workflow.write_state = slowed
sys.argv[0] = "bench"
from bench.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Ended:
    """How a command ended: its exit status and what it said, colours and line ends apart."""

    code: int
    said: str
    complaints: str


@dataclass
class Bench:
    """The command line with workers that play back, in a folder of its own: by default three launches.

    `before` is Python that its process runs first.
    """

    folder: Path
    options: list[str]
    left: int = 0  # processes, when a command had ended
    before: str = ""
    slow: float = 0.0  # seconds until an interrupted run has written its state
    kept: dict[Path, bytes] = field(default_factory=dict)

    @property
    def results(self):
        return self.folder / "results"

    def command(self, *words):
        program = self.before + START.format(limit=LIMIT_SECONDS, slow=self.slow, node=NODE)
        return [sys.executable, "-c", program, *words]

    def start(self, *words, **more):
        """The command, under way; a new run with the options of all of them."""
        given = self.options if words[0] == "run" and "--resume" not in words else []
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, **more}
        return subprocess.Popen(self.command(words[0], *given, *words[1:]), cwd=ROOT, env=environment, **pipes)

    def run(self, *words, **more):
        return self.end(self.start(*(words or ("run",)), **more))

    def end(self, process):
        """How a command ended; what it leaves is counted now, before a later run sweeps it up."""
        ended = end(process)
        self.count_left()
        return ended

    def kill(self, process):
        """SIGKILL, after which its worker has a moment to die."""
        process.kill()
        end(process)
        self.count_left(grace_seconds=2.0)

    def count_left(self, grace_seconds=0.0):
        """Count the processes that should not be there any more."""
        _, alive = psutil.wait_procs(marked(), grace_seconds) if grace_seconds else ([], marked())
        self.left += len(alive)

    def resume(self, folder, *words, **more):
        return self.run("run", "--resume", folder.name, f"--output={self.results}", *words, **more)

    def next(self):
        """How the next run ends, in words: one like it without a fault."""
        folder = measure(parse_run(self.options), RunConsole(file=io.StringIO()))
        return f"next run {state(folder)}, {len(launches(folder))} ok"

    def latest(self):
        return run_folders(self.results)[-1]

    def keep(self):
        """What has been measured by now, which nothing that follows may take away or change."""
        self.kept |= {path: path.read_bytes() for path in self.results.glob("*/launches/[!.]*.json")}

    def lost(self):
        """How many of the records that are to be kept are not there as they were."""
        return sum(not path.exists() or path.read_bytes() != content for path, content in self.kept.items())


def end(process):
    said, complaints = process.communicate(timeout=120)
    assert "Traceback" not in said + complaints, complaints
    return Ended(process.returncode, " ".join(said.split()), complaints.strip())


def marked():
    """The processes that this test's runs have started and not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(strays.MARK, "").endswith(f" {lock.identity()}"):
                found.append(process)
    return found


def table(rows):
    """The lines that tell what was expected and observed, and a last one with the counts."""
    for fault, expected, observed, _lost, _left in rows:
        yield f"{'as expected' if observed == expected else 'NOT AS EXPECTED'}: {fault}"
        yield f"    expected: {expected}"
        yield f"    observed: {observed}"
    good = sum(observed == expected for _, expected, observed, _, _ in rows)
    lost, left = (sum(row[index] for row in rows) for index in (3, 4))
    yield f"{len(rows)} faults injected, {good} as expected, {lost} records lost, {left} processes left behind"
