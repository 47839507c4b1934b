"""An explanation as a run: processes that take turns, what is kept of them, and what fails."""

import io
import json

import pytest

from bench.analysis import analyse
from bench.contract.errors import UsageError
from bench.plan.parse import parse_explain, parse_run
from bench.report import write
from bench.run.console import RunConsole
from bench.run.explain import explain
from bench.run.measure import run


@pytest.fixture
def take_apart(fake):
    """Explains in this process; `said` has what it says."""
    said = io.StringIO()

    def start(*arguments):
        return explain(parse_explain([*fake, *arguments]), RunConsole(file=said, width=200))

    start.said = said
    return start


def test_backends_take_turns_and_each_begins_once(take_apart):
    folder = take_apart()
    lines = [line.split() for line in take_apart.said.getvalue().splitlines() if line.startswith("explain: ")]

    assert [words[2] for words in lines[::3]] == ["jax", "tensorflow", "torch"]
    assert len(list((folder / "explain").iterdir())) == 9
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"


def test_the_report_says_where_the_time_goes_and_what_to_do(take_apart):
    folder = take_apart()
    page = write(analyse(folder), folder)

    assert "Where a step's time goes: mlp on cpu, milliseconds" in [table.title for table in page.tables]
    assert len([said for said in page.verdicts if said.text.startswith("what to do: mlp on cpu, ")]) == 3
    assert (folder / "explain.csv").read_text().startswith("workload,device,backend,part,seconds")
    assert "steps_per_execution=16" in (folder / "report.html").read_text()


def test_one_process_of_each_backend_traces_its_operations(take_apart):
    folder = take_apart()
    page = write(analyse(folder), folder)
    traced = [path.stem for path in (folder / "explain").iterdir() if "operations" in json.loads(path.read_text())]

    assert sorted(traced) == [f"0-mlp-seed0-{backend}-cpu" for backend in ("jax", "tensorflow", "torch")]
    assert "Layers and operations: mlp on cpu, milliseconds a step" in [table.title for table in page.tables]
    assert (folder / "operations.csv").read_text().splitlines()[:2] == [
        "workload,device,backend,layer,phase,operation,seconds,share,calls",
        "mlp,cpu,jax,dense,forward,MatMul,0.001,1.0,1.0",
    ]
    assert "explain/0-mlp-seed0-torch-cpu-trace, for TensorBoard" in (folder / "report.md").read_text()


def test_a_process_that_fails_is_a_problem_and_the_others_go_on(take_apart, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:segfault")
    found = analyse(take_apart("--launches=1"))

    (problem,) = found.problems
    assert problem.startswith("explain: mlp torch cpu, seed 0: ")
    assert set(found.explanation.table["backend"]) == {"jax", "tensorflow"}


def test_a_backend_that_refuses_the_workload_is_left_out_with_its_reason(take_apart, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "jax:refuses")
    folder = take_apart("--launches=1")

    assert "mlp: jax cpu is left out: mlp: needs another backend" in take_apart.said.getvalue()
    assert len(list((folder / "explain").iterdir())) == 2


def test_an_option_that_cannot_be_is_refused_in_one_line(fake):
    with pytest.raises(UsageError, match="--launches 0"):
        parse_explain([*fake, "--launches=0"])


def test_a_script_takes_the_place_of_the_workloads(fake, tmp_path):
    (tmp_path / "train.py").write_text("model.fit(x, y)\n")
    without = [word for word in fake if not word.startswith("--workloads")]
    options = parse_explain([*without, f"--script={tmp_path / 'train.py'}", "--fit=2"])

    (workload,) = options.workloads
    assert [one.path for one in options.adopted] == [workload]
    with pytest.raises(UsageError, match="--workloads: a script says itself"):
        parse_explain([*without, f"--script={tmp_path / 'train.py'}", "--workloads=mlp"])
    with pytest.raises(UsageError, match="--fit: says which fit of a --script is taken apart"):
        parse_explain([*without, "--fit=2"])


def test_a_run_is_explained_besides_after_its_launches(measure):
    folder = measure("--explain", "--launches=2")
    page = write(analyse(folder), folder)

    assert len(list((folder / "explain").glob("*.json"))) == 6
    assert len(list((folder / "launches").iterdir())) == 6
    assert "explain" in analyse(folder).spent
    assert [said.text for said in page.verdicts if said.text.startswith("what to do: ")]


def test_a_run_that_goes_on_explains_what_is_not_explained_yet(measure, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:segfault")
    folder = measure("--explain", "--launches=1")
    kept = {path.name: path.stat().st_mtime_ns for path in (folder / "explain").glob("*-jax-*.json")}
    monkeypatch.delenv("FAKE_FAULT")
    state = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**state, "state": "interrupted"}))
    resumed = parse_run([f"--resume={folder.name}", f"--output={folder.parent}"])
    run(resumed, RunConsole(file=io.StringIO()))

    assert {path.name: path.stat().st_mtime_ns for path in (folder / "explain").glob("*-jax-*.json")} == kept
    assert not analyse(folder).explanation.problems
