"""Whole runs, with an interpreter that plays back recorded launches."""

import io
import json
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from support import fake_nvml
from support.altered import on_nodes
from support.playback import launches, state

from bench import report
from bench.analysis import analyse
from bench.contract import files
from bench.contract.errors import RunError, UsageError
from bench.contract.paths import ROOT
from bench.contract.results import find_run
from bench.launch.outcome import Outcome
from bench.machine import environments, nvidia
from bench.machine.fingerprint import memory_mib
from bench.places import place
from bench.plan.parse import parse_parity
from bench.run import devices, one_launch, prepare
from bench.run import folder as folders
from bench.run import launches as launching
from bench.run.console import RunConsole
from bench.run.parity import parity


@pytest.fixture
def climb(fake):
    said = io.StringIO()

    def start(*arguments):
        return parity(parse_parity([*fake, *arguments]), RunConsole(file=said, width=200))

    start.said = said
    return start


def take_away(monkeypatch, *backends):
    """Let these backends have no environment."""
    monkeypatch.setattr(
        environments, "interpreter", lambda backend, given, _packages: None if backend in backends else given[backend]
    )


def has_ended(number):
    """Whether a process runs no more; one whose end nobody has asked for yet is still in the list."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def interrupted(words, number, folder, pid):
    """What a command says that gets a signal while its worker hangs: it fails in good order, and so ends its worker."""
    # A shell that starts the tests in the background ignores Ctrl-C, and nohup SIGHUP, for all that descend from it.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[0] = 'bench'; "
    code += "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    command = [sys.executable, "-c", code + "from bench.__main__ import main; sys.exit(main(sys.argv[1:]))", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(folder.glob(pid)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        try:
            said, complaints = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()  # else leaving the context would wait for it for ever
            raise

    assert process.returncode == 1
    assert "Traceback" not in complaints
    (path,) = folder.glob(pid)
    assert has_ended(int(path.read_text()))
    return said


@pytest.fixture(scope="module")
def whole(measure_once):
    """The folder of a run of three launches of each backend, and what it said; nobody changes it."""
    return measure_once(), measure_once.said.getvalue()


def test_a_run_leaves_a_record_for_every_launch(whole):
    folder, _ = whole

    assert state(folder) == "finished"
    assert [launch["status"] for launch in launches(folder)] == ["ok"] * 9
    assert {(launch["repetition"], launch["seed"]) for launch in launches(folder, "torch")} == {(0, 0), (1, 1), (2, 2)}


def test_the_backends_take_turns(whole):
    folder, _ = whole
    names = sorted((folder / "logs").glob("r*.log"), key=lambda path: path.stat().st_mtime_ns)

    assert [name.name[:4] for name in names] == ["r000"] * 3 + ["r001"] * 3 + ["r002"] * 3
    assert [name.stem.split("-")[3] for name in names[:6]] == [
        "jax",
        "tensorflow",
        "torch",
        "torch",
        "tensorflow",
        "jax",
    ]


def test_nothing_but_records_lies_among_the_records(whole):
    folder, _ = whole

    assert all(path.name.startswith("r0") for path in (folder / "launches").iterdir())


def test_a_plain_line_says_how_each_launch_went(whole):
    _, said = whole

    assert "[1/9] mlp jax cpu fit batch 128: " in said
    assert "9 launches (3 of each case), about" in said


def test_what_a_run_says_stands_in_its_log_with_times(whole):
    folder, printed = whole
    lines = (folder / "run.log").read_text().splitlines()
    said = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)", line)[1] for line in lines]

    assert said == printed.splitlines()
    assert sum(bool(re.match(r"\[\d/9\] ", line)) for line in said) == 9


def test_a_quiet_console_prints_nothing_and_logs_all_the_same(tmp_path):
    printed = io.StringIO()
    console = RunConsole(file=printed, quiet=True)
    console.say("before there is a run")
    console.log_to(tmp_path / "run.log")
    console.say("and after")

    assert printed.getvalue() == ""
    assert [line.partition(" ")[2] for line in (tmp_path / "run.log").read_text().splitlines()] == [
        "before there is a run",
        "and after",
    ]


def test_a_log_that_cannot_be_written_ends_no_measurement(tmp_path):
    console = RunConsole(file=io.StringIO())
    console.log_to(tmp_path / "missing" / "run.log")
    console.say("still here")

    assert console.file.getvalue() == "still here\n"


def test_a_gpu_that_an_environment_cannot_use_is_skipped(measure, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml.library(fake_nvml.H100))
    for name in (nvidia.VISIBLE, nvidia.ORDER):
        monkeypatch.setenv(name, "0")  # so that what the run sets is taken back
    monkeypatch.setattr(devices, "without_gpu", lambda pythons: dict.fromkeys(pythons, "sees no GPU"))
    folder = measure("--devices=gpu,cpu", "--numerics=float32", "--tracks=fit")
    analysis = analyse(folder)

    assert len(launches(folder)) == 9
    assert set(analysis.cases["status"]) == {"ok", "skipped"}
    assert analysis.problems == []


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("killed", "failed", "killed by signal 9 (SIGKILL)"),
        ("no backend", "failed", "exit status 1: ModuleNotFoundError: No module named 'torch'"),
        ("no record", "failed", "left no usable record"),
        ("half a record", "failed", "left no usable record"),
        ("hangs", "timeout", "no end after 4 s; killed"),
    ],
)
def test_a_worker_at_fault_becomes_a_record_and_the_run_goes_on(measure, monkeypatch, fault, status, reason):
    monkeypatch.setenv("FAKE_FAULT", f"torch:{fault}")
    monkeypatch.setattr(launching, "LIMIT_SECONDS", 4.0)
    monkeypatch.setattr(launching, "GUESS_FACTOR", 0.0)
    folder = measure()

    assert state(folder) == "finished"
    assert [launch["status"] for launch in launches(folder, "jax")] == ["ok"] * 3
    for launch in launches(folder, "torch")[:2]:
        assert launch["status"] == status
        assert reason in launch["reason"]


def test_a_case_is_given_up_after_two_failures_in_a_row(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:killed")
    found = launches(measure(), "torch")

    assert [launch["status"] for launch in found] == ["failed", "failed", "skipped"]
    assert found[-1]["reason"] == "given up after 2 failures in a row"


def test_a_hang_does_not_lengthen_the_next_limit(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:hangs")
    monkeypatch.setattr(launching, "LIMIT_SECONDS", 1.0)
    monkeypatch.setattr(launching, "GUESS_FACTOR", 0.0)
    reasons = {launch["reason"] for launch in launches(measure(), "torch") if launch["status"] == "timeout"}

    assert reasons == {"no end after 1 s; killed"}


def test_a_limit_is_ten_times_the_last_launch_or_the_least(measure, monkeypatch):
    limits = []

    def fake_launch(_command, *, limit_seconds, **_):
        limits.append(limit_seconds)
        return Outcome("ok", "", 100.0 * len(limits))

    monkeypatch.setattr(place, "launch", fake_launch)
    monkeypatch.setattr(one_launch, "_collect", lambda _path, _planned, outcome: (None, outcome))
    measure("--backends=jax", "--samples=128", "--epochs=2")

    assert limits == [300.0, 1_000.0, 2_000.0]


def test_a_backend_without_environment_is_a_row_with_its_cure(measure, monkeypatch):
    take_away(monkeypatch, "torch")
    folder = measure()

    assert all('nox -s "env(torch)"' in launch["reason"] for launch in launches(folder, "torch")[:2])
    assert [launch["status"] for launch in launches(folder, "tensorflow")] == ["ok"] * 3


def test_where_the_reference_has_no_environment_another_backend_prepares(measure, monkeypatch):
    take_away(monkeypatch, "jax")

    assert json.loads((measure() / "run.json").read_text())["prepared_by"] == "tensorflow"


def test_where_no_backend_works_the_run_ends_with_every_reason(measure, monkeypatch, tmp_path):
    take_away(monkeypatch, "jax", "tensorflow", "torch")

    with pytest.raises(RunError, match=r"jax.*tensorflow.*torch"):
        measure()
    assert not (tmp_path / "results").exists()


def test_a_backend_that_refuses_the_workload_is_skipped_with_its_reason(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "jax:refuses")
    folder = measure()
    (planned,) = [
        one for one in json.loads((folder / "run.json").read_text())["plan"] if one["case"]["backend"] == "jax"
    ]

    assert planned["skip"] == "mlp: needs another backend"
    assert launches(folder, "jax") == []
    assert [launch["status"] for launch in launches(folder, "torch")] == ["ok"] * 3


def test_what_lay_in_the_results_folder_stays_there(measure, monkeypatch, tmp_path):
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("FAKE_FAULT", "prepare:error")

    with pytest.raises(UsageError):
        measure()
    assert (tmp_path / "results").exists()


def test_an_unusable_workload_is_a_usage_error_and_leaves_nothing(measure, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_FAULT", "prepare:error")

    with pytest.raises(UsageError, match="does not build"):
        measure()
    assert not (tmp_path / "results").exists()


def test_a_dry_run_lists_the_cases_and_leaves_nothing(measure, tmp_path):
    assert measure("--dry-run") is None
    assert "mlp torch cpu fit batch 128: 60000 samples, 10 epochs" in measure.said.getvalue()
    assert not (tmp_path / "results").exists()


def test_what_earlier_runs_took_is_what_a_run_is_expected_to_take(measure):
    folder = measure()
    for path in (folder / "launches").iterdir():
        content = files.load(path)
        files.write(path, {**content, "launch": {**content["launch"], "wall_seconds": 77.0}})
    measure("--dry-run")

    assert "mlp jax cpu fit batch 128: 60000 samples, 10 epochs; a launch took about 77 s" in measure.said.getvalue()


def test_what_nodes_took_says_nothing_of_this_machine_and_hides_nothing(measure, tmp_path):
    on_nodes(measure(), lambda _: "n1")
    measure("--dry-run")
    assert "a launch took" not in measure.said.getvalue()

    measure()
    for _ in range(folders.RUNS_LOOKED_AT):
        on_nodes(measure("--launches=1"), lambda _: "n1")
    kinds = [machine.kind for machine in folders.nodes_of(max((tmp_path / "results").iterdir())).values()]
    of_others = [{**kinds[0], "CPU": "another CPU"}]
    known = [len(folders.known_seconds(tmp_path / "results", these)) for these in ([], kinds, of_others)]

    assert known == [3, 3, 0]


def test_a_results_folder_that_cannot_be_written_is_said_before_anything_runs(measure, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        measure(f"--output={tmp_path / 'file' / 'results'}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("hanging", "measured"), [("jax", []), ("tensorflow", ["jax"])])
def test_an_interruption_leaves_a_run_that_can_be_read(fake, tmp_path, monkeypatch, number, hanging, measured):
    monkeypatch.setenv("FAKE_FAULT", f"{hanging}:hangs")
    said = interrupted(["run", *fake, "--no-parity"], number, tmp_path, "results/*/launches/.r000*.pid")
    folder = find_run("latest", tmp_path / "results")

    assert "interrupted: what was measured is kept" in said
    assert state(folder) == "interrupted"
    assert [launch["case"]["backend"] for launch in launches(folder)] == measured
    assert (folder / "report.md").exists()


def test_a_failed_case_shows_in_the_exit_status(fake, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:killed")
    command = [sys.executable, "-m", "bench", "run", *fake, "--launches=3", "--no-parity"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "0 of 3 launches ok; killed by signal 9 (SIGKILL)" in " ".join(done.stdout.split())


def test_a_run_is_found_by_id_by_path_and_as_the_latest(measure):
    first, second = measure(), measure()
    output = first.parent

    assert find_run(first.name, output) == first
    assert find_run(str(first), output / "elsewhere") == first
    assert find_run("latest", output) == max(first, second)


def test_an_unknown_run_is_answered_with_the_known_ones(whole):
    folder, _ = whole

    with pytest.raises(UsageError, match=folder.name):
        find_run("yesterday", folder.parent)


def test_parity_is_climbed_before_anything_is_measured(measure):
    folder = measure(parity=True)
    said = measure.said.getvalue()

    assert (
        said.index("parity: torch cpu float32: climbed") < said.index("all ladders of 20 steps") < said.index("[1/9]")
    )
    assert analyse(folder).problems == []
    assert set(analyse(folder).parity.table["numerics"]) == {"float64", "float32"}


def test_a_broken_ladder_is_told_first_and_fails_the_run(measure, monkeypatch):
    monkeypatch.setenv("FAKE_LADDER", "torch:parts")
    folder = measure(parity=True)
    said = measure.said.getvalue()
    (problem,) = analyse(folder).problems

    assert said.index("mlp torch cpu float64 parts from jax float64 at outputs, dense") < said.index("[1/9]")
    assert problem.startswith("parity: mlp torch cpu float64 parts from jax")
    assert len(launches(folder)) == 9


def test_a_workload_too_large_for_every_device_is_skipped(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "prepare:large")
    folder = measure(parity=True)
    said = measure.said.getvalue()
    analysis = analyse(folder)

    assert said.count("parity: not climbed, being made for a GPU: mlp") == 1
    assert "needs 1,000,000,000 MiB of memory, the cpu has" in said
    assert (analysis.problems, launches(folder), list((folder / "ladders").iterdir())) == ([], [], [])
    assert set(analysis.cases["status"]) == {"skipped"}
    report.write(analysis, folder)


def test_prepare_builds_what_the_largest_device_can_hold(measure, climb):
    logs = [(folder / "logs" / "prepare-jax.log").read_text() for folder in (measure("--launches=1"), climb())]
    told = [float(log.removeprefix("memory-mib ")) for log in logs]

    assert told == pytest.approx([memory_mib([])["cpu"], 0])


def test_without_parity_none_is_climbed_and_none_is_missed(whole):
    folder, _ = whole

    assert analyse(folder).parity is None
    assert not list((folder / "ladders").iterdir())


def test_a_parity_run_is_a_run_of_its_own(climb):
    folder = climb("--seeds=2", "--steps=5")
    analysis = analyse(folder)

    assert state(folder) == "finished"
    assert len(list((folder / "ladders").iterdir())) == 3 * 2 * (4 + 1)  # exact mode is climbed by fit, loop and native
    assert set(analysis.parity.table["seed"]) == {0, 1}
    assert analysis.problems == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("killed", "parity: torch cpu float64 was not climbed: failed, killed by signal 9 (SIGKILL)"),
        ("no backend", "parity: torch cpu float64 was not climbed: failed, exit status 1: ModuleNotFoundError"),
        ("no record", "parity: mlp: torch cpu float64 left no recording of seed 0"),
        ("parts", "parity: mlp torch cpu float64 parts from jax float64 at outputs, dense"),
    ],
)
def test_a_ladder_at_fault_is_told_and_the_others_are_climbed(climb, monkeypatch, fault, reason):
    monkeypatch.setenv("FAKE_LADDER", f"torch:{fault}")
    analysis = analyse(climb())

    assert analysis.problems[0].startswith(reason)
    assert "tensorflow" in set(analysis.parity.table["backend"])


def test_a_ladder_that_hangs_is_ended(climb, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_LADDER", "torch:hangs")
    monkeypatch.setenv("FAKE_PID", str(tmp_path / "worker"))
    monkeypatch.setattr("bench.run.ladders.LIMIT_SECONDS", 2.0)
    monkeypatch.setattr("bench.run.ladders.STEP_FACTOR", 0.0)
    analysis = analyse(climb("--numerics=float64"))

    assert analysis.problems == ["parity: torch cpu float64 was not climbed: timeout, no end after 2 s; killed"]


def test_tf32_is_skipped_where_there_is_no_gpu(climb):
    folder = climb("--numerics=tf32")
    skipped = [one for one in json.loads((folder / "run.json").read_text())["parity"]["ladders"] if one["skip"]]

    assert {one["reason"] for one in skipped} == {"a CPU has no TF32"}
    assert analyse(folder).problems == []


def test_an_interrupted_parity_run_can_be_read(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LADDER", "tensorflow:hangs")
    monkeypatch.setenv("FAKE_PID", str(tmp_path / "worker"))
    said = interrupted(["parity", *fake], signal.SIGINT, tmp_path, "worker.pid")
    folder = find_run("latest", tmp_path / "results")

    assert "interrupted: what was recorded is kept" in said
    assert state(folder) == "interrupted"


def test_parity_that_breaks_shows_in_the_exit_status_and_in_the_files(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LADDER", "torch:parts")
    command = [sys.executable, "-m", "bench", "parity", *fake]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    folder = find_run("latest", tmp_path / "results")

    assert done.returncode == 1
    assert "parts at outputs" in done.stdout
    assert "at outputs, dense" in " ".join(done.stdout.split())
    assert "parts from jax float64 at outputs, dense" in (folder / "report.md").read_text()
    assert (
        (folder / "parity.csv")
        .read_text()
        .startswith("workload,backend,reference,device,numerics,track,optimizer,variant,device_count,seed,rung")
    )


def test_a_parity_report_says_what_is_proved(climb):
    folder = climb()
    report.write(analyse(folder), folder)
    page = (folder / "report.md").read_text()

    assert "mlp: tensorflow and torch compute what jax computes, in exact mode on every rung of 300 steps." in page
    assert "float32 is closest to exact mode" in page
    assert "| mlp | torch cpu | fit | proved | 0e+00 |" in page
    assert not (folder / "cases.csv").exists()


def test_a_parity_run_does_not_hide_what_earlier_runs_took(measure, climb):
    measure()
    for _ in range(6):
        climb("--numerics=float64", "--backends=jax,torch")
    measure("--dry-run")

    assert "a launch took about" in measure.said.getvalue()


def test_the_machines_ceiling_is_measured_once_a_run_and_shown(whole):
    folder, said = whole
    ceilings = json.loads((folder / "run.json").read_text())["ceilings"]

    assert ceilings == {"cpu": {"jax": 3e9, "tensorflow": 1e10, "torch": 5e9}}
    assert "ceiling on cpu, GFLOP/s in a matrix product: jax 3, tensorflow 10, torch 5" in said


def test_a_backend_without_a_ceiling_is_said_and_the_run_goes_on(measure, monkeypatch):
    monkeypatch.setenv("FAKE_CEILING", "torch:no backend")
    folder = measure("--launches=1")

    assert set(json.loads((folder / "run.json").read_text())["ceilings"]["cpu"]) == {"jax", "tensorflow"}
    assert "ceiling: torch cpu: exit status 1: ModuleNotFoundError: No module named" in measure.said.getvalue()
    assert state(folder) == "finished"


def test_a_disturbed_ceiling_is_measured_anew_and_the_fastest_counts(measure, monkeypatch):
    answers = iter([(4e9, 0.5), (5e9, 0.0), (2e9, 0.0)])

    def ask(*_):
        speed, stolen = next(answers)
        return {"flops_per_second": speed, "seconds": 1.0, "steal_fraction": stolen, "other_cpu_seconds": 0.0}

    monkeypatch.setattr("bench.run.ceiling.ask", ask)
    folder = measure("--backends=jax", "--samples=128", "--epochs=2", "--profile=default", "--launches=2")

    assert json.loads((folder / "run.json").read_text())["ceilings"] == {"cpu": {"jax": 5e9}}
    assert next(answers, None) is None  # once after the launches too


def test_a_backend_without_an_environment_is_told_how_its_packages_come_in_too(measure, monkeypatch):
    monkeypatch.setattr(
        prepare,
        "interpreters",
        lambda options, _: {name: None if name == "torch" else path for name, path in options.python.items()},
    )
    folder = measure("--backends=jax,torch", "--with=keras-hub")

    assert {one["status"] for one in launches(folder, "-torch-")} <= {"failed", "skipped"}
    assert "nox -s bench -- --with keras-hub" in launches(folder, "-torch-")[0]["reason"]
