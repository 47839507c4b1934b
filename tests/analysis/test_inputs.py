"""What the report says of inputs."""

import json
import math

import pytest
from test_analysis import change

from bench.analysis import analyse
from bench.report.pages import run as run_page
from bench.report.parts import inputs
from bench.report.text import waiting_share


@pytest.fixture
def compared(recorded_run):
    """The recorded run, whose launches of cnn are those of mlp with every batch on the device: half as long."""
    path = recorded_run / "run.json"
    description = json.loads(path.read_text())
    for planned in description["plan"]:
        if planned["case"]["workload"] == "cnn":
            planned["case"] |= {"workload": "mlp", "samples": 6_400, "input": "resident"}
    path.write_text(json.dumps(description))
    for launch in sorted((recorded_run / "launches").glob("*mlp*")):
        content = json.loads(launch.read_text())
        content["launch"]["case"]["input"] = "resident"
        for epoch in content["launch"]["epochs"]:
            epoch["seconds"] /= 2
        (other,) = launch.parent.glob(f"{launch.name[:5]}*cnn-{content['launch']['case']['backend']}*")
        other.write_text(json.dumps(content))
    return recorded_run


def test_what_a_free_input_would_save_is_waiting(compared):
    (table,) = inputs.tables(analyse(compared))

    assert [cells[0] for cells in table.rows] == ["arrays", "resident"]
    assert table.rows[0][2::2] == ["50 %"] * 3  # no interval: every ratio is exactly 2
    assert table.rows[1][2::2] == ["–"] * 3


def test_the_share_has_the_interval_of_its_ratio():
    assert waiting_share({"ratio": 2.0, "ratio_low": 1.25, "ratio_high": 4.0}) == "50 [20, 75] %"
    assert waiting_share({"ratio": 0.8, "ratio_low": math.nan, "ratio_high": math.nan}) == "-25 %"


def test_a_run_with_one_input_has_no_table_of_inputs(recorded_run):
    assert inputs.tables(analyse(recorded_run)) == []


def test_an_input_that_failed_says_why(compared):
    change(compared, "*cnn-torch*", lambda launch: launch.update(status="failed", reason="no room"))
    (table,) = inputs.tables(analyse(compared))

    assert any(note.startswith("torch, resident: failed") and "no room" in note for note in table.notes)


def test_cases_that_differ_in_their_input_have_tables_that_say_so(compared):
    titles = [table.title for table in run_page.page(analyse(compared)).tables]

    assert any(title.endswith("track fit, input resident") for title in titles)
