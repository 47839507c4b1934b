"""Runs that compare variants: played back, from the launches to the sentence."""

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.playback import described, launches

from bench.analysis import analyse
from bench.contract.errors import RunError
from bench.plan.parse import parse_run
from bench.report.parts import variants
from bench.report.parts.verdicts import verdicts
from bench.run import prepare
from bench.run.console import RunConsole
from bench.run.measure import run

pytestmark = pytest.mark.xdist_group("variants")  # its run is made once
SLOWER = "--vary=env:FAKE_FACTOR=1,1.3"


@pytest.fixture(scope="module")
def slower(measure_once):
    """A run of two backends whose second variant takes 1.3 times as long."""
    folder = measure_once(SLOWER, "--backends=jax,torch")
    return SimpleNamespace(folder=folder, said=measure_once.said.getvalue(), analysis=analyse(folder))


def test_variants_take_turns_within_each_repetition(slower):
    taken = [(one["repetition"], one["case"]["backend"], one["case"]["variant"]) for one in launches(slower.folder)]

    assert len(taken) == 12
    for repetition in range(3):
        assert len({place for place in taken if place[0] == repetition}) == 4


def test_each_backend_is_held_against_its_own_first_variant(slower):
    table = slower.analysis.comparisons.table
    rows = table[table["against"].str.startswith("variant=")]

    assert list(rows["backend"]) == ["jax", "torch"]
    assert set(rows["against"]) == {"variant=env:FAKE_FACTOR=1"}
    assert list(rows["verdict"]) == ["slower", "slower"]
    assert all(abs(ratio - 1.3) < 0.1 for ratio in rows["ratio"])


def test_a_sentence_and_a_table_say_how_variants_compare(slower):
    said = [one.text for one in verdicts(slower.analysis)]
    (table,) = variants.tables(slower.analysis)

    assert any(
        text.startswith("mlp on cpu: env:FAKE_FACTOR=1.3 takes, as a multiple of env:FAKE_FACTOR=1, 1.")
        for text in said
    )
    assert any("env:FAKE_FACTOR=1.3: torch" in text for text in said)
    assert [row[:2] for row in table.rows] == [
        ["jax", "env:FAKE_FACTOR=1"],
        ["jax", "env:FAKE_FACTOR=1.3"],
        ["torch", "env:FAKE_FACTOR=1"],
        ["torch", "env:FAKE_FACTOR=1.3"],
    ]
    assert table.columns[3].startswith("ratio to env:FAKE_FACTOR=1")


def spread(folder, averaged_by):
    """The run on two devices, whose gradients each variant averages by its own."""
    run_json = folder / "run.json"
    content = json.loads(run_json.read_text())
    for one in content["plan"]:
        one["case"]["device_count"] = 2
    run_json.write_text(json.dumps(content))
    for path in (folder / "launches").glob("*.json"):
        record = json.loads(path.read_text())
        case = record["launch"]["case"]
        case["device_count"] = 2
        record["launch"]["resolved"]["averaged_by"] = averaged_by[case["variant"]]
        path.write_text(json.dumps(record))
    (table,) = variants.tables(analyse(folder))
    return table


@pytest.mark.parametrize("other", ["hooks", "keras.distribution"])
def test_variants_whose_gradients_are_averaged_by_unlike_means_are_said_to_be_unlike(slower, tmp_path, other):
    first, second = "env:FAKE_FACTOR=1", "env:FAKE_FACTOR=1.3"
    folder = Path(shutil.copytree(slower.folder, tmp_path / slower.folder.name))
    table = spread(folder, {first: "hooks", second: other})

    assert ", track fit, 2 devices; seconds of an epoch" in table.title
    assert [note for note in table.notes if "averaged by" in note] == (
        [
            f"{backend}, {second}: gradients averaged by keras.distribution, with {first} by hooks: the two are unlike "
            "in more than what varies"
            for backend in ("jax", "torch")
            if other != "hooks"
        ]
    )


@pytest.mark.usefixtures("measure")
def test_a_run_of_variants_that_was_interrupted_goes_on(slower, tmp_path):
    folder = Path(shutil.copytree(slower.folder, tmp_path / "results" / slower.folder.name))
    for path in (folder / "launches").glob("r002*1.3*"):
        path.unlink()
    content = described(folder)
    (folder / "run.json").write_text(json.dumps({**content, "state": "interrupted"}))
    options = parse_run([f"--resume={folder.name}", f"--output={folder.parent}"])

    assert [one.name for one in options.variants] == ["env:FAKE_FACTOR=1", "env:FAKE_FACTOR=1.3"]
    assert run(options, RunConsole(file=io.StringIO())) == folder
    assert len(launches(folder)) == 12


def test_a_variant_that_computes_something_else_is_named(measure, monkeypatch):
    monkeypatch.setenv("FAKE_LADDER", "torch:parts")
    monkeypatch.setenv("FAKE_VARIANT", "env:FAKE_FACTOR=1.3")
    analysis = analyse(measure(SLOWER, "--backends=torch", "--reference=torch", "--launches=1", parity=True))

    assert any(
        "torch cpu float64 env:FAKE_FACTOR=1.3 parts from torch float64 at outputs, dense" in problem
        for problem in analysis.problems
    )


def test_files_that_are_compared_climb_parity_together(fake, tmp_path):
    paths = [tmp_path / f"{name}.py" for name in ("old", "new")]
    for path in paths:
        path.write_text("from models import Workload\nworkload = Workload\n")
    given = [word for word in fake if not word.startswith("--workloads")]
    vary = f"--vary=workload={','.join(map(str, paths))}"
    said = io.StringIO()
    folder = run(parse_run([*given, vary, "--backends=jax,torch", "--launches=1"]), RunConsole(file=said, width=200))

    assert len(launches(folder)) == 4
    assert "parity: torch cpu float64: climbed" in said.getvalue()


@pytest.mark.usefixtures("played")
def test_without_any_version_the_run_is_refused_with_pip_s_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "interpreters", lambda options, _: dict.fromkeys(options.backends))
    options = parse_run(["--workloads=mlp", "--vary=keras=3.0,3.1", "--backends=torch", f"--output={tmp_path / 'r'}"])

    with pytest.raises(RunError, match=r"no backend works here: torch: no environment with keras==3\.0 for torch"):
        run(options, RunConsole(file=io.StringIO()))


def test_where_the_first_version_is_missing_the_others_are_measured_and_it_says_why(played, tmp_path, monkeypatch):
    monkeypatch.setattr(
        prepare, "interpreters", lambda _, variant: {"torch": None if variant.name == "keras=3.0" else played}
    )
    given = ["--workloads=mlp", "--vary=keras=3.0,3.1", "--backends=torch", "--launches=1", "--no-parity"]
    folder = run(parse_run([*given, f"--output={tmp_path / 'r'}", "--devices=cpu"]), RunConsole(file=io.StringIO()))

    assert [one["case"]["variant"] for one in launches(folder)] == ["keras=3.1"]
    skipped = {one["case"]["variant"]: one["skip"] for one in described(folder)["plan"]}
    assert skipped["keras=3.0"].startswith("no environment with keras==3.0 for torch")
