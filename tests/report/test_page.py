"""The page that people look at, as far as it can be judged without a browser."""

import base64
import json
import re
import subprocess
import sys
import urllib.request
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects
import pytest
from support.altered import give_metrics, rename_mlp
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench import __main__ as command_line
from bench import report
from bench.analysis import analyse, steps
from bench.contract.paths import ROOT
from bench.report import drawing
from bench.report.forms import html
from bench.report.pages import run as run_page
from bench.report.parts import figures, predict, tracks
from bench.report.text import WIDE, with_interval
from bench.report.view import Figure, Page, Section, Sentence

BUILDERS = [
    figures.ratios,
    figures.launches,
    figures.curves,
    figures.phases,
    figures.memory,
    tracks.figures,
    tracks.batch_figures,
    predict.figures,
]


def page(folder):
    """The page of a run, and the pictures and files that it carries."""
    report.write(analyse(folder), folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, json.loads(carried(text, "content"))


def carried(text, name):
    """What a page carries packed."""
    packed = re.search(rf'<script type="application/octet-stream" id="{name}">(.*?)</script>', text)[1]
    return zlib.decompress(base64.b64decode(packed)).decode()


def test_the_page_asks_for_nothing_from_anywhere(tracked):
    text, _ = page(tracked)

    assert not re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"' >]+""", text)
    assert "default-src &#39;none&#39;" in text
    assert "http" not in text.partition("<body>")[2]


