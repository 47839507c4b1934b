"""The program that launches on a node: it holds the node's lock, and does what the run asks over a stream of frames.

`facts` says what the node is and what is installed, building what is missing; `lay` writes files that a launch needs;
`launch` runs one as this machine would run it and sends back messages, outcome, record and log; `divide` lets each of
several GPUs have launches of its own. What is asked comes over standard input, and the end of that stream is the end of
the run: whatever runs here then is ended.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import queue
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.launch.credentials import strip_credentials
from bench.launch.interruption import under_way
from bench.launch.process import launch
from bench.machine import building, cpus, environments, nvidia, variants
from bench.machine.fingerprint import fingerprint
from bench.places import frames
from bench.places.files import ANY
from bench.places.frames import SIGN_SECONDS, Frame, NoFrameError
from bench.places.per_gpu import Programs, Send

END = Frame({"ask": "end"})
# Of the launcher above this process. Workers do not see them: JAX takes Slurm's for a cluster of its own.
FOREIGN = ("SLURM", "SRUN_", "PMI_", "PMIX_", "RAY_")
SLURM_CPUS = "SLURM_CPUS_ON_NODE"  # that the job has of this node


class Agent:
    """What a node does for a run; `folder` is where it lays what belongs to the run alone."""

    def __init__(self, folder: Path, send: Send) -> None:
        self._folder, self._send = folder, send
        self._job_cpus = os.environ.get(SLURM_CPUS, "")
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            del os.environ[name]
        self._pip: dict[str, str] = dict(os.environ)
        self._programs = Programs(send)
        self._laid: list[Path] = []

    def answer(self, frame: Frame) -> None:
        """Do what is asked, and say what came of it in frames of which the last is `done` or `refused`."""
        if "ask" not in frame.content:  # it is for the program on one of the GPUs
            self._programs.hand(frame)
            return
        asked: Callable[[Mapping[str, Any], Sequence[bytes]], None] = getattr(self, f"_{frame.content['ask']}")
        asked(frame.content, frame.parts)

    def clear(self) -> None:
        """End the programs on the GPUs, and remove what was laid outside of the folder.

        That is files, what Python compiled of them, and folders made for them.
        """
        self._programs.end()
        for path in reversed(self._laid):
            with contextlib.suppress(OSError):  # a folder that others have filled meanwhile
                if path.is_dir():
                    path.rmdir()
                    continue
                path.unlink(missing_ok=True)
                compiled = path.parent / "__pycache__"
                for one in compiled.glob(f"{glob.escape(path.stem)}.*.pyc"):
                    one.unlink(missing_ok=True)
                compiled.rmdir()

    def _facts(self, given: Mapping[str, Any], _parts: Sequence[bytes]) -> None:
        """What this node is, and its interpreters; a card that is measured alone becomes the only one to be seen."""
        strip_credentials(given["keep"])
        found = nvidia.find()
        chosen: Sequence[nvidia.Gpu] = ()
        if given.get("each_gpu"):
            chosen = nvidia.choose_each(found, given["shared"])
        elif found.gpus and "gpu" in (given["devices"] or ("gpu",)):
            chosen = nvidia.choose_several(found, given["gpu"], given["shared"], max(given["device_counts"]))
        pythons = {one["label"]: self._python(one) for one in given["environments"]}
        facts = {
            "job_cpus": self._job_cpus,
            "machine": fingerprint(),
            "root": str(ROOT),
            "folder": str(self._folder),
            "suite_python": sys.executable,
            "cards": {str(count): nvidia.prefix(count) for count in given["device_counts"]},
            "gpus": [asdict(gpu) for gpu in chosen],
            "in_use": {gpu.index: gpu.in_use for gpu in found.gpus if gpu.in_use and gpu not in chosen},
            "pythons": {label: str(python) for label, python in pythons.items() if isinstance(python, Path)},
            "missing": {label: reason for label, reason in pythons.items() if isinstance(reason, str)},
            "versions": {
                label: environments.installed(python) for label, python in pythons.items() if isinstance(python, Path)
            },
        }
        self._send({"event": "done", **facts})

    def _python(self, wanted: Mapping[str, Any]) -> Path | str:
        """The interpreter of an environment, built where it is missing; or why there is none."""
        backend, packages, pins = wanted["backend"], wanted["packages"], wanted["pins"]
        if wanted["python"]:
            own = Path(wanted["python"])
            return own if own.exists() else f"there is no {own}; an interpreter of your own has to lie there too"
        if not environments.complete(backend, packages):
            self._send({"event": "building", "what": backend})
        failed = building.build(backend, packages, self._pip)
        if not failed and pins:
            failed = building.build_variant(backend, packages, pins, self._pip)
        if failed:
            return failed
        return (
            variants.environment_python(backend, packages, pins)
            if pins
            else environments.environment_python(backend, packages)
        )

    def _lacks(self, given: Mapping[str, Any], _parts: Sequence[bytes]) -> None:
        """Which files are not here; one that is here otherwise than the run has it, and is not ours, is refused."""
        lacking = []
        for name, size, digest in given["files"]:
            path = self._folder / name
            if not path.exists():
                lacking.append(name)
            elif size != ANY and _is_other(path, size, digest):
                self._send({"event": "refused", "reason": f"{path} is another file there; move it away"})
                return
        self._send({"event": "done", "lacking": lacking})

    def _lay(self, given: Mapping[str, Any], parts: Sequence[bytes]) -> None:
        """Write files that launches need: into the folder, or under the path that they have where the run is."""
        for name, content in zip(given["names"], parts, strict=True):
            path = self._folder / name  # an absolute name stands for itself
            made = [folder for folder in path.parents if not folder.exists()]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.is_relative_to(self._folder):
                    self._laid += [*reversed(made), path]
                _write(path, content)
            except OSError as error:
                words = f"{path} cannot be written there ({error.strerror}); put it on a folder that all nodes share"
                self._send({"event": "refused", "reason": words})
                return
        self._send({"event": "done"})

    def _divide(self, given: Mapping[str, Any], _parts: Sequence[bytes]) -> None:
        """Start a program on each of these GPUs, and say where each has its files and how a command runs there."""
        there = [gpu.index for gpu in nvidia.find().gpus]  # those left out have their part, too: others have no more
        parts = dict(zip(there, cpus.shares([nvidia.near(gpu) for gpu in there], cpus.here()), strict=True))
        told = []
        for gpu in given["gpus"]:
            folder = self._folder / f"gpu{gpu}"
            self._programs.start(gpu, folder, parts[gpu])
            told.append({"folder": str(folder), "cards": {"1": nvidia.prefix_for(gpu)}})
        self._send({"event": "done", "places": told})

    def _launch(self, given: Mapping[str, Any], _parts: Sequence[bytes]) -> None:
        """One launch, as on any machine; its record comes back as bytes, and nothing of it stays here."""
        record, log = self._folder / "record.json", self._folder / "log"
        outcome = launch(
            [*given["words"], f"--benchmark-json={record}"],
            log=log,
            limit_seconds=given["limit_seconds"],
            on_message=lambda message: self._send({"event": "message", "message": message}),
        )
        left = [path.read_bytes() if path.exists() else b"" for path in (record, log)]
        for path in (record, record.with_name(f"{record.name}.measured"), log):
            path.unlink(missing_ok=True)
        self._send({"event": "done", **vars(outcome)}, *left)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole: another node that has the same folder may look at it meanwhile."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _is_other(path: Path, size: int, digest: str) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return True
    with path.open("rb") as file:
        return bool(digest) and hashlib.file_digest(file, "sha256").hexdigest() != digest


def check_priority() -> None:
    """Take the priority that a process started by hand has; UsageError where the launcher gave less, and that stays.

    Ray runs what it starts at niceness 15, where all else on the machine comes first, and lets the kernel kill it first
    where memory is short.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0", encoding="ascii")
    niceness = os.nice(0)
    if niceness <= 0:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except OSError:
        words = "so all else there comes first; start Ray on the nodes with RAY_worker_niceness=0 in its environment"
        raise UsageError(f"what is launched there runs at niceness {niceness}, {words}") from None


