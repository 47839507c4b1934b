"""Launch records, whole or refused."""

import json
import os
from pathlib import Path

import pytest

from bench.contract import files, launch_record, record
from bench.contract.case import Case, title
from bench.contract.files import LARGEST_BYTES, RecordError


@pytest.fixture
def good(recorded_run):
    return json.loads(next((recorded_run / "launches").glob("*.json")).read_text())


def whole(launch, content):
    """A record with this launch in place of its own, of which it needs to hold no more than a record of then."""
    said = launch.to_json()
    return {**content, "launch": {**content["launch"], **{name: said[name] for name in content["launch"]}}}


def test_a_record_written_and_read_is_equal(tmp_path, good):
    files.write(tmp_path / "launch.json", good)

    assert files.load(tmp_path / "launch.json") == good
    assert whole(launch_record.read(tmp_path / "launch.json"), good) == good


def test_writing_leaves_no_other_file_behind(tmp_path, good):
    (tmp_path / "launches").mkdir()
    files.write(tmp_path / "launches" / "launch.json", good)

    assert [path.name for path in (tmp_path / "launches").iterdir()] == ["launch.json"]


def test_a_launch_that_measured_nothing_still_makes_a_valid_record(tmp_path, good):
    case = Case(**good["launch"]["case"])
    content = record.empty(case, repetition=1, seed=7, status="timeout", reason="no end after 300 s; killed")
    files.write(tmp_path / "launch.json", content)

    assert launch_record.read(tmp_path / "launch.json").reason == "no end after 300 s; killed"
    assert content["benchmarks"] == []


@pytest.mark.parametrize("text", ["", '{"launch": {"schema": 1, "ca', "[]", "null", "\x00\x01", "[" * 100_000])
def test_a_file_that_is_no_record_is_named_and_refused(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)

    with pytest.raises(RecordError, match=r"^broken\.json: "):
        launch_record.read(path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "broken.json"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(RecordError, match=r"broken\.json"):
        launch_record.read(path)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("schema", 99, "schema 99, this version reads 1, 2"),
        ("status", "fine", "status 'fine'"),
        ("case", {"workload": "mlp"}, "its case needs"),
        ("seed", "0", "seed cannot be '0', expected whole number"),
        ("epochs", [{"seconds": 1.0}], "at least two epochs"),
        ("epochs", [{"seconds": 1.0}, {"seconds": 1.0}, {"seconds": -1.0}], "positive, finite"),
        (
            "epochs",
            [{"seconds": 1.0}, {"seconds": 1.0}, {"seconds": float("nan")}],
            r"epochs\[2\].seconds cannot be nan, expected a finite number",
        ),
        ("setup_seconds", None, "setup_seconds"),
        ("test", {"metric": float("nan"), "loss": 1.0}, "test.metric cannot be nan, expected a finite number"),
        ("versions", "many", "versions cannot be 'many', expected object"),
        ("phases", None, "phases cannot be None, expected object"),
        ("phases", {"import": "long"}, "phases cannot be {'import': 'long'}, expected number or null"),
        ("memory", {"peak_host_mib": float("inf")}, "memory.peak_host_mib cannot be inf, expected a finite number"),
        ("resolved", {"flags": 3}, "resolved.flags cannot be 3, expected an object"),
        ("wall_seconds", "long", "wall_seconds cannot be 'long', expected number or null"),
        ("epochs", [{"seconds": 1.0}] * 4, "4 epochs, but its case says 3"),
        ("epochs", [{"seconds": 1e-300}] * 3, "positive, finite"),
        ("epochs", [{"seconds": 1.0, "validation_seconds": -1.0}] * 3, "validation_seconds must not be negative"),
        (
            "epochs",
            [{"seconds": 1.0, "load": 10**400}] * 3,
            r"epochs\[0\] cannot be .*'load': 10000.*, expected whole number <= ",
        ),
        ("seed", -1, "seed cannot be -1, expected whole number >= 0"),
        ("repetition", True, "repetition cannot be True, expected whole number"),
        ("attempt", 0, "attempt cannot be 0, expected whole number >= 1"),
        ("schema", [[]], r"schema \[\[\]\], this version reads 1, 2"),
        ("reason", None, "reason cannot be None, expected text"),
        ("test", {"metric": 1e300, "loss": 1.0}, r"test.metric cannot be 1e\+300, expected number <= "),
        ("versions", {"keras": ["3"]}, r"versions cannot be {'keras': \['3'\]}, expected text"),
        ("versions", {"keras": "3\x00"}, "expected text that can stand in a line"),
        (
            "resolved",
            {"threads": {"a": 1}},
            "resolved.threads cannot be {'a': 1}, expected text, a number or a list of them",
        ),
        ("resolved", {"flags": {"a": [["b"]]}}, "resolved cannot be .*, expected .*text"),
        ("command", "python -m pytest", "command cannot be 'python -m pytest', expected list or null"),
        ("command", ["python\n```\n"], r"command\[0\] cannot be .*, expected text that can stand in a line"),
        ("parameters", [1], r"parameters cannot be \[1\], expected whole number or null"),
        ("samples_per_epoch", "6400", "samples_per_epoch cannot be '6400', expected whole number or null"),
        ("weights_digest", {}, "weights_digest cannot be {}, expected text or null"),
        ("knobs", [], r"knobs cannot be \[\], expected object"),
        ("node", "n1\nn2", "node cannot be 'n1\\\\nn2', expected text that can stand in a line"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_with_the_fault_in_words(tmp_path, good, field, value, fault):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**good, "launch": {**good["launch"], field: value}}))

    with pytest.raises(RecordError, match=fault):
        launch_record.read(path)


