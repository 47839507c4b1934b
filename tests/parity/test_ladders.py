"""Real ladders on all three backends: what agrees passes, and each planted fault is found and named."""

import functools
import io
import itertools
import tempfile

import pytest

from bench.analysis import analyse
from bench.analysis.parity.distances import TRAINED
from bench.contract.paths import ROOT
from bench.plan.parse import parse_parity
from bench.run.console import RunConsole
from bench.run.parity import parity

FOLDER = ROOT / "tests" / "parity" / "workloads"
WORKLOADS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
STEPS = 6


def climbed_by(folder, stems, *words):
    """The analysis of one run over some workloads of tests/parity/workloads."""
    given = [f"--steps={STEPS}", "--devices=cpu", f"--output={folder}", *words]
    given.append(f"--workloads={','.join(str(FOLDER / f'{stem}.py') for stem in stems)}")
    with pytest.MonkeyPatch.context() as patch:  # a lock of its own, as every test has
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        return analyse(parity(parse_parity(given), RunConsole(file=io.StringIO())))


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory):
    """What agrees, on every track and in every arithmetic, by its kind: minutes each."""

    @functools.cache
    def climbed(kind):
        return climbed_by(tmp_path_factory.mktemp(kind), AGREE[kind])

    return climbed


@pytest.fixture(scope="module")
def parting(tmp_path_factory):
    """Every other workload, likewise."""
    return climbed_by(
        tmp_path_factory.mktemp("parting"), [stem for stem in WORKLOADS if stem not in itertools.chain(*AGREE.values())]
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Those with a fault that is planted in a small dense network, by fit in exact mode: seconds."""
    return climbed_by(tmp_path_factory.mktemp("few"), FEW, "--tracks=fit", "--numerics=float64")


def problems(analysis, stem):
    return [problem for problem in analysis.problems if problem.startswith(f"parity: {stem}")]


FEW = ["weights_off", "other_epsilon", "other_order"]
AGREE = {
    "plain": ["structures", "float32_head", "unfelt_bias", "small_bert_base", "small_gpt2_small"],
    "drawing": ["random_layers", "drawing_always"],
}
GROUPS = [
    pytest.param(kind, stem, marks=pytest.mark.xdist_group(kind)) for kind, stems in AGREE.items() for stem in stems
]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "stem"), GROUPS)
def test_what_agrees_passes_on_every_rung_and_backend(agreeing, kind, stem):
    exact = agreeing(kind).parity.exact
    rows = exact[exact["workload"].str.endswith(f"/{stem}.py") & exact["optimizer"].eq("own")]

    assert problems(agreeing(kind), stem) == []
    assert set(rows["backend"]) == {"jax", "tensorflow", "torch"}
    assert rows["passed"].all()
    amplified = TRAINED if stem == "unfelt_bias" else ["all steps"]
    assert rows[~rows["rung"].isin(amplified)]["error"].max() < 1e-11
    whole = rows[rows["rung"] == "metric"].groupby("track").size()
    assert (whole["fit"], whole["loop"]) == (2, 3)  # the reference's loop is judged as well


@pytest.mark.long
@pytest.mark.xdist_group("plain")
def test_every_layer_of_nested_and_shared_models_is_judged(agreeing):
    exact = agreeing("plain").parity.exact
    rows = exact[exact["workload"].str.endswith("/structures.py")]
    layers = set(rows[rows["rung"] == "outputs"]["location"])

    assert {"dense", "dense#2"} <= layers  # the shared layer, called twice
    assert {"halves[0]", "halves[1]"} <= layers  # two outputs
    assert any(layer.startswith("sequential/lstm") for layer in layers)
    assert not any("lstm_cell" in layer for layer in layers)  # each backend calls a cell as it likes
    assert "whole/layer_normalization" in layers


BLAMES = {
    "weights_off": "tensorflow cpu float64 parts from jax float64 at weights, careless/dense/kernel (0, 0)",
    "other_epsilon": "torch cpu float64 parts from jax float64 at one step, sequential/dense/kernel",
    "other_order": "tensorflow cpu float64 parts from jax float64 at losses, loss (step 3)",
    "scaled_slightly": "torch cpu float64 parts from jax float64 at outputs, sequential/rescaling",
    "other_padding": "torch cpu float64 parts from jax float64 at outputs, sequential/padding",
    "average_pooling": "torch cpu float64 parts from jax float64 at outputs, average_pooling2d",
}


@pytest.mark.xdist_group("few")
@pytest.mark.parametrize("stem", FEW)
def test_a_planted_fault_is_blamed_on_its_place(few, stem):
    blamed(few, stem)


@pytest.mark.long
@pytest.mark.xdist_group("parting")
@pytest.mark.parametrize("stem", BLAMES)
def test_on_all_tracks_a_fault_is_blamed_on_its_place(parting, stem):
    blamed(parting, stem)


def blamed(analysis, stem):
    """The fault is found, and nothing else."""
    (problem,) = problems(analysis, stem)

    assert problem.startswith(f"parity: {stem} {BLAMES[stem]}")
    assert " against " in problem


@pytest.mark.long
@pytest.mark.xdist_group("parting")
def test_inaccuracy_that_is_known_is_a_remark_with_its_finding(parting):
    (remark,) = [one for one in parting.parity.remarks if "shifted_normalization" in one]

    assert problems(parting, "shifted_normalization") == []
    assert "torch cpu float32 is far less accurate than the others, judged by jax float64 at outputs" in remark
    assert remark.endswith("docs/findings.md: Normalisation of values far from zero, torch")


@pytest.mark.long
@pytest.mark.xdist_group("parting")
def test_a_layer_that_gives_nan_is_named(parting):
    where = "parity: blank: layer sequential/rescaling gives nan in"

    assert problems(parting, "blank") == [
        f"{where} {kind} on jax, tensorflow, torch" for kind in ("float64", "float32")
    ]
