"""The fault campaign: each fault caused on purpose, what is expected of the suite, what it did.

`nox -s tests -- -m faults` prints the table. The workers play back recorded launches (fake_python.py); everything else,
processes, signals, files and the machine's lock, is real.
"""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import psutil
import pytest
from support.campaign import LIMIT_SECONDS, Ended, end, marked
from support.playback import described, launches, state

from bench.contract.files import LARGEST_BYTES
from bench.contract.paths import ROOT
from bench.launch import lock
from bench.machine import environments

pytestmark = pytest.mark.faults


def outcome(bench, ended):
    """What became of a run of three launches: exit status, how many are ok, why others are not; and of the next."""
    found = launches(bench.latest())
    good = [launch for launch in found if launch["status"] == "ok"]
    bench.keep()
    words = [f"exit {ended.code}", f"{len(good)} of 3 ok"]
    words += [f"{launch['status']}: {launch['reason']}" for launch in found if launch["status"] != "ok"]
    words = [re.sub(r"\.r\d+\S+\.worker", "its record", word) for word in words]
    words += [launch["remark"] for launch in good if launch.get("remark")]
    return "; ".join([*words, bench.next()])


NEXT = "next run finished, 3 ok"
DIED = f"exit 1; 2 of 3 ok; {{}}; {NEXT}"
LIVES = f"exit 0; 3 of 3 ok; {{}}{NEXT}"
AFTERWARDS = "its record was complete before its process ended badly ({}); "
UNUSABLE = DIED.format("failed: the worker ended well but left no usable record ({})")
ENDED = "1 of its processes outlived it and had to be ended; "
NO_END = f"timeout: no end after {LIMIT_SECONDS} s; killed"
NO_MEMORY = DIED.format("out of memory: {}")
WORKER_FAULTS = {
    "killed": DIED.format("failed: killed by signal 9 (SIGKILL)"),
    "segfault": DIED.format("failed: killed by signal 11 (SIGSEGV)"),
    "segfault at exit": LIVES.format(AFTERWARDS.format("failed: killed by signal 11 (SIGSEGV)")),
    "hangs at exit": LIVES.format(AFTERWARDS.format(NO_END)),
    "hangs": DIED.format(NO_END),
    "no host memory": NO_MEMORY.format("exit status 1: MemoryError"),
    "no device memory jax": NO_MEMORY.format(
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 85899345920 bytes."
    ),
    "no device memory tensorflow": NO_MEMORY.format(
        "ResourceExhaustedError: OOM when allocating tensor with shape[100000,100000] and type float"
    ),
    "no device memory torch": NO_MEMORY.format("OutOfMemoryError: CUDA out of memory. Tried to allocate 74.51 GiB."),
    "endless output": DIED.format(NO_END),
    "garbled messages": LIVES.format(""),
    "child outlives it": LIVES.format(ENDED),
    "child in a session of its own": LIVES.format(ENDED),
    "no record": UNUSABLE.format("it wrote none"),
    "half a record": UNUSABLE.format(
        "its record: not a readable JSON file (Expecting property name enclosed in double quotes: line 1 column 13 "
        "(char 12))"
    ),
    "huge record": UNUSABLE.format("its record: not a readable JSON file (larger than 64 MiB)"),
    "deep record": UNUSABLE.format(
        "its record: not a readable JSON file (maximum recursion depth exceeded while decoding a JSON array from a "
        "unicode string)"
    ),
    "record of wrong types": UNUSABLE.format("its record: epochs cannot be {'seconds': 'long'}, expected list"),
    "record with NaN": UNUSABLE.format("its record: epochs[1].seconds cannot be nan, expected a finite number"),
    "record with a path in a name": UNUSABLE.format("it is of another launch"),
}


@pytest.mark.parametrize(("fault", "expected"), WORKER_FAULTS.items())
def test_a_worker_at_fault_costs_its_own_launch_at_most(bench, judge, fault, expected):
    ended = bench.run("run", FAKE_FAULT=f"torch:{fault}")
    observed = outcome(bench, ended)
    logs = max(path.stat().st_size for path in (bench.results).glob("*/logs/*"))

    judge(f"worker: {fault}", expected, observed)
    assert logs < 2**21 + 1000


