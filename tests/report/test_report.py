"""What people read."""

import io
import json
import math

import pandas as pd
import pytest
from rich.console import Console
from support.altered import give_metrics, rename_mlp

from bench import report
from bench.analysis import analyse
from bench.report.forms import tensorboard, terminal
from bench.report.pages import run as run_page
from bench.report.text import waiting_share


@pytest.fixture
def written(recorded_run):
    def write(width=80):
        console = Console(file=io.StringIO(), width=width)
        page = report.write(analyse(recorded_run), recorded_run)
        terminal.show(page, recorded_run / "report.html", console, terminal.Amount.VERBOSE)
        return console.file.getvalue(), (recorded_run / "report.md").read_text()

    return write


def test_all_files_are_written(written, recorded_run):
    written()

    for name in ("epochs.csv", "cases.csv", "comparisons.csv"):
        assert len(pd.read_csv(recorded_run / name)) > 0
    assert (recorded_run / "report.md").read_text().startswith("# Run ")


def test_rebuilding_a_report_gives_the_same_files(written, recorded_run):
    names = ("epochs.csv", "cases.csv", "comparisons.csv", "report.md", "report.html")
    written()
    before = [(recorded_run / name).read_bytes() for name in names]
    for name in names:
        (recorded_run / name).unlink()
    written()

    assert [(recorded_run / name).read_bytes() for name in names] == before


def test_a_run_without_any_record_can_be_reported(written, recorded_run):
    for path in (recorded_run / "launches").iterdir():
        path.unlink()
    text, page = written(200)

    assert "0 of 3 launches" in text
    assert "0 of 3 launches" in page


def test_epochs_that_were_timed_together_are_said(written, recorded_run):
    for path in (recorded_run / "launches").glob("*torch*"):
        content = json.loads(path.read_text())
        for epoch in content["launch"]["epochs"][1:]:
            epoch["span_epochs"] = 4
        path.write_text(json.dumps(content))
    _, page = written()

    assert "torch: its epochs are so short that up to 4 of them are timed as one" in page
    assert "jax: its epochs are so short" not in page


def test_the_level_of_the_ratios_is_printed(written):
    assert "ratio to jax [98.75%]" in written(200)[0]


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_every_cell_whole(written, width):
    text, _ = written(width)

    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines()[:-1])
    for words in ("tensorflow", "samples/s", "peak MiB", "accuracy difference"):
        assert words in text


def test_what_a_terminal_shows_first_fits_80_columns_in_one_table_a_place(recorded_run):
    console = Console(file=io.StringIO(), width=80)
    terminal.show(report.write(analyse(recorded_run), recorded_run), None, console)
    lines = console.file.getvalue().splitlines()

    headings = [[word.strip() for word in line.strip("┃").split("┃")] for line in lines if line.startswith("┃")]
    assert headings == [["backend", "s/epoch", "ratio to jax", "verdict", "accuracy"]] * 2  # of mlp and cnn
    assert all(len(line) <= 80 for line in lines)


def test_both_reports_hold_the_same_figures(written):
    text, page = written(200)
    ratio = next(line for line in text.splitlines() if "torch" in line and "[" in line).split("│")[3].strip()

    assert ratio in page


def test_the_command_of_a_launch_can_be_copied(written):
    _, page = written()

    assert "-m pytest -c bench/worker/pytest.ini bench/worker/bench_train.py --workload=mlp" in page


def test_a_cut_workload_is_marked_as_not_having_tried_for_its_target(written):
    _, page = written()

    assert "not attempted" in page
    assert "✓" not in page


def test_a_single_launch_is_undecided_in_words(written, recorded_run):
    for path in (recorded_run / "launches").glob("r00[12]*"):
        path.unlink()
    text, _ = written(200)

    assert "is undecided: ratio" in text
    assert "a single launch, or launches that all took exactly as long, give no interval" in text


def test_what_went_wrong_is_said_in_both(written, recorded_run):
    path = next((recorded_run / "launches").glob("r000*"))
    path.write_text("{")
    text, page = written(200)

    assert f"left out: {path.name}" in text
    assert f"left out: {path.name}" in page


def test_names_from_a_users_file_are_text_in_markdown(written, recorded_run):
    hostile = "<script>|alert(1).py"
    rename_mlp(recorded_run, hostile)
    _, page = written()

    rows = [line for line in page.replace("\\|", "").splitlines() if line.startswith("| ")]
    assert "<script>" not in page.partition("```")[0]  # in a block of code it is text
    assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_an_undecided_metric_says_how_many_seeds_would_decide_it(recorded_run):
    give_metrics(recorded_run, (0.80, 0.81, 0.84))
    analysis = analyse(recorded_run)
    table = analysis.comparisons.table
    row = table[(table["workload"] == "mlp") & (table["backend"] == "torch")].iloc[0]
    said = [said.text for said in run_page.page(analysis).remarks if "whether torch reaches the accuracy" in said.text]

    assert row["metric_verdict"] == "undecided"
    assert len(said) == 1
    assert f"{row['metric_seeds']:.0f} seeds in all (--launches) decide it" in said[0]


def test_a_single_seed_is_not_enough_to_say_how_many_it_takes(recorded_run):
    for path in (recorded_run / "launches").glob("r00[12]*"):
        path.unlink()
    remarks = run_page.page(analyse(recorded_run)).remarks

    assert any("a single seed gives no interval" in said.text for said in remarks)


def test_a_name_that_leads_elsewhere_makes_no_file_outside(recorded_run, tmp_path):
    path = next((recorded_run / "launches").glob("*mlp-torch*"))
    path.write_text(path.read_text().replace('"torch"', '"../../../x"'))
    rename_mlp(recorded_run, "../../../y.py")
    before = {one for one in tmp_path.rglob("*") if recorded_run not in (one, *one.parents)}
    analysis = analyse(recorded_run)
    report.write(analysis, recorded_run)
    tensorboard.write(analysis, recorded_run / "events")
    after = {one for one in tmp_path.rglob("*") if recorded_run not in (one, *one.parents)}

    assert after == before
    assert any("backend '../../../x' is not one plain word" in problem for problem in analysis.problems)
    assert {one.name for one in (recorded_run / "events").iterdir()} == {"jax", "tensorflow", "torch"}


def test_intervals_without_an_end_can_be_said_of_inputs():
    row = {"ratio": 2.0, "ratio_low": 0.0, "ratio_high": math.inf}

    assert waiting_share(row) == "50 [−∞, 100] %"
    assert waiting_share({**row, "ratio_low": math.nan, "ratio_high": math.nan}) == "50 %"


def test_parts_of_the_wall_time_that_cancel_out_are_told(recorded_run):
    path = recorded_run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wall_seconds": 1e-30}))
    facts = dict(run_page.page(analyse(recorded_run)).facts)

    assert facts["wall time"].startswith("0 s: ")


def test_control_characters_are_taken_out_of_a_runs_words(written, recorded_run):
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    description["workloads"][0]["notes"] = ["ends in \x1b[31msoft\x07max\ud800"]
    path.write_text(json.dumps(description))
    _, page = written()

    assert "ends in soft max" in page
