"""What a report says of the nodes of a cluster."""

import io
import json
import zipfile

import pandas as pd
import pytest
from rich.console import Console
from support.altered import on_nodes, several_launches

from bench import report
from bench.analysis import analyse
from bench.report import bundle
from bench.report.forms import files, terminal
from bench.report.pages import run as run_page
from bench.report.parts import nodes

FASTER = {"jax": 1.0, "tensorflow": 1.5, "torch": 2.0}


def seconds(backend, repetition):
    return FASTER[backend] * (1 + 0.01 * ((repetition + len(backend)) ** 2 % 5))


@pytest.fixture
def alike(recorded_run):
    """Six repetitions on three nodes that are alike."""
    several_launches(recorded_run, 6, seconds)
    on_nodes(recorded_run, lambda number: f"n{number % 3 + 1}")
    return recorded_run


@pytest.fixture
def apart(recorded_run):
    """Eight repetitions on two nodes, on the second of which torch takes half as long again."""

    def slower(backend, repetition):
        return seconds(backend, repetition) * (1.5 if backend == "torch" and repetition % 2 else 1.0)

    several_launches(recorded_run, 8, slower)
    on_nodes(recorded_run, lambda number: f"n{number % 2 + 1}")
    return recorded_run


def test_for_programs_a_run_says_what_its_nodes_are(alike):
    analysis = analyse(alike)
    found = json.loads(files.to_json(analysis, run_page.page(analysis)))

    assert [*found["machines"]] == ["n1", "n2", "n3"]
    assert found["machines"]["n1"]["cpu"] == "AMD EPYC"


def test_a_local_run_says_nothing_of_nodes(recorded_run):
    analysis = analyse(recorded_run)
    page = report.write(analysis, recorded_run)

    assert nodes.tables(analysis) == []
    assert list(nodes.sentences(analysis)) == []
    assert not any("node" in name for name, _ in page.facts)
    assert not list(recorded_run.glob("node*.csv"))


def test_a_table_has_each_node_s_ratios_below_those_of_all(alike):
    (table,) = nodes.tables(analyse(alike))

    assert table.title == "Nodes: 3 machines; how many times as long, on each"
    assert table.columns[:6] == ["node", "CPU", "GPUs", "launches", "disturbed", "not counted"]
    assert table.columns[6:] == ["tensorflow / jax", "torch / jax"]
    assert [row[0] for row in table.rows] == ["all", "n1", "n2", "n3"]
    assert [row[3] for row in table.rows] == ["18", "6", "6", "6"]
    assert all(cell.startswith(("1.4", "1.5", "1.6")) for cell in (row[6] for row in table.rows))