def hanging(bench, process, backend="tensorflow"):
    """Wait until the worker of a run under way hangs; gives its process."""
    deadline = time.monotonic() + 60
    while not (found := list(bench.folder.glob(f"results/*/launches/.r000*{backend}*.pid"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bench.keep()
    return psutil.Process(int(found[0].read_text()))


HANGS = {"FAKE_FAULT": "tensorflow:hangs"}  # the second of three launches


def after(bench, ended, *more):
    """What became of an interrupted run: exit status, state, records; and of going on with it."""
    folder = bench.latest()
    measured = len(launches(folder))
    words = [f"exit {ended.code}", state(folder), f"{measured} measured", *more]
    again = bench.resume(folder)
    return "; ".join([*words, f"resumed: exit {again.code}, {state(folder)}, {len(launches(folder))} measured"])


RESUMED = "resumed: exit 0, finished, 3 measured"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_keeps_what_was_measured_however_often_it_is_pressed(bench, judge, times):
    bench.slow = 1.0  # so that it is pressed again before the state is written
    process = bench.start("run", **HANGS)
    hanging(bench, process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    ended = bench.end(process)
    bench.slow = 0.0
    said = "interrupted again: no report was written" in ended.said
    told = "insisted on" if said else "report written" if (bench.latest() / "report.md").exists() else "nothing"
    observed = after(bench, ended, told)

    insisted = "report written" if times == 1 else "insisted on"
    judge(f"Ctrl-C {times}×", f"exit 1; interrupted; 1 measured; {insisted}; {RESUMED}", observed)


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.002, 0.004])
def test_ctrl_c_while_a_worker_starts_leaves_it_not_behind(bench, judge, moment):
    process = bench.start("run", **HANGS)
    parent, deadline = psutil.Process(process.pid), time.monotonic() + 60
    while "fake_python" not in str(commands := [child.cmdline() for child in children(parent)]) or "tune" in str(
        commands
    ):
        assert time.monotonic() < deadline
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    ended = bench.end(process)

    judge(f"Ctrl-C {1000 * moment:.0f} ms after a process began", "exit 1", f"exit {ended.code}")


def children(process):
    """Those that can still be looked at."""
    with contextlib.suppress(psutil.Error):
        return [child for child in process.children() if child.status() != psutil.STATUS_ZOMBIE]
    return []


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 1), (signal.SIGHUP, 2)])
def test_a_batch_systems_signal_and_a_terminals_are_as_ctrl_c(bench, judge, number, times):
    process = bench.start("run", **HANGS)
    hanging(bench, process)
    for _ in range(times):  # a shell may say once more that the terminal is gone
        process.send_signal(number)
        time.sleep(0.1)
    ended = bench.end(process)
    told = "report written" if (bench.latest() / "report.md").exists() else "no report"

    judge(number.name, f"exit 1; interrupted; 1 measured; report written; {RESUMED}", after(bench, ended, told))


@pytest.mark.parametrize("hang_up", [True, False])
def test_a_terminal_that_goes_away_costs_no_record_and_no_report(bench, judge, hang_up):
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    started = subprocess.Popen(
        bench.command("run", *bench.options),
        cwd=ROOT,
        env={**os.environ, "FAKE_FAULT": "tensorflow:hangs" if hang_up else "tensorflow:waits"},
        start_new_session=True,
        **streams,
    )
    os.close(theirs)
    reader = threading.Thread(target=drain, args=(ours,), daemon=True)
    reader.start()
    hanging(bench, started)
    os.close(os.dup(ours))
    STOP.set()
    reader.join(10)
    os.close(ours)
    if hang_up:
        started.send_signal(signal.SIGHUP)
    else:
        (bench.results / "go on").touch()
    started.wait(60)
    bench.count_left()
    folder = bench.latest()
    told = "report written" if (folder / "report.md").exists() else "no report"
    expected = (
        "exit 1; interrupted; 1 measured; report written" if hang_up else "exit 0; finished; 3 measured; report written"
    )

    words = f"exit {started.returncode}; {state(folder)}; {len(launches(folder))} measured; {told}"
    judge(f"terminal gone, {'with' if hang_up else 'without'} a signal", expected, words)


STOP = threading.Event()


