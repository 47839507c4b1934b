"""Does memory grow, over epochs and over calls in a row? From what processes held."""

import json

import pandas as pd
import pytest
from test_explain import launch

from bench.analysis.explain import explained
from bench.contract import explain
from bench.report.parts.explain import calls

FLAT = [100.0] * explain.LOOKS


def in_a_row(held=FLAT, number=100, milliseconds=2.0, **more):
    seconds = [1e-3 * milliseconds] * (explain.LOOKS - 1) + [1e-3 * milliseconds / 2]
    return {"error": "", "batch_size": 1, "calls": number, "seconds": seconds, "memory_mib": held, **more}


def growing(by):
    return [100.0 + by * look for look in range(explain.LOOKS)]


@pytest.fixture
def found(explanation):
    """What is made of three launches of each backend, whose calls are given by backend."""
    return lambda **of: explanation(*(launch(seed, name, calls=one) for name, one in of.items() for seed in range(3)))


def verdicts(explanation):
    return dict(zip(explanation.memory["over"], explanation.memory["verdict"], strict=True))


def test_calls_that_keep_something_are_told_with_those_that_do_not(found):
    explanation = found(torch={"predict": in_a_row(growing(0.5)), "model(x)": in_a_row()})
    (said,) = [one.text for one in explanation.advice]

    assert verdicts(explanation) == {"epoch": "settled", "predict": "grows", "model(x)": "settled"}
    assert said == (
        "its memory grows by 0.5 [0.5, 0.5] MiB over a hundred calls of predict in a row; with model(x) it does not"
    )


def test_growth_is_told_for_a_hundred_calls(found):
    explanation = found(torch={"predict": in_a_row(growing(0.05), number=10)})

    row = explanation.memory[explanation.memory["over"].eq("predict")].iloc[0]
    assert row["mib"] == pytest.approx(0.5)
    assert row["verdict"] == "grows"


def test_a_page_or_two_after_a_few_calls_is_no_leak(found):
    assert verdicts(found(torch={"predict": in_a_row(growing(0.008), number=2)}))["predict"] == "settled"


def test_launches_that_do_not_agree_leave_it_unknown(tmp_path, found):
    found(torch={"predict": in_a_row(growing(0.5))})
    path = tmp_path / "explain" / "0.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "calls": {"predict": in_a_row()}}))

    assert verdicts(explained(tmp_path))["predict"] == "unknown"


def test_a_call_counts_with_its_fastest_look(found):
    table = found(torch={"predict": in_a_row()}, jax={"predict": in_a_row(milliseconds=8.0)}).memory
    taken = table[table["over"].eq("predict")].set_index("backend")["seconds"]

    assert taken.to_dict() == pytest.approx({"torch": 1e-3, "jax": 4e-3})


def test_a_call_that_fails_has_no_row_and_an_old_recording_none(found):
    table = found(torch={"predict": {"error": "ValueError: no", "batch_size": 1}}, jax={}).memory

    assert set(table["over"]) == {"epoch"}


def test_backends_stand_side_by_side(found):
    slow = in_a_row(growing(0.5), milliseconds=40.0)
    explanation = found(jax={"predict": in_a_row()}, torch={"predict": slow})
    (table,) = calls(explanation)

    assert table.columns == ["over", "jax", "torch"]
    assert table.rows[1] == ["predict, 1 sample", "1 ms, settled", "20 ms, grows by 0.5 MiB"]
    assert pd.notna(explanation.memory["batch_size"]).all()


def test_a_devices_memory_has_rows_a_table_and_a_verdict_of_its_own(found):
    explanation = found(torch={"predict": in_a_row(device_memory_mib=growing(0.5)), "model(x)": in_a_row()})
    rows = explanation.memory[explanation.memory["memory"].eq("device")]
    _, table = calls(explanation)

    assert rows[["over", "verdict"]].to_numpy().tolist() == [["predict", "grows"]]
    assert [one.text for one in explanation.advice] == [
        "its memory on the device grows by 0.5 [0.5, 0.5] MiB over a hundred calls of predict in a row"
    ]
    assert table.title == "Calls in a row, and the device's memory over them: mlp on cpu"
    assert table.rows == [["predict, 1 sample", "1 ms, grows by 0.5 MiB"]]


def test_epochs_tell_of_a_devices_memory_too(explanation):
    found = explanation(*(launch(seed, device_memory_mib=growing(2.0)) for seed in range(3)))
    device = found.memory[found.memory["memory"].eq("device")].iloc[0]

    assert (device["over"], device["mib"], device["verdict"]) == ("epoch", pytest.approx(2.0), "grows")
    assert found.advice[0].text.startswith("its memory on the device grows by 2 [2, 2] MiB an epoch")


def test_without_a_device_its_memory_has_no_rows(found):
    explanation = found(torch={"predict": in_a_row(device_memory_mib=[])})

    assert set(explanation.memory["memory"]) == {"host"}
    assert len(list(calls(explanation))) == 1
