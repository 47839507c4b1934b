"""One run against another."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.altered import on_nodes

from bench.__main__ import find_commands, parse
from bench.analysis import frames
from bench.analysis.two_runs import NotComparableError, compare
from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.contract.record import DIFFERENCES


@pytest.fixture
def older(recorded_run):
    """The recorded run, of a machine without noise: launches differ by 1 % and no more."""
    for path in sorted((recorded_run / "launches").iterdir()):
        edit(path, lambda launch: steady(launch, 1.0 + 0.01 * launch["repetition"]))
    describe(recorded_run, id="three-launches")
    return recorded_run


@pytest.fixture
def newer(older, tmp_path):
    """Another run with the same launches."""
    folder = Path(shutil.copytree(older, tmp_path / "newer" / "other-run"))
    describe(folder, id="other-run")
    return folder


def edit(path, change):
    content = json.loads(path.read_text())
    change(content["launch"])
    path.write_text(json.dumps(content))


def steady(launch, seconds):
    """Let every epoch take so long."""
    for epoch in launch["epochs"]:
        epoch["seconds"] = seconds


def describe(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change(folder, pattern, how):
    for path in sorted((folder / "launches").glob(pattern)):
        edit(path, how)


def held(newer, older, across=(), margin=0.05):
    return compare(frames.load(newer), frames.load(older), margin, across)


def row(found, workload, backend):
    table = found.table
    (one,) = table[(table["workload"] == workload) & (table["backend"] == backend)].to_dict("records")
    return one


def test_a_run_against_its_like_is_equivalent_in_every_case(newer, older):
    found = held(newer, older)

    assert len(found.table) == 6
    assert set(found.table["verdict"]) == {"equivalent"}
    assert set(found.table["metric_verdict"]) == {"equivalent"}
    assert (found.problems, found.left_out, found.allowed) == ([], [], [])
    assert row(found, "mlp", "torch")["against"] == "run=three-launches"


@pytest.mark.parametrize(("factor", "verdict", "problems"), [(1.2, "slower", 1), (0.8, "faster", 0)])
def test_a_case_that_changed_is_named_and_only_a_slower_one_is_a_problem(newer, older, factor, verdict, problems):
    change(newer, "*mlp-torch*", lambda launch: steady(launch, factor * launch["epochs"][0]["seconds"]))
    found = held(newer, older)

    assert row(found, "mlp", "torch")["verdict"] == verdict
    assert row(found, "mlp", "torch")["ratio"] == pytest.approx(factor)
    assert row(found, "mlp", "jax")["verdict"] == "equivalent"
    assert len(found.problems) == problems


def test_the_margin_is_the_users(newer, older):
    change(newer, "*mlp-torch*", lambda launch: steady(launch, 1.1 * launch["epochs"][0]["seconds"]))

    assert row(held(newer, older, margin=0.05), "mlp", "torch")["verdict"] == "slower"
    assert row(held(newer, older, margin=0.3), "mlp", "torch")["verdict"] == "equivalent"


def test_a_metric_that_changed_is_a_problem(newer, older):
    change(newer, "*cnn-jax*", lambda launch: launch["test"].update(metric=launch["test"]["metric"] - 0.03))
    found = held(newer, older)

    assert row(found, "cnn", "jax")["metric_verdict"] == "different"
    assert found.problems == ["cnn jax cpu fit batch 128 reaches another metric"]


def other_machine(folder):
    machine = json.loads((folder / "run.json").read_text())["machine"]
    describe(folder, machine={**machine, "cpu": "Another CPU"})


def other_samples(folder):
    change(folder, "*", lambda launch: launch["case"].update(samples=12_800))
    description = json.loads((folder / "run.json").read_text())
    for planned in description["plan"]:
        planned["case"]["samples"] = 12_800
    describe(folder, plan=description["plan"])


def other_numerics(folder):
    change(folder, "*", lambda launch: launch["case"].update(numerics="tf32"))
    description = json.loads((folder / "run.json").read_text())
    for planned in description["plan"]:
        planned["case"]["numerics"] = "tf32"
    describe(folder, plan=description["plan"])


@pytest.mark.parametrize(
    ("kind", "alter", "words"),
    [
        ("machine", other_machine, "machine: cpu "),
        ("versions", lambda folder: change(folder, "*", lambda one: one["versions"].update(keras="9.9")), "keras "),
        ("samples", other_samples, "mlp jax cpu fit batch 128: samples 6400 and 12800"),
        ("numerics", other_numerics, "numerics float32 and tf32"),
        ("weights", lambda folder: change(folder, "*", lambda one: one.update(weights_digest="x")), "weights differ"),
        ("weights", lambda folder: change(folder, "*", lambda one: one.update(seed=one["seed"] + 9)), "no seed is in"),
    ],
)
def test_what_else_differs_is_named_and_has_to_be_allowed(newer, older, kind, alter, words):
    alter(newer)

    with pytest.raises(NotComparableError, match=words) as caught:
        held(newer, older, across=[one for one in DIFFERENCES if one != kind])
    assert str(caught.value).endswith(f"allow it with --across {kind}")
    assert any(words in one for one in held(newer, older, across=[kind]).allowed)


def on_two(folder, first="a", second="b", **machines):
    on_nodes(folder, lambda number: (first, second, first)[number], machines)


def test_runs_on_nodes_of_one_kind_are_compared_whatever_they_are_called(newer, older):
    on_two(older, "a", "b", a={"usable_cpus": [0, 1]})
    on_two(newer, "c", "d", d={"usable_cpus": [6, 7]})

    assert held(newer, older).allowed == []


def test_the_machine_that_started_a_run_on_nodes_is_not_what_it_was_measured_on(newer, older):
    on_two(newer)
    words = (
        "machine: three-launches was measured on the machine that it was started on, other-run on nodes of a cluster"
    )
    with pytest.raises(NotComparableError, match=words):
        held(newer, older)
    with pytest.raises(NotComparableError, match="machine: three-launches was measured on the machine that"):
        held(older, newer)
    assert held(newer, older, across=["machine"]).allowed == [words]

    on_two(older)
    other_machine(newer)  # from another one, on the same nodes
    assert held(newer, older).allowed == []


def test_nodes_of_another_kind_are_another_machine(newer, older):
    gpus = {"gpus": ["H200"]}
    on_two(older, a=gpus | {"gpu": {"driver": "570"}}, b=gpus | {"gpu": {"driver": "570"}})
    on_two(newer, a=gpus | {"gpu": {"driver": "580"}}, b=gpus | {"gpu": {"driver": "580"}})

    with pytest.raises(NotComparableError, match=r"^not comparable: machine: nodes: GPU driver 570 and 580; allow it"):
        held(newer, older)


def test_a_run_on_unlike_nodes_is_compared_with_no_other_not_even_with_its_like(newer, older):
    for run in (newer, older):
        on_two(run, b={"cpu": "another CPU"})

    words = r"machine: {} was measured on unlike nodes \(CPU AMD EPYC on a; another CPU on b\)"
    with pytest.raises(NotComparableError, match="; ".join(map(words.format, ("three-launches", "other-run")))):
        held(newer, older)
    assert len(held(newer, older, across=["machine"]).allowed) == 2


def test_a_case_that_only_one_run_has_is_named(newer, older):
    for path in (newer / "launches").glob("*mlp-torch*"):
        path.unlink()
    found = held(newer, older)

    assert found.left_out == ["mlp torch cpu fit batch 128 is only in three-launches"]
    assert len(found.table) == 5


def test_runs_without_a_common_case_are_refused(newer, older):
    for path in (newer / "launches").iterdir():
        path.unlink()

    with pytest.raises(NotComparableError, match="no case has ok launches in both three-launches and other-run"):
        held(newer, older)


def test_a_run_that_is_being_written_is_refused(newer, older):
    describe(newer, state="running")

    with pytest.raises(NotComparableError, match="other-run is still running"):
        held(newer, older)


def test_a_single_launch_is_undecided(newer, older):
    for path in (newer / "launches").glob("r00[12]*"):
        path.unlink()
    found = held(newer, older)

    assert set(found.table["verdict"]) == {"undecided"}
    assert found.problems == []


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.5, 1)])
def test_the_command_prints_the_verdicts_and_its_status_says_whether_one_is_bad(newer, older, factor, status):
    change(newer, "*mlp-torch*", lambda launch: steady(launch, factor * launch["epochs"][0]["seconds"]))
    command = [sys.executable, "-m", "bench", "compare", str(older), str(newer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == status, done.stderr
    assert "mlp torch cpu" in done.stdout
    assert ("has become slower" in done.stdout) is bool(status)


def test_what_cannot_be_compared_is_a_usage_error_in_one_line(newer, older):
    other_machine(newer)
    command = [sys.executable, "-m", "bench", "compare", str(older), str(newer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "allow it with --across machine" in done.stderr


@pytest.mark.parametrize(("word", "margin"), [("3", 3.0), ("2.5%", 2.5)])
def test_the_margin_is_a_percentage(word, margin):
    assert parse(["compare", "a", "b", "--margin", word], find_commands()).margin == margin


@pytest.mark.parametrize("word", ["0", "100", "-3", "nan", "much"])
def test_a_margin_that_is_none_is_refused(word):
    with pytest.raises(UsageError, match="expected a percentage between 0 and 100"):
        parse(["compare", "a", "b", f"--margin={word}"], find_commands())