def drain(descriptor):
    """Read what is said, so that nobody waits for it, until told to stop."""
    STOP.clear()
    while not STOP.is_set():
        if select.select([descriptor], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                os.read(descriptor, 65536)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_under_nox_ends_everything_too(bench, judge, times):
    # Nox and the suite are of one process group, and a terminal sends Ctrl-C to all of it.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import nox; nox.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-s", "bench", "--", *bench.options],
        cwd=ROOT,
        env={**os.environ, **HANGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    hanging(bench, process)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    said = process.communicate(timeout=120)[0]
    deadline = time.monotonic() + 60
    while state(bench.latest()) == "running" and time.monotonic() < deadline:  # where nox did not wait for it
        time.sleep(0.1)
    ended = Ended(process.returncode, said, "")
    bench.count_left()

    judge(
        f"Ctrl-C {times}× under nox", f"exit {NOX_EXIT[times]}; interrupted; 1 measured; {RESUMED}", after(bench, ended)
    )


NOX_EXIT = {1: 130, 2: 130}


def test_a_killed_parent_leaves_no_worker_and_its_run_goes_on(bench, judge):
    process = bench.start("run", **HANGS)
    worker = hanging(bench, process)
    bench.kill(process)
    ended = Ended(process.returncode, "", "")
    psutil.wait_procs([worker], timeout=2)  # as in `kill`: the parent's end kills the node, whose end kills the worker
    told = "worker left" if alive(worker) else "no worker left"

    judge(
        "parent killed by SIGKILL",
        f"exit -9; running; 1 measured; no worker left; {RESUMED}",
        after(bench, ended, told),
    )


def alive(process):
    """Whether a process does anything; one that has ended may lie there until its number is free."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_what_a_killed_parent_left_is_ended_by_the_next_run(bench, judge):
    process = bench.start("run", FAKE_FAULT="tensorflow:child, then hangs")
    hanging(bench, process)
    process.kill()
    end(process)
    time.sleep(0.5)
    left = len(marked())  # no other way is known than to end it later
    again = bench.run()
    said = (
        "ended by the next run"
        if "processes that a killed run had left behind were ended" in again.said
        else "not said"
    )

    judge("parent killed, its worker's child lives", "1 left; ended by the next run", f"{left} left; {said}")


def test_a_killed_calibration_leaves_no_busy_core(bench, judge):
    words = [word for word in bench.options if word not in ("--launches=1", "--no-parity")]
    process = bench.start("calibrate", *words, "--load=1", **HANGS)
    hanging(bench, process)
    children = psutil.Process(process.pid).children()
    process.kill()
    end(process)
    _, alive = psutil.wait_procs(children, 10)

    judge("calibration killed", "2 processes, 0 left", f"{len(children)} processes, {len(alive)} left")


@pytest.fixture(scope="module")
def killed(bench_once):
    """The results of a run of three launches that was killed in the second."""
    process = bench_once.start("run", **HANGS)
    hanging(bench_once, process)
    bench_once.kill(process)
    assert bench_once.left == 0
    return bench_once.results


@pytest.fixture
def interrupted(bench, killed):
    """A copy of it, to change and go on with."""
    shutil.copytree(killed, bench.results)
    bench.keep()
    return bench.latest()


def change(folder, **changes):
    """Write something else into run.json."""
    (folder / "run.json").write_text(json.dumps({**described(folder), **changes}))


def test_resume_refuses_other_options(bench, judge, interrupted):
    ended = bench.resume(interrupted, "--epochs=3")

    expected = "exit 2: bench: --epochs: a run goes on with the options it was started with; give --resume alone"
    judge("resume with other options", expected, f"exit {ended.code}: {ended.complaints}")


def test_resume_refuses_another_machine(bench, judge, interrupted):
    change(interrupted, machine={**described(interrupted)["machine"], "cpu": "Abacus"})
    ended = bench.resume(interrupted)
    expected = f"exit 2: bench: --resume {interrupted.name}: it was measured with cpu Abacus, here it is"

    judge("resume on another machine", expected, f"exit {ended.code}: {ended.complaints}"[: len(expected)])


def test_resume_refuses_another_version(bench, judge, interrupted):
    ended = bench.resume(interrupted, FAKE_KERAS="3.16.0")
    expected = (
        f"exit 2: bench: --resume {interrupted.name}: it was measured with keras 3.15.1 for jax, here it is 3.16.0"
    )

    judge("resume with another version", f"{expected}; start anew", f"exit {ended.code}: {ended.complaints}")


def test_resume_refuses_a_workload_file_that_has_changed(bench, judge, tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("workload = Workload(epochs=1)\n")
    bench.options = [word for word in bench.options if "workloads" not in word] + [f"--workloads={own}"]
    process = bench.start("run", **HANGS)
    hanging(bench, process)
    bench.kill(process)
    own.write_text("workload = Workload(epochs=2)\n")
    ended = bench.resume(bench.latest())
    expected = "bench: --resume RUN: models, a workload's file or bench/worker have changed since; start anew"

    told = ended.complaints.replace(bench.latest().name, "RUN")
    judge("resume with a changed workload file", f"exit 2: {expected}", f"exit {ended.code}: {told}")


def test_resume_refuses_where_a_backends_environment_is_gone(bench, judge, interrupted):
    ended = bench.resume(interrupted, FAKE_KERAS="gone")
    expected = (
        f"exit 2: bench: --resume {interrupted.name}: the environment of jax does not answer any more; mend it first"
    )

    judge("resume with an environment gone", expected, f"exit {ended.code}: {ended.complaints}")


def test_resume_refuses_changed_code(bench, judge, interrupted):
    change(interrupted, code="another")
    ended = bench.resume(interrupted)
    why = "models, a workload's file or bench/worker have changed since; start anew"
    expected = f"exit 2: bench: --resume {interrupted.name}: {why}"

    judge("resume with changed code", expected, f"exit {ended.code}: {ended.complaints}")


def test_resume_writes_no_file_to_where_a_run_json_of_somebody_says(bench, judge, interrupted, tmp_path):
    planted = {"path": str(tmp_path / "outside.py"), "text": "import os", "source": "model.keras", "said": ""}
    change(interrupted, options={**described(interrupted)["options"], "adopted": [planted]})
    ended = bench.resume(interrupted)
    why = "it wrote PATH, which is not beside it; move the results folder back, or start anew"

    expected = f"exit 2: bench: --resume {interrupted.name}: {why}"
    told = ended.complaints.replace(planted["path"], "PATH")
    judge("resume of a hostile run.json", expected, f"exit {ended.code}: {told}")


OPTIONS = {
    "launches": "three",
    "seed": None,
    "workloads": [5],
    "inputs": ["foo"],
    "budget_seconds": "x",
    "pass_env": [7],
}


@pytest.mark.parametrize(("name", "value"), OPTIONS.items())
def test_resume_of_options_that_nobody_can_have_given_is_refused(bench, judge, interrupted, name, value):
    change(interrupted, options={**described(interrupted)["options"], name: value})
    ended = bench.resume(interrupted)
    told = ended.complaints.replace(interrupted.name, "RUN")

    expected = "bench: --resume RUN: another version began it, or run.json is damaged; start anew"
    judge(f"resume with options.{name} of another type", f"exit 2: {expected}", f"exit {ended.code}: {told}")


def test_resume_of_a_deep_run_json_is_refused(bench, judge, interrupted):
    (interrupted / "run.json").write_text("[" * 10**5)
    ended = bench.resume(interrupted)
    expected = "exit 2: bench: --resume RUN: run.json: not a readable JSON file (maximum recursion depth exceeded"

    told = f"exit {ended.code}: {ended.complaints.replace(interrupted.name, 'RUN')}"
    judge("resume with a deep run.json", expected, told[: len(expected)])


@pytest.mark.parametrize(
    "damage", [{"wall_seconds": "x"}, {"machine": None}, {"workloads": [7]}, {"versions": {"jax": "new"}}]
)
def test_resume_of_a_damaged_run_json_is_refused(bench, judge, interrupted, damage):
    change(interrupted, **damage)
    ended = bench.resume(interrupted)
    told = ended.complaints.partition("start anew")[0].replace(interrupted.name, "RUN")

    (name,) = damage
    judge(
        f"resume with a damaged run.json ({name})",
        "exit 2: bench: --resume RUN: its run.json cannot be used; ",
        f"exit {ended.code}: {told}",
    )


def test_two_runs_at_once_are_refused_by_name(bench, judge):
    process = bench.start("run", **HANGS)
    hanging(bench, process)
    again = ["run", "--resume", bench.latest().name, f"--output={bench.results}"]
    second, resumed = (end(bench.start(*words)) for words in (["run"], again))  # what the first has is no leftover
    process.send_signal(signal.SIGINT)
    bench.end(process)
    expected = (
        "bench: another run is under way on this machine (process PID), and two would slow each other; wait for its "
        "end, or end it with: kill PID"
    )
    observed = [one.complaints.replace(str(process.pid), "PID") for one in (second, resumed)]

    judge("two runs at once", f"exit 2: {expected}", f"exit {second.code}: {observed[0]}")
    judge("resume of a run under way", f"exit 2: {expected}", f"exit {resumed.code}: {observed[1]}")


def test_the_workers_of_a_run_under_another_lock_are_left_alone(bench, judge):
    """As a run has it in a container, whose file is another at the same place, or whose file was cleaned away."""
    process = bench.start("run", **HANGS)
    hanging(bench, process)
    first = bench.latest()
    lock.path().unlink()
    second = end(bench.start("run"))
    end(process)
    (launch,) = launches(first, "tensorflow")

    told = f"second run exit {second.code}; the first's worker: {launch['reason']}"
    judge("another run's lock file removed", f"second run exit 0; the first's worker: {NO_END[9:]}", told)


def test_a_stale_lock_is_taken_over(bench, judge):
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"]
    ) as alive:  # even where its number is a living process's
        lock.path().write_text(f"{alive.pid}\n")
        ended = bench.run()
        alive.kill()

    judge("stale lock", "exit 0", f"exit {ended.code}")


@pytest.fixture
def small(bench):
    """A file system of 3 MiB for the results; skips where this user may not mount one."""
    bench.results.mkdir()
    if system("mount", "-t", "tmpfs", "-o", "size=3m", "none", str(bench.results)):
        pytest.skip("no right to mount a file system here")
    yield bench.results
    assert system("umount", "-l", str(bench.results)) == 0


def system(name, *arguments):
    """The exit status of one of the system's programs; of one that is not there 127."""
    program = shutil.which(name)
    return subprocess.run([program, *arguments], capture_output=True, check=False).returncode if program else 127


def fill(folder):
    """Write until nothing more goes in, and leave room for a record that says so, but not for a worker's."""
    with (folder / "filling").open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1024))
        file.truncate(file.tell() - 2**16)


