"""Real ladders on all three backends: what agrees passes, and each planted fault is found and named."""

import io

import pytest

from bench.analysis import analyse
from bench.contract.paths import ROOT
from bench.plan.parse import parse_parity
from bench.run.console import RunConsole
from bench.run.parity import parity

WORKLOADS = sorted((ROOT / "tests" / "parity" / "workloads").glob("[!_]*.py"))
STEPS = 6


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """The analysis of one run over all workloads of tests/parity/workloads."""
    output = tmp_path_factory.mktemp("results")
    words = [f"--steps={STEPS}", "--devices=cpu", f"--output={output}"]
    words.append(f"--workloads={','.join(map(str, WORKLOADS))}")
    said = io.StringIO()
    return analyse(parity(parse_parity(words), RunConsole(file=said)))


def problems(analysis, stem):
    return [problem for problem in analysis.problems if problem.startswith(f"parity: {stem}")]


AGREE = ["structures", "random_layers", "small_bert_base", "small_gpt2_small"]


@pytest.mark.parametrize("stem", AGREE)
def test_what_agrees_passes_on_every_rung_and_every_backend(climbed, stem):
    rows = climbed.parity.exact[climbed.parity.exact["workload"].str.endswith(f"/{stem}.py")]

    assert problems(climbed, stem) == []
    assert set(rows["backend"]) == {"jax", "tensorflow", "torch"}
    assert rows["passed"].all()
    assert rows[rows["rung"] != "all steps"]["error"].max() < 1e-11
    whole = rows[rows["rung"] == "metric"].groupby("track").size()
    assert (whole["fit"], whole["loop"]) == (2, 3)  # the reference's loop is judged as well


def test_every_layer_of_nested_shared_and_subclassed_models_is_judged(climbed):
    rows = climbed.parity.exact[climbed.parity.exact["workload"].str.endswith("/structures.py")]
    layers = set(rows[rows["rung"] == "outputs"]["location"])

    assert {"dense", "dense#2"} <= layers  # the shared layer, called twice
    assert {"halves[0]", "halves[1]"} <= layers  # two outputs
    assert any(layer.startswith("sequential/lstm") for layer in layers)
    assert not any("lstm_cell" in layer for layer in layers)  # each backend calls a cell as it likes
    assert "whole/layer_normalization" in layers


@pytest.mark.parametrize(
    ("stem", "blame"),
    [
        ("weights_off", "tensorflow cpu float64 parts from jax float64 at weights, careless/dense/kernel (0, 0)"),
        ("other_epsilon", "torch cpu float64 parts from jax float64 at one step, sequential/dense/kernel"),
        ("other_order", "tensorflow cpu float64 parts from jax float64 at losses, loss (step 3)"),
        ("other_padding", "torch cpu float64 parts from jax float64 at outputs, sequential/padding"),
        ("average_pooling", "torch cpu float64 parts from jax float64 at outputs, average_pooling2d"),
        (
            "shifted_normalization",
            "torch cpu float32 is far less accurate than the others, judged by jax float64 at outputs, "
            "sequential/batch_normalization",
        ),
    ],
)
def test_a_fault_is_found_and_blamed_on_its_place_and_on_nothing_else(climbed, stem, blame):
    (problem,) = problems(climbed, stem)

    assert problem.startswith(f"parity: {stem} {blame}")
    assert " against " in problem


def test_a_layer_that_gives_nan_is_named(climbed):
    where = "parity: blank: layer sequential/rescaling gives nan in"

    assert problems(climbed, "blank") == [
        f"{where} {kind} on jax, tensorflow, torch" for kind in ("float64", "float32")
    ]