def serve(requests: IO[bytes], send: Send, agent: Agent) -> None:
    """Answer request after request until the stream ends, which ends what runs, too."""
    asked: queue.Queue[Frame] = queue.Queue()

    def listen() -> None:
        with contextlib.suppress(NoFrameError, OSError):
            while True:
                asked.put(frames.read(requests))
        # Not Ctrl-C's signal, which a run in the background of a shell ignores, and hands on so. And first: it must not
        # come in the midst of clearing.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        asked.put(END)

    def live() -> None:
        with contextlib.suppress(OSError, ValueError):  # the stream has ended, which the other thread sees
            while not over.wait(SIGN_SECONDS):
                send({"event": "alive"})

    over = threading.Event()
    for activity in (listen, live):
        threading.Thread(target=activity, daemon=True).start()
    try:
        while (frame := asked.get()) is not END:
            agent.answer(frame)
    finally:
        over.set()


def frames_out() -> Send:
    """What sends a frame over standard output, from any thread; whatever else is printed goes elsewhere from now on."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    one_at_a_time = threading.Lock()

    def send(content: Mapping[str, Any], *parts: bytes) -> None:
        with one_at_a_time:
            output.write(frames.pack(content, *parts))
            output.flush()

    return send


def main() -> None:
    """Hold the lock, say so, and serve; where it cannot be held, say why."""
    send = frames_out()
    try:
        check_priority()
        with under_way(lambda text: send({"event": "said", "text": text})):
            send({"event": "ready"})
            with tempfile.TemporaryDirectory(prefix="bench-node-") as folder:
                agent = Agent(Path(folder), send)
                try:
                    serve(sys.stdin.buffer, send, agent)
                finally:
                    agent.clear()
    except UsageError as error:
        with contextlib.suppress(OSError):
            send({"event": "refused", "reason": str(error)})
    except (KeyboardInterrupt, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