def test_a_disk_that_fills_up_costs_nothing_that_was_measured(bench, judge, small):
    process = bench.start("run", FAKE_FAULT="tensorflow:waits")
    hanging(bench, process)
    fill(small)
    (small / "go on").touch()  # an entry of a folder takes no block
    ended = bench.end(process)
    folder = bench.latest()
    words = [f"exit {ended.code}: {ended.complaints.replace(str(folder), 'RUN').replace(folder.name, 'RUN')}"]
    words += [f"{len(launches(folder))} measured"]
    (small / "filling").unlink()
    again = bench.resume(folder)
    words += [f"resumed: exit {again.code}, {state(folder)}, {len(launches(folder))} measured"]
    expected = (
        "exit 1: bench: RUN: cannot be written any more (No space left on device); what was measured is kept; mend it "
        "and go on with --resume RUN"
    )

    judge("disk full", f"{expected}; 1 measured; {RESUMED}", "; ".join(words))


def test_a_read_only_results_folder_is_said_and_a_report_shown(bench, judge, small):
    bench.next()
    folder = bench.latest()
    bench.keep()
    assert system("mount", "-o", "remount,ro", str(small)) == 0
    ended = bench.run()
    shown = bench.run("report", folder.name, f"--output={bench.results}")
    assert system("mount", "-o", "remount,rw", str(small)) == 0
    again = bench.next()

    refused = "cannot be written (Read-only file system); name a folder that can"
    expected = f"exit 2: bench: --output RESULTS: {refused}; {NEXT}"
    told = f"exit {ended.code}: {ended.complaints.replace(str(bench.results), 'RESULTS')}; {again}"
    judge("results folder read-only", expected, told)
    expected = "exit 1: bench: RUN: the report cannot be written there (Read-only file system); its tables shown"
    tables = "its tables shown" if "mlp" in shown.said else "nothing shown"
    told = f"exit {shown.code}: {shown.complaints.replace(str(folder), 'RUN')}; {tables}"
    judge("report in a folder read-only", expected, told)


