"""Launch records, whole or refused."""

import json

import pytest

from bench import record


@pytest.fixture
def good(recorded_run):
    return json.loads(next((recorded_run / "launches").glob("*.json")).read_text())


def test_a_record_written_and_read_is_equal(tmp_path, good):
    record.write(tmp_path / "launch.json", good)

    assert record.read(tmp_path / "launch.json") == good


def test_writing_leaves_no_other_file_behind(tmp_path, good):
    (tmp_path / "launches").mkdir()
    record.write(tmp_path / "launches" / "launch.json", good)

    assert [path.name for path in (tmp_path / "launches").iterdir()] == ["launch.json"]


def test_a_launch_that_measured_nothing_still_makes_a_valid_record(tmp_path, good):
    case = record.Case(**good["launch"]["case"])
    content = record.empty(case, repetition=1, seed=7, status="timeout", reason="no end after 300 s; killed")
    record.write(tmp_path / "launch.json", content)

    assert record.read(tmp_path / "launch.json")["launch"]["reason"] == "no end after 300 s; killed"
    assert content["benchmarks"] == []


@pytest.mark.parametrize("text", ["", '{"launch": {"schema": 1, "ca', "[]", "null", "\x00\x01", "[" * 100_000])
def test_a_file_that_is_no_record_is_named_and_refused(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)

    with pytest.raises(record.RecordError, match=r"^broken\.json: "):
        record.read(path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "broken.json"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(record.RecordError, match=r"broken\.json"):
        record.read(path)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("schema", 99, "schema 99, this version reads 1, 2"),
        ("status", "fine", "status 'fine'"),
        ("case", {"workload": "mlp"}, "its case needs"),
        ("seed", "0", "whole numbers"),
        ("epochs", [{"seconds": 1.0}], "at least two epochs"),
        ("epochs", [{"seconds": 1.0}, {"seconds": 1.0}, {"seconds": -1.0}], "positive, finite"),
        ("epochs", [{"seconds": 1.0}, {"seconds": 1.0}, {"seconds": float("nan")}], "positive, finite"),
        ("setup_seconds", None, "setup_seconds"),
        ("test", {"metric": float("nan"), "loss": 1.0}, "finite metric and loss"),
        ("versions", "many", "versions has to be an object"),
        ("phases", None, "phases has to be an object"),
        ("phases", {"import": "long"}, "import has to be a finite number"),
        ("memory", {"peak_host_mib": float("inf")}, "peak_host_mib has to be a finite number"),
        ("resolved", {"flags": 3}, "flags has to be an object"),
        ("wall_seconds", "long", "wall_seconds has to be a finite number"),
        ("epochs", [{"seconds": 1.0}] * 4, "4 epochs, but its case says 3"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_with_the_fault_in_words(tmp_path, good, field, value, fault):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**good, "launch": {**good["launch"], field: value}}))

    with pytest.raises(record.RecordError, match=fault):
        record.read(path)


def test_anything_but_ok_needs_a_reason(tmp_path, good):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({**good, "launch": {**good["launch"], "status": "failed", "reason": None}}))

    with pytest.raises(record.RecordError, match="needs a reason"):
        record.read(path)


def test_a_title_tells_what_is_not_as_usual(good):
    case = {**good["launch"]["case"], "workload": "mlp", "backend": "torch"}

    assert record.title(case) == "mlp torch cpu fit batch 128"
    assert record.title({**case, "numerics": "tf32", "input": "DataLoader"}).endswith("batch 128 tf32 DataLoader")


def test_a_case_is_a_workers_options(good):
    case = record.Case(**good["launch"]["case"])

    assert case.options()[:2] == [f"--workload={case.workload}", "--dataset=fashion_mnist"]
    assert f"--batch-size={case.batch_size}" in case.options()


def test_only_a_training_that_stopped_early_may_have_fewer_epochs_than_its_case(tmp_path, good):
    good["launch"]["epochs"].pop()
    record.write(tmp_path / "launch.json", good)
    with pytest.raises(record.RecordError, match="2 epochs, but its case says 3"):
        record.read(tmp_path / "launch.json")
    good["launch"]["stopped_early"] = True
    record.write(tmp_path / "launch.json", good)

    assert len(record.read(tmp_path / "launch.json")["launch"]["epochs"]) == 2
