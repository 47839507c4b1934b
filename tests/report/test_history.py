"""All runs of a results folder: each case over time, in one page."""

import json

import pytest
from support.altered import many_runs, on_nodes, stretch

from bench import __main__ as command_line
from bench.analysis.history import history
from bench.report.pages import history as history_page

BEFORE, RUNS = 7, 14  # runs before something changes, and in all


@pytest.fixture
def results(tmp_path):
    """Makes a results folder of copies of the recorded run; `change` alters a run or a launch."""
    return lambda change=lambda *_: None, runs=RUNS: many_runs(tmp_path / "results", change, runs)


def is_of(content, **columns):
    """Whether a file is the record of a launch of such a case."""
    return "launch" in content and columns.items() <= content["launch"]["case"].items()


def slower(number, content):
    """From the eighth run on `mlp` takes half as long again on torch."""
    if number >= BEFORE and is_of(content, workload="mlp", backend="torch"):
        stretch(content, 1.5)


def newer(number, content):
    """From the eighth run on torch has another version."""
    if number >= BEFORE and is_of(content, backend="torch"):
        content["launch"]["versions"]["torch"] = "99.0"


def elsewhere(number, content):
    """From the eighth run on the machine has another processor."""
    if number >= BEFORE and "machine" in content:
        content["machine"]["cpu"] = "another"


def test_a_step_is_told_with_its_run_and_size_and_nothing_else_is(results):
    found = history(results(slower)).steps

    assert set(zip(found["workload"], found["backend"], found["value"], strict=True)) == {
        ("mlp", "torch", "epoch_seconds"),
        ("mlp", "torch", "ratio"),
    }
    assert set(found["run"]) == {"20261108T120000Z-0007"}
    assert list(found["factor"]) == pytest.approx([1.5, 1.5], rel=0.02)


def test_without_a_step_none_is_told(results):
    assert history(results()).steps.empty


def test_a_change_of_versions_is_told_where_it_came_and_for_its_backend_alone(results):
    (change,) = history(results(newer)).changes.to_dict("records")

    assert (change["backend"], change["run"]) == ("torch", "20261108T120000Z-0007")
    assert "torch" in change["words"]
    assert change["words"].endswith("→ 99.0")


def test_another_machine_has_series_of_its_own_and_makes_no_step(results):
    def change(number, content):
        slower(number, content)
        elsewhere(number, content)

    found = history(results(change))

    assert found.points["machine"].nunique() == 2
    assert found.steps.empty
    assert found.changes.empty


def names(number):
    """Names of two nodes, which no other run has."""
    return lambda repetition: f"n{number}-{repetition % 2}"


def test_runs_on_nodes_of_one_kind_are_one_series_whatever_they_are_called(results):
    folder = results(slower)
    for number, run in enumerate(sorted(folder.iterdir())):
        on_nodes(run, names(number), {f"n{number}-0": {"usable_cpus": [number, number + 1]}})
    found = history(folder)

    assert found.points["machine"].nunique() == 1
    assert set(found.steps["run"]) == {"20261108T120000Z-0007"}
    assert set(found.steps["backend"]) == {"torch"}


def test_a_run_on_nodes_is_never_held_against_runs_of_the_machine_that_started_it(results):
    """The nodes are of the very kind of that machine: a step there would be the cluster's and not the backend's."""
    folder = results(slower)
    for number, run in enumerate(sorted(folder.iterdir())):
        if number >= BEFORE:
            on_nodes(run, names(number))
    found = history(folder)

    assert found.points["machine"].nunique() == 2
    assert [words.startswith("nodes of a cluster: CPU AMD EPYC") for words in found.runs["machine"]] == (
        [False] * BEFORE + [True] * (RUNS - BEFORE)
    )
    assert found.steps.empty
    assert found.changes.empty


def test_nodes_with_another_driver_are_another_machine(results):
    folder = results(slower)
    for number, run in enumerate(sorted(folder.iterdir())):
        gpu = {"name": "H200", "driver": "570" if number < BEFORE else "580"}
        on_nodes(run, lambda _: "n1", {"n1": {"gpus": ["H200"], "gpu": gpu}})
    found = history(folder)

    assert [words.count("driver 570") for words in found.points["machine"].unique()] == [1, 0]
    assert found.steps.empty