def test_where_each_gpu_had_a_launch_the_page_says_so_and_how_many_each_had(alike):
    on_nodes(alike, lambda number: f"n{number % 3 + 1}", gpu=lambda number: number // 3)
    analysis = analyse(alike)
    (table,) = nodes.tables(analysis)
    _, said = nodes.sentences(analysis)
    launches = pd.read_csv(io.StringIO(files.downloads(analysis)["launches.csv"]))

    assert table.columns[:5] == ["node", "CPU", "GPUs", "launches", "by GPU"]
    assert [row[4] for row in table.rows] == ["–", "0: 3, 1: 3", "0: 3, 1: 3", "0: 3, 1: 3"]
    assert said.text.startswith(
        "A launch had one GPU of its node and a part of the CPUs, while others ran on its other"
    )
    assert set(launches["gpu"]) == {0, 1}


def test_a_run_says_whether_it_is_about_its_nodes_alone_or_any_of_their_kind(recorded_run):
    several_launches(recorded_run, 8, seconds)
    on_nodes(recorded_run, lambda number: f"n{number % 3 + 1}")
    few = run_page.page(analyse(recorded_run))
    on_nodes(recorded_run, lambda number: f"n{number % 4 + 1}")
    enough = run_page.page(analyse(recorded_run))

    assert "Measured on 3 nodes: fewer than 4 say little of others, and a ratio is about these alone." in texts(few)
    assert any(
        one.endswith("on 4 nodes: each counts as one value, and a ratio is about any node of their kind.")
        for one in texts(enough)
    )
    assert enough.place == "these machines"


def test_what_nodes_did_side_by_side_is_shared_out_of_all_their_time(alike):
    description = json.loads((alike / "run.json").read_text())
    (alike / "run.json").write_text(json.dumps({**description, "wall_seconds": 1.0}))
    spent = dict(run_page.page(analyse(alike)).facts)["wall time"]

    assert spent.startswith("1 s; ")
    assert " s of all nodes together: epochs " in spent
    assert "prepare" not in spent


def texts(page):
    return [one.text for one in page.verdicts]


def test_the_table_stands_in_every_form_and_beside_it(alike):
    analysis = analyse(alike)
    page = report.write(analysis, alike)
    console = Console(file=io.StringIO(), width=200)
    terminal.show(page, None, console)

    for text in (console.file.getvalue(), *((alike / name).read_text() for name in ("report.md", "report.html"))):
        assert "Nodes: 3 machines" in text
    assert list(pd.read_csv(alike / "nodes.csv")["node"]) == ["n1", "n2", "n3"]
    assert len(pd.read_csv(alike / "node_ratios.csv")) == 2 * 3
    assert "On these machines" in (alike / "report.html").read_text()
    on_nodes(alike, lambda number: f"n{number % 3 + 1}", {"n1": {"cpu": "another CPU"}})
    assert run_page.where(analyse(alike)).startswith("3 nodes, the first of them another CPU, ")


def test_nodes_that_differ_in_a_ratio_are_told_with_both(apart):
    said = [one.text for one in run_page.page(analyse(apart)).verdicts]
    (mlp,) = [one for one in said if one.startswith("mlp on cpu: on n")]

    assert mlp.startswith("mlp on cpu: on n1 torch takes 1.99 [")
    assert " times as long as jax, on n2 3.02 [" in mlp
    assert mlp.endswith("]: these nodes are not alike.")
    assert not any("tensorflow takes" in one for one in said if "these nodes are not alike" in one)
    (table,) = nodes.tables(analyse(apart))
    assert table.notes[0] == "about any node of their kind: torch / jax; about these nodes alone: tensorflow / jax"


def test_what_is_undecided_because_nodes_differ_asks_for_more_nodes(apart):
    said = [one.text for one in run_page.page(analyse(apart)).remarks]

    assert any(" nodes decide it, if mean and spread stay as they are" in one for one in said)


def test_unlike_nodes_are_told_with_what_they_do_not_share(alike):
    on_nodes(alike, lambda number: f"n{number % 3 + 1}", {"n3": {"cpu": "another CPU"}})
    analysis = analyse(alike)
    about, said = nodes.sentences(analysis)

    assert about.text == "Measured on 3 nodes: each counts as one value, and a ratio is about any node of their kind."
    assert said.text.startswith("The nodes are unlike: CPU ")
    assert said.text.endswith("another CPU on n3. So a ratio is about a node of such a mixture.")


def test_of_many_nodes_the_first_are_shown_and_the_others_counted(recorded_run):
    several_launches(recorded_run, 23, seconds)
    on_nodes(recorded_run, lambda number: f"n{number:03}")
    (table,) = nodes.tables(analyse(recorded_run))

    assert len(table.rows) == 1 + nodes.MOST
    assert table.notes[-1].startswith("3 nodes more stand in nodes.csv")


def test_a_bundle_tells_nodes_apart_without_their_names(alike, tmp_path):
    on_nodes(alike, lambda number: ["anna-pc", "bob-pc.example.org", "anna-pc"][number % 3])
    bundle.write(alike, tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("report.md")]
        text = archive.read(name).decode()

    assert "| machine-1 | " in text
    assert "| machine-2 | " in text
    assert "-pc" not in text


def test_a_node_whose_name_is_a_number_keeps_it_in_a_bundle(alike):
    on_nodes(alike, lambda number: str(number % 3))

    assert not {"0", "1", "2"} & set(bundle._names(alike))
    assert list(json.loads((alike / "run.json").read_text())["nodes"]) == ["0", "1", "2"]