def test_a_launch_of_a_local_run_has_no_node_and_another_names_its_own(tmp_path, good):
    files.write(tmp_path / "local.json", good)
    files.write(tmp_path / "away.json", {**good, "launch": {**good["launch"], "node": "n1"}})

    assert [launch_record.read(tmp_path / f"{name}.json").node for name in ("local", "away")] == ["", "n1"]


def test_a_launch_that_had_one_gpu_of_its_node_names_both(tmp_path, good):
    away = {**good["launch"], "node": "n1", "gpu": 3}
    files.write(tmp_path / "away.json", {**good, "launch": away})
    files.write(tmp_path / "wrong.json", {**good, "launch": {**away, "gpu": "first"}})
    found = launch_record.read(tmp_path / "away.json")

    assert (found.node, found.gpu, found.place) == ("n1", 3, "n1/gpu3")
    with pytest.raises(RecordError, match="gpu cannot be 'first'"):
        launch_record.read(tmp_path / "wrong.json")


def test_anything_but_ok_needs_a_reason(tmp_path, good):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**good, "launch": {**good["launch"], "status": "failed", "reason": None}}))

    with pytest.raises(RecordError, match="reason cannot be None, expected text"):
        launch_record.read(path)


def test_a_title_tells_what_is_not_as_usual(good):
    case = {**good["launch"]["case"], "workload": "mlp", "backend": "torch"}

    assert title(case) == "mlp torch cpu fit batch 128"
    assert title({**case, "numerics": "tf32", "input": "DataLoader"}).endswith("batch 128 tf32 DataLoader")


def test_a_case_is_a_workers_options(good):
    case = Case(**good["launch"]["case"])

    assert case.options()[:2] == [f"--workload={case.workload}", "--dataset=fashion_mnist"]
    assert f"--batch-size={case.batch_size}" in case.options()


def test_only_a_training_that_stopped_early_may_have_fewer_epochs_than_its_case(tmp_path, good):
    good["launch"]["epochs"].pop()
    files.write(tmp_path / "launch.json", good)
    with pytest.raises(RecordError, match="2 epochs, but its case says 3"):
        launch_record.read(tmp_path / "launch.json")
    good["launch"]["stopped_early"] = True
    files.write(tmp_path / "launch.json", good)

    assert len(launch_record.read(tmp_path / "launch.json").epochs) == 2


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("backend", "../../x", "backend '../../x' is not one plain word"),
        ("backend", "", "backend '' is not one plain word"),
        ("input", "a pipe", "unknown input 'a pipe', known: arrays, "),
        ("device", "tpu", "unknown device 'tpu', known: cpu, gpu"),
        ("numerics", "float128", "unknown numerics 'float128', known: float32, "),
        ("task", "walk", "unknown task 'walk', known: train, predict"),
        ("track", "..", "unknown track '..', known: shipped, "),
        ("workload", "mlp\x00", "is no name and no path"),
        ("workload", "", "is no name and no path"),
        ("dataset", "a\nb", "is no name and no path"),
        ("dataset", "\ud800", "is no name and no path"),
        ("dataset", "x" * 10_000, "is no name and no path"),
        ("samples", 10**400, "have to be positive, and at most"),
        ("epochs", 3.0, "of the right types"),
        ("peak_host_mib", "another column", "and nothing else"),
    ],
)
def test_a_case_of_words_that_nobody_knows_is_refused_in_one_line(tmp_path, good, name, value, fault):
    good["launch"]["case"][name] = value
    (tmp_path / "wrong.json").write_text(json.dumps(good))

    with pytest.raises(RecordError) as caught:
        launch_record.read(tmp_path / "wrong.json")
    assert fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def test_a_workload_and_a_data_set_may_be_paths(tmp_path, good):
    good["launch"]["case"] |= {"workload": "../my models/nétz.py", "dataset": "/data/x.npz"}
    files.write(tmp_path / "launch.json", good)

    assert whole(launch_record.read(tmp_path / "launch.json"), good) == good


def test_inference_has_no_track_that_only_training_has(tmp_path, good):
    good["launch"]["case"] |= {"task": "predict", "track": "shipped"}
    files.write(tmp_path / "launch.json", good)

    with pytest.raises(RecordError, match="task predict has no track shipped"):
        launch_record.read(tmp_path / "launch.json")


@pytest.mark.parametrize("lived", ["cpu", "cpu and gpu"])
def test_a_gpus_case_that_ran_on_the_cpu_is_no_row(tmp_path, good, lived):
    good["launch"]["case"]["device"] = "gpu"
    good["launch"]["resolved"]["device"] = lived
    files.write(tmp_path / "launch.json", good)

    with pytest.raises(RecordError, match=f"asked for on the gpu, its variables lived on the {lived}$"):
        launch_record.read(tmp_path / "launch.json")

    del good["launch"]["resolved"]["device"]  # as older records are
    files.write(tmp_path / "launch.json", good)
    assert whole(launch_record.read(tmp_path / "launch.json"), good) == good


def test_a_huge_file_is_refused_without_being_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    monkeypatch.setattr(Path, "read_text", None)

    with pytest.raises(RecordError, match=r"^huge\.json: not a readable JSON file \(larger than 64 MiB\)$"):
        launch_record.read(path)


def test_a_pipe_that_nobody_writes_to_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")

    with pytest.raises(RecordError, match=r"pipe\.json: not a readable JSON file"):
        launch_record.read(tmp_path / "pipe.json")