def test_a_clock_set_back_leaves_the_runs_in_their_order(bench, judge):
    bench.next()
    earlier = bench.latest()
    ahead = earlier.rename(earlier.with_name("20990101T000000Z-abcd"))
    ended = bench.run()
    newest = bench.latest()
    latest = "the newest is latest" if newest != ahead else "the older one is latest"
    said = "said" if "the clock is behind the newest run here" in ended.said else "not said"

    judge("clock set back", "exit 0; the newest is latest; said", f"exit {ended.code}; {latest}; {said}")


DAMAGES = {
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda _text: "",
    "huge": lambda text: text + " " * LARGEST_BYTES,
    "deep": lambda text: text.replace('"epochs": [', '"epochs": ' + "[" * 10**5, 1),
    "NaN": lambda text: re.sub(r'"seconds": [\d.e-]+', '"seconds": NaN', text),
    "of wrong types": lambda text: re.sub(r'"seconds": [\d.e-]+', '"seconds": {"a": []}', text),
    "with a path in a name": lambda text: text.replace('"mlp"', '"../../../outside"'),
}


@pytest.mark.parametrize(("damage", "change_text"), DAMAGES.items())
def test_a_damaged_record_is_left_out_by_name_and_nothing_else(bench, judge, damage, change_text):
    bench.next()
    folder = bench.latest()
    path = next((folder / "launches").glob("*torch*.json"))
    bench.keep()
    text = path.read_text()
    path.write_text(change_text(text))
    ended = bench.run("report", folder.name, f"--output={bench.results}")
    named = "its file named" if path.name.replace("-", " ")[:20] in ended.said.replace("-", " ") else "not named"
    rows = (folder / "cases.csv").read_text().count(",ok,")
    path.write_text(text)  # the others have to be as they were

    judge(f"record {damage}", "exit 1; its file named; 2 of 3 ok", f"exit {ended.code}; {named}; {rows} of 3 ok")


