"""From traced epochs to layers side by side, and to the known causes among them."""

import pytest

from bench.analysis.operations import by_layer
from bench.contract import explain
from bench.report.parts import operations as shown

POOLING = [
    ("pool_1", "MaxPooling2D", "backward", "reduce-window", 0.006, 1.0),
    ("pool_1", "MaxPooling2D", "backward", "iota", 0.002, 4.0),
    ("conv", "Conv2D", "forward", "convolution", 0.0015, 1.0),
    ("optimizer", "optimizer", "update", "mul", 0.0003, 12.0),
    ("other", "other", "", "copy", 0.0002, 4.0),
]
WORKLOAD, DEVICE = "cnn", "cpu"


def launch(rows, backend="jax", device=DEVICE):
    """What one process wrote; a training takes as long with something taken away as without."""
    training = {"epoch_seconds": 1.0, "cold_seconds": 2.0, "fit_seconds": 0.0, "error": "", "steps": 64}
    trainings = {name: {**training, "batch_size": 128} for name in explain.TAKEN_AWAY}
    trainings[explain.SHORT] |= {"epoch_seconds": 0.25, "steps": 16}
    names = ("layer", "kind", "phase", "operation", "seconds", "calls")
    told = {"error": "", "steps": 24, "plain_seconds": 0.2, "traced_seconds": 0.3, "trace": "a-trace/x.json.gz"}
    told |= {"rows": [dict(zip(names, row, strict=True)) for row in rows]}
    about = {"workload": WORKLOAD, "backend": backend, "device": device, "numerics": "float32", "seed": 0}
    about |= {"metrics": [], "callbacks": [], "steps_per_epoch": 64, "compilations": 0, "memory_mib": [1.0] * 10}
    return {**about, "trainings": trainings, "operations": told}


def test_shares_are_of_all_operations(explanation):
    found = explanation(launch(POOLING)).operations

    assert found.table["share"].tolist() == pytest.approx([0.6, 0.2, 0.15, 0.03, 0.02])
    assert found.traces[0].at_home == pytest.approx(0.98)
    assert found.traces[0].cost == pytest.approx(1.5)


def test_a_layer_and_phase_is_the_sum_of_its_operations(explanation):
    rows = by_layer(explanation(launch(POOLING)).operations.table).to_dict("records")

    assert [(row["layer"], row["phase"], row["operation"]) for row in rows[:2]] == [
        ("pool_1", "backward", "reduce-window"),
        ("conv", "forward", "convolution"),
    ]
    assert rows[0]["seconds"] == pytest.approx(0.008)


def test_the_dearest_of_each_backend_stand_side_by_side(explanation):
    many = [(f"dense_{number}", "Dense", "forward", "mm", 1e-4, 1.0) for number in range(20)]
    found = explanation(launch(POOLING), launch([*POOLING[2:], *many], "torch"))
    (table,) = shown.tables(found)

    assert table.columns == ["layer", "phase", "jax", "torch"]  # as the files stand, whichever is dearer
    assert table.rows[0] == ["pool_1", "backward", "8 (80%) reduce-window", "–"]
    assert table.rows[1] == ["conv", "forward", "1.5 (15%) convolution", "1.5 (38%) convolution"]
    assert len(table.rows) == shown.DEAREST + 2
    assert table.rows[-1][2:] == ["10 (100%)", "4 (100%)"]


def test_all_rows_add_up_to_the_last(explanation):
    many = [(f"dense_{number}", "Dense", "forward", "mm", 1e-3, 1.0) for number in range(20)]
    (table,) = shown.tables(explanation(launch(many)))
    took = [float(row[2].split()[0]) for row in table.rows]

    assert sum(took[:-1]) == pytest.approx(took[-1])


def test_a_terminal_has_no_names_of_operations(explanation):
    (table,) = shown.brief(explanation(launch(POOLING)))

    assert table.rows[0] == ["pool_1", "backward", "8 (80%)"]


def test_below_the_table_stands_what_the_profiler_cost_and_where_the_trace_is(explanation):
    (table,) = shown.tables(explanation(launch(POOLING)))

    assert "jax: 98.0% brought home" in table.notes[1]
    assert "under the profiler an epoch of 24 steps took 1.50 times as long" in table.notes[1]
    assert "trace: explain/a-trace, for TensorBoard" in table.notes[1]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"error": "RuntimeError: no counters"}, "RuntimeError: no counters"),
        ({"rows": [{"layer": 1}]}, "not readable (KeyError: "),
        ({"plain_seconds": "long"}, "not readable (TypeError: "),
        ({"plain_seconds": 0}, "not readable (ZeroDivisionError: "),
        ({"steps": None}, "not readable (TypeError: "),
    ],
)
def test_an_epoch_that_was_not_traced_is_said_and_loses_nothing(explanation, told, said):
    one = launch(POOLING)
    one["operations"] |= told
    found = explanation(one)
    (remark,) = shown.remarks(found)

    assert remark.text.startswith(f"no operations: cnn on cpu, jax: {said}")
    assert shown.tables(found) == []
    assert found.problems == []
    assert set(found.table["backend"]) == {"jax"}


def test_a_known_cause_is_told_with_what_helps_and_where_that_was_measured(explanation):
    (said,) = explanation(launch(POOLING)).operations.advice

    assert said.text.startswith("80% of what its operations take is the gradient of max-pooling (pool_1): ")
    assert "keras.ops.maximum" in said.text
    assert said.text.endswith("(docs/results/tracks.md)")


def test_a_sentence_names_the_dearest_layers_alone(explanation):
    copies = [(f"conv_{number}", "Conv2D", "forward", "aten::copy_", 1e-3 * (9 - number), 2.0) for number in range(5)]
    (said,) = explanation(launch(copies, "torch")).operations.advice

    assert "copies from one layout to another (conv_0, conv_1, conv_2 and 2 more): " in said.text


@pytest.mark.parametrize(
    ("rows", "backend", "device"),
    [
        (POOLING, "tensorflow", "cpu"),
        (POOLING, "jax", "gpu"),
        (POOLING[2:], "jax", "cpu"),
        ([*POOLING, ("dense", "Dense", "forward", "dot", 0.05, 1.0)], "jax", "cpu"),  # too little of it
        ([("pool_1", "MaxPooling2D", "forward", "max", 0.01, 1.0)], "jax", "cpu"),
    ],
)
def test_no_cause_is_told_elsewhere_or_where_it_takes_little(explanation, rows, backend, device):
    assert explanation(launch(rows, backend, device)).operations.advice == []


def test_a_run_that_traced_nothing_has_neither_table_nor_remark(explanation):
    one = launch(POOLING)
    del one["operations"]
    found = explanation(one)

    assert shown.tables(found) == shown.remarks(found) == []
    assert found.operations.traces == []
