"""The search for knobs: what it tries, in which order, and what it leaves out with a reason."""

import dataclasses
import json
import subprocess
import sys

import pytest

from bench.contract.paths import ROOT
from bench.worker.programs import tuning
from bench.worker.programs.prepare import describe
from bench.worker.timing import gauges, nvml
from bench.worker.timing.gauges import Noise
from bench.worker.workload import train

VALUES = {"a": (0, 1, 2), "b": ("x", "y")}


@pytest.fixture
def searched():
    """Search with made-up seconds by knobs; gives the rows, and what was measured in which order."""

    def search(seconds, values=VALUES, known=(), refused=lambda _name, _value: ""):
        asked = []

        def measure(knobs):
            asked.append(tuple(knobs.values()))
            taken = seconds(**knobs)
            if isinstance(taken, str):
                return {"knobs": knobs, "status": "failed", "reason": taken, "step_seconds": None}
            return {"knobs": knobs, "status": "ok", "reason": "", "step_seconds": taken}

        return list(tuning.search(values, list(known), measure, refused)), asked

    return search


def test_values_are_tried_alone_then_together_then_with_memory_kept(searched):
    rows, asked = searched(lambda a, b, **_: 1.0 - 0.1 * a - 0.05 * (b == "y"))

    assert asked == [
        (0, "x", "default"),
        *[(0, "y", "default"), (1, "x", "default"), (2, "x", "default")],
        *[(1, "y", "default"), (2, "y", "default")],
        *[(2, "y", "keep"), (2, "x", "keep")],
    ]
    assert len(rows) == 8


def test_what_failed_or_was_far_slower_alone_is_not_tried_with_others(searched):
    def seconds(a, b, **_):
        return "ValueError: no" if a == 1 else 1.0 + (b == "y")

    rows, asked = searched(seconds)
    reasons = {tuple(row["knobs"].values()): row["reason"] for row in rows if row["status"] == "skipped"}

    assert reasons == {
        (1, "y", "default"): "a=1 alone failed",
        (2, "y", "default"): "b=y alone took 2.0 times as long",
    }
    assert not any(knobs[:2] in ((1, "y"), (2, "y")) for knobs in asked)


def test_a_value_that_cannot_be_had_is_one_row_with_its_reason(searched):
    rows, asked = searched(lambda **_: 1.0, refused=lambda name, value: "not here" if (name, value) == ("a", 2) else "")

    assert [row["reason"] for row in rows if row["status"] == "skipped"] == ["not here"]
    assert all(knobs[0] != 2 for knobs in asked)


def test_a_search_goes_on_where_its_process_was_taken_down(searched):
    first, _ = searched(lambda **_: 1.0)
    dead = {**first[2], "status": "failed", "reason": "killed", "step_seconds": None}
    rows, asked = searched(lambda **_: 1.0, known=[first[0], first[1], dead])

    assert len(asked) == len(rows) - 3 - 1  # what was dealt with, and one that cannot go together with the dead one
    assert rows[:3] == [first[0], first[1], dead]


def test_a_default_that_fails_leaves_the_others_to_be_found(searched):
    rows, _ = searched(lambda a, b, **_: "no" if (a, b) == (0, "x") else 1.0)

    assert rows[0]["status"] == "failed"
    assert any(row["status"] == "ok" for row in rows)


def test_a_configuration_is_timed_in_two_steady_passes_at_least(case, tmp_path, backend, backend_name, monkeypatch):
    describe("perceptron", [0], tmp_path / "0-perceptron")
    given = case(workload="perceptron", track="native", samples=512, epochs=tuning.MOST_PASSES)
    trial = tuning.Trial(given, tmp_path / "0-perceptron-seed0.npz", backend.barrier)
    passes = []

    def counted(_case, _model, _parts, _knobs, clock):
        for index in range(tuning.MOST_PASSES):
            passes.append(index)
            clock.on_epoch_begin(index)
            clock.on_epoch_end(index, {"loss": 0.0, "accuracy": 0.0})

    monkeypatch.setattr(train, "train", counted)
    monkeypatch.setattr(tuning, "ENOUGH_SECONDS", 0.0)
    trial.measure(train.defaults(backend_name, "native"))

    assert passes == [0, 1, 2]


def test_a_configuration_whose_passes_others_disturb_says_so(case, tmp_path, backend, backend_name, monkeypatch):
    describe("perceptron", [0], tmp_path / "0-perceptron")
    given = case(workload="perceptron", track="native", samples=512, epochs=tuning.MOST_PASSES)
    trial = tuning.Trial(given, tmp_path / "0-perceptron-seed0.npz", backend.barrier)
    quiet = Noise(0.0, 0.0, 0.0, 0, 0, 0.001, 0.0, None, None, nvml.nothing())
    told = {}
    for steal in (0.0, 0.5):
        noise = dataclasses.replace(quiet, steal_fraction=steal)
        monkeypatch.setattr(gauges, "noise", lambda *_, noise=noise: noise)
        told[steal] = trial.measure(train.defaults(backend_name, "native"))[1]

    assert told[0.0] == ""
    assert "the host took 50% of the machine's time" in told[0.5]


def test_of_configurations_the_worker_knows_how_many_there_may_be():
    found = tuning.configurations(VALUES, lambda name, value: "not here" if (name, value) == ("a", 2) else "")

    assert [(one["a"], one["b"]) for one in found] == [(0, "x"), (0, "y"), (1, "x"), (2, "x"), (1, "y")]


def test_in_a_turn_of_the_final_one_configuration_alone_is_tried(case, tmp_path, backend_name):
    describe("perceptron", [0], tmp_path / "0-perceptron")
    given = case(workload="perceptron", track="loop", samples=512, epochs=2)
    output = tmp_path / "turn.jsonl"
    knobs = {**train.defaults(backend_name, "loop"), "malloc": "keep"}
    command = [sys.executable, "-m", "bench.worker.programs.tuning", *given.options(), "--steps=4"]
    command += [f"--weights={tmp_path / '0-perceptron-seed0.npz'}", f"--output={output}"]
    command += [f"--knobs={json.dumps(knobs)}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    (row,) = tuning.read(output)

    assert done.returncode == 0, done.stderr
    assert (row["knobs"], row["status"]) == (knobs, "ok")
    assert row["step_seconds"] > 0


@pytest.mark.parametrize("track", [pytest.param("tuned", marks=pytest.mark.long), "native"])
def test_the_worker_tries_every_configuration_and_records_each(case, tmp_path, backend_name, track):
    describe("perceptron", [0], tmp_path / "0-perceptron")
    given = case(workload="perceptron", track=track, samples=512, epochs=2)
    output = tmp_path / "search.jsonl"
    command = [sys.executable, "-m", "bench.worker.programs.tuning", *given.options(), "--steps=4"]
    command += [f"--weights={tmp_path / '0-perceptron-seed0.npz'}", f"--output={output}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = tuning.read(output)
    by_turn = {json.dumps(row["knobs"]): row for row in rows}

    assert rows[0]["status"] == "ok"
    assert len(by_turn) == len(rows)
    assert all(row["step_seconds"] > 0 for row in rows if row["status"] == "ok")
    assert all(row["reason"] for row in rows if row["status"] != "ok")
    assert any(row["knobs"]["malloc"] == "keep" for row in rows)
    if track == "tuned":
        steps = [row for row in rows if row["knobs"]["steps_per_execution"] == 8 and row["knobs"]["input"] == "arrays"]
        expected = {"torch": "failed"}.get(backend_name, "ok")  # Keras 3.15.1 refuses it there
        assert steps[0]["status"] == expected
