"""A Slurm of several nodes on this one machine: it asks for no rights and no configuration, and nothing of it stays.

Debian's packages slurmctld, slurmd, slurm-client and slurm-wlm-basic-plugins are enough, with what they need:
installed, or unpacked (`dpkg -x`) into a folder that FAKE_SLURM names. Only loopback addresses are used.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import fake_machine as machine

FOLDER = "FAKE_SLURM"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
START_SECONDS = 30.0
LOST_SECONDS = 10  # after which the controller gives a silent node up; 300 is usual
CONFIGURATION = """
ClusterName=fake
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmdTimeout={lost}
ReturnToService=2
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
PartitionName=all Nodes=ALL Default=YES
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=1000\n"


@dataclass(frozen=True)
class FakeSlurm:
    """A cluster that is up: what a process needs in its environment, and what can befall its nodes."""

    environment: dict[str, str]
    nodes: tuple[str, ...]
    machines: dict[str, subprocess.Popen[bytes]]

    def run(self, *command: str) -> str:
        """What a command of Slurm's prints; CalledProcessError where it fails."""
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    def kill(self, node: str) -> None:
        """End a node with all its processes; their connections are closed, which a peer sees at once."""
        self.machines[node].terminate()
        self.machines[node].wait()

    def freeze(self, node: str) -> None:
        """Let a node fall silent, as a power cut does: its connections stay, and nothing answers any more."""
        machine.signal_all(self.machines[node].pid, signal.SIGSTOP)

    def drain(self, node: str) -> None:
        """Let a node finish what it runs and take no more jobs."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def states(self) -> dict[str, str]:
        """Each node's state, as sinfo names it."""
        words = self.run("sinfo", "--noheader", "--Node", "--format=%N %T").split()
        return dict(zip(words[::2], words[1::2], strict=True))


def absent() -> str:
    """Why there can be no cluster here; empty where there can."""
    unknown = [name for name in ("slurmctld", "slurmd", "srun", "salloc") if not _find(name)]
    return f"no {', '.join(unknown)} on PATH or in the folder that {FOLDER} names" if unknown else ""


@contextlib.contextmanager
def fake_slurm(folder: Path, nodes: int = 2, more: str = "") -> Iterator[FakeSlurm]:
    """Nodes n1, n2 … that are idle; `more` is added to the configuration. RuntimeError where they do not come up."""
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    configuration = folder / "slurm.conf"
    (folder / "state").mkdir(parents=True)
    configuration.write_text(_configuration(folder, names, more))
    slurm = FakeSlurm({"SLURM_CONF": str(configuration), **_unpacked()}, names, {})
    stepd = ["-d", _find("slurmstepd")] if FOLDER in os.environ else []
    commands = {"controller": [_find("slurmctld"), "-D"]}
    commands |= {name: [_find("slurmd"), "-D", "-N", name, *stepd] for name in names}
    with contextlib.ExitStack() as running:
        running.callback(machine.end_marked, f"SLURM_CONF={configuration}")  # salloc, srun, drivers
        for name, command in commands.items():
            slurm.machines[name] = machine.switch_on(command, os.environ | slurm.environment)
            running.callback(slurm.kill, name)
        _wait_until_idle(slurm)
        yield slurm


def _configuration(folder: Path, names: Sequence[str], more: str) -> str:
    ports = _free_ports(len(names) + 1)
    host, user = socket.gethostname().partition(".")[0], pwd.getpwuid(os.getuid()).pw_name
    text = CONFIGURATION.format(folder=folder, host=host, user=user, ports=ports, lost=LOST_SECONDS)
    if FOLDER in os.environ:
        text += f"PluginDir={os.environ[FOLDER]}/{LIBRARIES}/slurm-wlm\n"
    lines = [NODE.format(name=name, host=host, port=port) for name, port in zip(names, ports[1:], strict=True)]
    return text + more + "".join(lines)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _find(name: str) -> str:
    """A program of Slurm's, whose daemons Debian calls slurmd-wlm and the like; empty where there is none."""
    path = _unpacked().get("PATH", f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return shutil.which(name, path=path) or shutil.which(f"{name}-wlm", path=path) or ""


def _unpacked() -> dict[str, str]:
    """What a process needs in its environment to use an unpacked Slurm."""
    root = os.environ.get(FOLDER)
    if root is None:
        return {}
    libraries = f"{root}/{LIBRARIES}:{root}/{LIBRARIES}/slurm-wlm"
    return {"PATH": f"{root}/usr/bin:{root}/usr/sbin:{os.environ['PATH']}", "LD_LIBRARY_PATH": libraries}


def _wait_until_idle(slurm: FakeSlurm) -> None:
    deadline = time.monotonic() + START_SECONDS
    states: dict[str, str] = {}
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.CalledProcessError):  # the controller does not answer yet
            states = slurm.states()
        if states == dict.fromkeys(slurm.nodes, "idle"):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no cluster after {START_SECONDS:.0f} s ({states or 'no controller'}); see its folder's logs")