def test_a_keras_file_with_code_in_it_is_refused_before_anything_runs(bench, judge, tmp_path):
    config = {
        "class_name": "Sequential",
        "module": "keras",
        "config": {"layers": [{"class_name": "Lambda", "module": "keras.layers", "config": {"name": "evil"}}]},
    }
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    bench.options = [word for word in bench.options if "workloads" not in word]
    ended = bench.run("run", f"--workloads={tmp_path / 'evil.keras'}", "--dataset=fashion_mnist")
    told = ended.complaints.replace(f"{tmp_path}/", "")
    made = "no run" if not bench.results.exists() else "a run"

    expected = (
        "exit 2: bench: evil.keras: holds or names code (Lambda evil) that would run with your rights when it is loaded"
        "; if you trust where it comes from, add --unsafe; no run"
    )
    judge(".keras file with code", expected, f"exit {ended.code}: {told}; {made}")


def test_credentials_reach_nobody_unless_passed_by_name(bench, judge, tmp_path):
    names = ("HF_TOKEN", "AWS_PROFILE", "MY_API_KEY", "DB_PASSWORD", "PGPASSWORD", "accessToken", "SSHPASS", "API_KEY1")
    secrets = dict.fromkeys((*names, "MYSQL_PWD", "GITHUB_PAT"), "s3cret")
    secrets |= {"DATABASE_URL": "postgres://me:s3cret@host/db", "HTTPS_PROXY": "http://me:s3cret@proxy:3128"}
    seen = {**secrets, "FAKE_SEEN": str(tmp_path / "seen")}
    bench.run("run", **seen)
    without = [name for name in secrets if name in json.loads((tmp_path / "seen").read_text())]
    bench.run("run", "--pass-env=HF_TOKEN", **seen)
    passed = [name for name in secrets if name in json.loads((tmp_path / "seen").read_text())]
    written = [path for path in bench.results.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]

    expected = "seen: none; with --pass-env=HF_TOKEN: HF_TOKEN; in files: 0"
    told = (
        f"seen: {', '.join(without) or 'none'}; with --pass-env=HF_TOKEN: {', '.join(passed)}; in files: {len(written)}"
    )
    judge("credentials in the environment", expected, told)


TINY = """
[dependency-groups]
bench = ["iniconfig==2.3.0"]
tests = []
worker-tests = []
lint = []
audit = []
backend-jax = ["iniconfig==2.3.0"]
"""


def test_a_half_built_environment_is_built_anew(judge, tmp_path_factory):
    project = tmp_path_factory.mktemp("p") / "p"  # short: nox gives an environment in a long path another name
    others = shutil.ignore_patterns("torch", "tensorflow", "openvino", "__pycache__")
    shutil.copytree(ROOT / "bench", project / "bench", ignore=others)
    shutil.copytree(ROOT / "models", project / "models")
    shutil.copy(ROOT / "noxfile.py", project)
    (project / "pyproject.toml").write_text(TINY)
    command = [sys.executable, "-m", "nox", "--envdir", str(project / ".nox"), "-s", "env(jax)"]
    process = subprocess.Popen(
        command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    half = project / ".nox" / "env-jax"
    deadline = time.monotonic() + 60
    while not (half / "bin" / "python").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (half / "left over").touch()
    told = ["stamped" if (half / environments.STAMP).exists() else "no stamp"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    told += [f"next build exit {done.returncode}", "stamped" if (half / environments.STAMP).exists() else "no stamp"]
    told += ["anew" if not (half / "left over").exists() else "on top"]

    judge("environment half-built", "no stamp; next build exit 0; stamped; anew", "; ".join(told))