def test_of_a_run_on_unlike_nodes_each_kind_stands_by_itself(results):
    """Repetition 1 ran on another kind of node, where all takes ten times as long."""

    def change(_number, content):
        if "launch" in content and content["launch"]["repetition"] == 1:
            stretch(content, 10)

    alike, mixed = sorted(results(change, runs=2).iterdir())
    on_nodes(alike, lambda _: "a")
    on_nodes(mixed, lambda number: "b" if number == 1 else "a", {"b": {"cpu": "another CPU"}})
    found = history(alike, mixed)
    (machine, other) = found.points["machine"].unique()
    of_torch = found.points[found.points["backend"].eq("torch") & found.points["workload"].eq("mlp")]
    page = history_page.page(found)

    assert list(of_torch["machine"]) == [machine, machine, other]
    assert list(of_torch["launches"]) == [3, 2, 1]
    assert of_torch["epoch_seconds"].iloc[2] > 5 * of_torch["epoch_seconds"].iloc[1]
    assert "another CPU" in other
    assert list(found.runs["run"]) == [alike.name, mixed.name, mixed.name]
    assert history_page.where(found) == "2 runs on 2 machines, which are kept apart"
    assert f"{mixed.name} was measured on nodes of 2 kinds, each of which stands by itself" in page.tables[0].notes


def test_nodes_that_run_json_does_not_describe_are_like_no_others(results):
    folder = results(runs=2)
    for run in folder.iterdir():
        on_nodes(run, lambda _: "n1")
        description = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**description, "nodes": {}}))

    assert history(folder).points["machine"].nunique() == 2


def test_the_page_marks_steps_and_changes_and_leads_to_each_runs_page(results):
    def change(number, content):
        slower(number, content)
        newer(number, content)

    folder = results(change)
    (folder / "20261101T120000Z-0000" / "report.html").write_text("a page")
    status = command_line.main(["history", "--output", str(folder)])
    text = (folder / "history.html").read_text()

    assert status == 0
    assert "mlp torch" in text
    assert "stepped by a factor of 1.50 with run 20261108T120000Z-0007" in text
    assert "→ 99.0, from run 20261108T120000Z-0007 on" in text
    assert 'href="20261101T120000Z-0000/report.html"' in text
    assert 'href="20261102T120000Z-0001/report.html"' not in text


def test_a_folder_that_is_no_run_is_left_out_and_named(results):
    folder = results(runs=2)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    found = history(folder)

    assert len(found.runs) == 2
    assert ["broken" in words for words in found.left_out] == [True]


def test_without_a_run_there_is_one_line_and_no_page(tmp_path, capsys):
    status = command_line.main(["history", "--output", str(tmp_path)])

    assert status == 2
    assert "no run" in capsys.readouterr().err.lower()
    assert not (tmp_path / "history.html").exists()


def test_too_few_runs_tell_no_step_and_say_so(results):
    folder = results(slower, runs=BEFORE + 2)
    found = history(folder)
    command_line.main(["history", "--output", str(folder)])

    assert found.fewest > BEFORE + 2
    assert found.steps.empty
    assert f"a step is told from {found.fewest} runs of a case on" in (folder / "history.html").read_text()


def test_runs_of_several_places_and_bundles_are_joined_each_counted_once(results, tmp_path, capsys):
    folder = results(elsewhere, runs=BEFORE + 1)
    first, *_, last = sorted(folder.glob("2*"))
    bundle = tmp_path / "last.zip"
    assert command_line.main(["report", str(last), "--bundle", str(bundle)]) == 0
    found = history(first, bundle, last)

    assert list(found.runs["run"]) == [first.name, last.name]
    assert found.points["machine"].nunique() == 2
    assert found.left_out == [f"{last.name}: is there twice, and counts once"]

    capsys.readouterr()
    status = command_line.main(["history", str(first), str(bundle), "--output", str(tmp_path / "page")])
    assert status == 0
    assert "2 runs on 2 machines" in (tmp_path / "page" / "history.html").read_text()


def test_versions_are_an_axis_of_their_own_in_their_order(results):
    def change(number, content):
        if is_of(content, backend="torch"):
            content["launch"]["versions"]["torch"] = ("2.9.1", "2.13.0", "2.13.0.dev1")[number % 3]

    found = history(results(change, runs=6))
    pictures = history_page.sections(found, history_page.page(found))[2].figures

    assert [one.title for one in pictures] == ["mlp on cpu: torch", "cnn on cpu: torch"]
    assert pictures[0].layout["xaxis"]["categoryarray"] == ["2.9.1", "2.13.0.dev1", "2.13.0"]
    (trace,) = pictures[0].traces
    assert trace["x"] == ["2.9.1", "2.13.0", "2.13.0.dev1"] * 2
    assert len(trace["y"]) == 6


@pytest.mark.parametrize(
    ("name", "words"), [("nothing", "no run 'nothing'"), ("page.zip", "page.zip: is no bundle of a run")]
)
def test_a_place_that_holds_no_run_is_refused_in_a_line(tmp_path, capsys, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.zip").write_text("no archive")

    assert command_line.main(["history", name, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
