"""Numerics, batch sizes and workloads of one run, each against another on the same backend."""

import json
from types import SimpleNamespace

import pytest

from bench.analysis import analyse, comparisons
from bench.contract.case import Case
from bench.contract.errors import UsageError
from bench.plan.parse import parse_run
from bench.report.parts.verdicts import verdicts


@pytest.fixture
def widened(recorded_run):
    """The recorded run with copies of its cases, each changed, its epochs so many times as long."""

    def widen(factor, options=None, **columns):
        description = json.loads((recorded_run / "run.json").read_text())
        copies = [{**one, "case": {**one["case"], **columns}} for one in description["plan"]]
        description["plan"] += copies
        description["options"] |= options or {}
        (recorded_run / "run.json").write_text(json.dumps(description))
        for path in list((recorded_run / "launches").glob("*.json")):
            content = json.loads(path.read_text())
            launch = content["launch"]
            launch["case"] |= columns
            launch["batches_digest"] = "others" if "batch_size" in columns else launch["batches_digest"]
            for epoch in launch["epochs"]:
                epoch["seconds"] *= factor * (1 + 0.001 * launch["seed"])
            path.with_name(f"{path.stem}-copy.json").write_text(json.dumps(content))
        return analyse(recorded_run)

    return widen


def rows(found, family):
    table = found.comparisons.table
    return table[table["against"].str.startswith(f"{family}=")]


@pytest.mark.parametrize("kind", ["bfloat16", "float64"])
def test_numerics_are_compared_with_float32_on_each_backend(widened, kind):
    found = widened(0.5, numerics=kind)
    compared = rows(found, "numerics")
    said = [one.text for one in verdicts(found)]

    assert compared["against"].eq("numerics=float32").all()
    assert compared["ratio"].tolist() == pytest.approx([0.5] * 6, rel=0.01)
    assert any(text.startswith(f"mlp on cpu, {kind}: {kind} takes, as a multiple of float32, 0.50") for text in said), (
        said
    )


def test_a_metric_that_numerics_change_is_no_problem(widened, recorded_run):
    for path in (recorded_run / "launches").glob("*mlp-torch*.json"):
        content = json.loads(path.read_text())
        content["launch"]["test"]["metric"] = 0.5 + 0.001 * content["launch"]["seed"]
        path.write_text(json.dumps(content))
    before = len(analyse(recorded_run).problems)
    found = widened(0.5, numerics="bfloat16")

    assert before > 0  # torch's is different from that of jax
    assert not any("numerics=float32" in problem for problem in found.problems)


def test_batch_sizes_are_compared_by_the_sample_with_the_smallest(widened):
    found = widened(0.5, batch_size=256)
    compared = rows(found, "batch")

    assert set(compared["batch_size"]) == {256}
    assert compared["ratio"].tolist() == pytest.approx([0.5] * 6, rel=0.02)  # 6,400 samples in both
    assert compared["metric_verdict"].eq("").all()
    said = [one.text for one in verdicts(found)]
    assert any("batch 256 takes a sample, as a multiple of batch 128, 0.5" in text for text in said), said


def test_a_workload_is_compared_with_the_one_that_is_named(widened):
    found = widened(1.0, {"against": "cnn"}, numerics="bfloat16")
    compared = rows(found, "workload")

    assert set(compared["workload"]) == {"mlp"}
    assert compared["against"].eq("workload=cnn").all()
    assert len(compared) == 6  # three backends, two numerics
    assert any("mlp takes a sample, as a multiple of cnn, " in one.text for one in verdicts(found))


def test_of_several_batches_each_workloads_smallest_are_compared_and_so_on(widened):
    found = widened(0.5, {"against": "cnn"}, batch_size=256)
    batches = {case.case.workload: set() for case in found.run.description.plan}
    for row in rows(found, "workload").to_dict("records"):
        batches[row["workload"]].add(row["batch_size"])

    assert batches == {"mlp": {128, 256}, "cnn": set()}


def test_calls_of_inference_are_compared_at_every_batch_size():
    def called(workload, size):
        rest = {"dataset": "d", "epochs": 1, "input": "arrays", "backend": "jax", "device": "cpu"}
        rest |= {"numerics": "float32", "task": "predict", "track": "fit"}
        return Case(workload=workload, samples=200 * size, batch_size=size, **rest)

    cases = [called(workload, size) for workload in ("mlp", "cnn") for size in (1, 256)]
    plan = [SimpleNamespace(case=case) for case in cases]
    description = SimpleNamespace(reference="jax", plan=plan, options={"against": "cnn"})
    opponents = [dict(comparisons.opponents(case, description)).get("workload=cnn") for case in cases]

    assert opponents == [cases[2], cases[3], None, None]


def test_a_workload_to_be_compared_with_has_to_be_in_the_run(tmp_path):
    (tmp_path / "mine.py").write_text("import keras\n\n\ndef a():\n    return keras.Sequential()\n\n\nb = a\n")
    (tmp_path / "other.py").write_text("import keras\n\n\ndef c():\n    return keras.Sequential()\n")
    mine, other = str(tmp_path / "mine.py"), str(tmp_path / "other.py")
    words = ["--dataset=fashion_mnist", f"--output={tmp_path}"]
    given = parse_run([f"--workloads={mine},{other}", f"--against={other}", *words])

    assert given.against in given.workloads
    assert given.against.endswith("other.py")
    with pytest.raises(UsageError, match="--against cnn: not among the workloads of this run"):
        parse_run([f"--workloads={mine}", "--against=cnn", *words])