def test_only_the_pages_own_scripts_may_run(tracked):
    text, _ = page(tracked)
    (script,) = re.findall(r"<script type=\"module\">(.*?)</script>", text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    allowed = re.findall(r"'(sha256-[^']*)'", policy.partition("script-src")[2].partition(";")[0])

    assert allowed == [html._digest(carried(text, "library")), html._digest(script)]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_every_picture_is_one_that_plotly_knows(tracked, build):
    for figure in build(analyse(tracked)):
        plotly.graph_objects.Figure(data=figure.traces, layout=figure.layout)  # raises on an unknown property


def test_every_ok_launch_is_a_point_and_disturbed_ones_are_crosses(recorded_run):
    path = next((recorded_run / "launches").glob("r000*mlp-torch*"))
    content = json.loads(path.read_text())
    for epoch in content["launch"]["epochs"]:
        epoch["steal_fraction"] = 0.5
    path.write_text(json.dumps(content))
    found = analyse(recorded_run)
    traces = [trace for figure in figures.launches(found) for trace in figure.traces]
    crossed = [trace for trace in traces if trace["marker"]["symbol"] == "x-thin-open"]

    assert sum(len(trace["x"]) for trace in traces) == len(found.run.launches) == 18
    assert [(trace["name"], trace["x"]) for trace in crossed] == [("torch, disturbed", [0])]
    assert "the host took 50%" in crossed[0]["text"][0]


def test_a_ratio_stands_with_its_interval_and_its_noise_floor(recorded_run):
    found = analyse(recorded_run)
    (figure,) = [one for one in figures.ratios(found) if one.title.startswith("mlp")]
    row = found.comparisons.table.query("workload == 'mlp' and backend == 'torch'").iloc[0]
    floor, ratio = [trace for trace in figure.traces if trace["y"][0] == "torch"]

    assert floor["x"] == pytest.approx([1 / row["noise_floor"], row["noise_floor"]])
    assert ratio["x"] == [row["ratio"]]
    assert ratio["x"][0] + ratio["error_x"]["array"][0] == pytest.approx(row["ratio_high"])
    assert ratio["x"][0] - ratio["error_x"]["arrayminus"][0] == pytest.approx(row["ratio_low"])


def test_a_few_epochs_have_a_tick_each_and_none_between(recorded_run):
    axes = [figure.layout["xaxis"] for figure in figures.curves(analyse(recorded_run))]

    assert [axis["dtick"] for axis in axes] == [1] * len(axes)
    assert "dtick" not in drawing.counts(pd.Series([0, 40]))


def test_a_backend_has_one_colour_in_all_pictures(tracked):
    found = analyse(tracked)
    seen = {}
    for build in BUILDERS:
        for trace in (trace for figure in build(found) for trace in figure.traces if "name" in trace):
            chosen = trace.get("line", {}).get("color") or trace["marker"]["color"]
            seen.setdefault(trace["name"].split(",")[0].split()[0], set()).add(chosen)

    assert seen == {name: {drawing.colours()[name]} for name in ("jax", "tensorflow", "torch")}


def test_a_backend_that_nobody_chose_a_colour_for_has_one_all_the_same():
    assert drawing.colour("new") == drawing.colour("new") != ""


def test_every_trace_says_what_it_is_of_so_that_it_can_be_filtered(tracked):
    _, content = page(tracked)

    for trace in (trace for figure in content["figures"] for trace in figure["traces"]):
        assert set(trace["meta"]) == {"workload", "device", "track", "numerics"}


def test_the_verdict_says_what_comparisons_csv_says(recorded_run):
    text, _ = page(recorded_run)
    table = pd.read_csv(recorded_run / "comparisons.csv")
    sentences = re.findall(r'<p class="verdict"[^>]*>(.*?)</p>', text)

    assert len(sentences) == table["workload"].nunique()
    for row in table.to_dict("records"):
        (sentence,) = [one for one in sentences if one.startswith(f"{row['workload']} on {row['device']}: ")]
        values = [row["ratio"], row["ratio_low"], row["ratio_high"]]
        if row["verdict"] == "faster":
            values = [1 / row["ratio"], 1 / row["ratio_high"], 1 / row["ratio_low"]]
        shown = with_interval(*values)
        words = {"slower": f"takes {shown} times as long as jax", "faster": f"is {shown} times as fast as jax"}
        far_apart = row["ratio_high"] / row["ratio_low"] > WIDE
        undecided = "against jax is undecided (" + (
            "its launches lie too far apart" if far_apart else f"ratio {shown})"
        )
        assert f"{row['backend']} {words.get(row['verdict'], undecided)}" in sentence


def test_an_interval_without_an_upper_end_is_shown_as_such():
    assert with_interval(1.2, 0.0, np.inf) == "1.20 [0, ∞]"


def test_a_difference_of_the_metric_is_in_the_verdict(recorded_run):
    give_metrics(recorded_run, (0.60, 0.61, 0.60))
    found = analyse(recorded_run)
    row = found.comparisons.table.query("workload == 'mlp' and backend == 'torch'").iloc[0]
    (said,) = [said.text for said in run_page.page(found).verdicts if said.text.startswith("mlp")]

    assert row["metric_verdict"] == "different"
    assert f"the accuracy on torch is different by {row['metric_difference']:+.4f}" in said


def test_names_from_a_users_file_are_text_in_the_page(tracked):
    hostile = "<img src=x onerror=alert(1)>.py"
    rename_mlp(tracked, hostile)
    text, content = page(tracked)
    own = text.replace(html.SCRIPT, "")

    assert "<img" not in own
    assert "&lt;img src=x onerror=alert(1)&gt;" in own
    said = json.dumps([trace.get("name", "") for figure in content["figures"] for trace in figure["traces"]])
    assert "<img" not in said


def test_more_than_a_few_verdicts_are_folded():
    said = [Sentence(f"verdict {number}") for number in range(30)]
    text = html.document(Page("many", said, [], [], []), "here", [], {})

    assert "22 more" in text
    assert text.count('class="verdict"') == 30


def test_a_section_without_content_is_left_out():
    empty, full = (
        Section("empty"),
        Section("full", figures=[Figure("one", "", [], {}), Figure("two", "", [], {})]),
    )
    text = html.document(Page("title", [], [], [], []), "here", [empty, full], {})

    assert "empty" not in text.partition("<main>")[2].partition("<script")[0]
    assert re.findall(r'data-figure="(\d+)"', text) == ["0", "1"]


@pytest.fixture
def bench(capsys):
    """The command line, in the tests' own environment."""

    def call(*words):
        status = command_line.main([str(word) for word in words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    assert sys.modules["pandas"]
    return call


def test_markdown_to_standard_output_is_the_report_and_nothing_else(recorded_run, bench):
    status, out, _ = bench("report", recorded_run, "--format", "markdown")

    assert status == 0
    assert out == (recorded_run / "report.md").read_text()


def test_json_to_standard_output_holds_verdicts_and_tables(recorded_run, bench):
    _, out, _ = bench("report", recorded_run, "--format", "json")
    found = json.loads(out)

    assert found["run"] == json.loads((recorded_run / "run.json").read_text())["id"]
    assert [row["ratio"] for row in found["comparisons"]] == pytest.approx(
        list(pd.read_csv(recorded_run / "comparisons.csv")["ratio"])
    )
    assert found["verdicts"][0].startswith("mlp on cpu: ")


def test_two_runs_can_be_compared_as_markdown_and_as_json(recorded_run, bench):
    _, markdown, _ = bench("compare", recorded_run, recorded_run, "--format", "markdown")
    _, text, _ = bench("compare", recorded_run, recorded_run, "--format", "json")

    assert markdown.startswith("# ")
    assert {row["verdict"] for row in json.loads(text)["comparisons"]} <= {"equivalent", "undecided"}


def test_an_unknown_format_is_refused(recorded_run, bench):
    status, _, err = bench("report", recorded_run, "--format", "xml")

    assert status == 2
    assert "unknown format 'xml', known: markdown, json" in err


def test_quiet_prints_the_verdicts_alone_and_verbose_every_remark(recorded_run, bench):
    quiet, normal, verbose = (bench("report", recorded_run, *option)[1] for option in (["--quiet"], [], ["--verbose"]))
    remarks = [said.text for said in run_page.page(analyse(recorded_run)).remarks]

    assert "mlp on cpu: " in quiet
    assert "samples/s" not in quiet
    assert "ratio to jax" in normal
    assert "samples/s" not in normal
    assert "samples/s" in verbose
    assert all(remark.split(":")[1][:30] in verbose.replace("\n", " ") for remark in remarks)
    assert "interval" in verbose


def test_no_colour_is_printed_where_none_is_wanted(recorded_run, bench, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = bench("report", recorded_run)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    plain = bench("report", recorded_run)[1]

    assert "\x1b[3" in coloured or "\x1b[1" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)


def test_a_bundle_names_neither_user_nor_folder_and_can_be_rebuilt(recorded_run, bench, tmp_path):
    target = tmp_path / "run.zip"
    status, _, err = bench("report", recorded_run, "--bundle", target)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(tmp_path / "shared")
    (folder,) = (tmp_path / "shared").iterdir()
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".csv", ".md", ".log")]

    assert status == 0
    assert "bundle:" in err
    assert not any(str(place) in text for text in texts for place in (ROOT, recorded_run, Path.home()))
    pd.testing.assert_frame_equal(analyse(folder).comparisons.table, analyse(recorded_run).comparisons.table)


def test_a_bundle_that_cannot_be_written_ends_in_one_line(recorded_run, bench, tmp_path):
    status, _, err = bench("report", recorded_run, "--bundle", tmp_path / "missing" / "run.zip")

    assert status == 1
    assert err.splitlines()[-1].startswith(f"bench: --bundle {tmp_path / 'missing' / 'run.zip'}: cannot be written")


def test_tensorboard_gets_a_run_for_each_backend_and_seed(recorded_run, bench, tmp_path):
    bench("report", recorded_run, "--tensorboard", tmp_path / "events")
    found = {}
    for folder in {path.parent for path in (tmp_path / "events").rglob("events.*")}:
        events = EventAccumulator(str(folder)).Reload()
        found[folder] = events.Tags()["scalars"]

    assert {folder.parent.name for folder in found} == {"jax", "tensorflow", "torch"}
    assert len(found) == 9  # three backends, three seeds
    assert all({"mlp/loss", "mlp/accuracy", "cnn/loss", "cnn/accuracy"} <= set(tags) for tags in found.values())


def test_a_tensorboard_started_on_these_files_answers_with_the_tags_of_all_runs(recorded_run, bench, tmp_path):
    bench("report", recorded_run, "--tensorboard", tmp_path)
    # Everything is read before it answers.
    once = ["--reload_interval=0", "--reload_task=blocking", "--load_fast=false"]
    words = [sys.executable, "-m", "tensorboard.main", f"--logdir={tmp_path}", "--host=127.0.0.1", "--port=0", *once]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as board:
        try:
            url = next(found[0] for line in board.stderr if (found := re.search(r"http://[\d.]+:\d+/", line)))
            with urllib.request.urlopen(f"{url}data/plugin/scalars/tags") as answer:  # noqa: S310 (http, by the pattern)
                tags = json.load(answer)
        finally:
            board.kill()  # asked to end, it was once still waiting for itself after ten minutes

    assert set(tags) == {f"{one}/seed-{seed}" for one in ("jax", "tensorflow", "torch") for seed in (0, 1, 2)}
    shown = [sorted(found) for found in tags.values()]
    assert all(found == shown[0] for found in shown)
    assert {"mlp/loss", "mlp/accuracy", "cnn/loss", "cnn/accuracy"} <= set(shown[0])


def test_a_planted_step_is_found_and_noise_seldom_passes():
    draw = np.random.default_rng(0)
    level = np.r_[np.zeros(10), np.full(10, 0.3)]
    found = steps.steps(np.exp(level + draw.normal(0, 0.02, 20)), level=0.05, margin=0.01)
    silent = [steps.steps(np.exp(draw.normal(0, 0.02, 20)), level=0.05, margin=0.0) for _ in range(100)]

    assert [step.at for step in found] == [10]
    assert found[0].factor == pytest.approx(np.exp(0.3), rel=0.05)
    assert sum(map(bool, silent)) <= 11  # of 100, where 5 are expected: more have a chance of 1 %
