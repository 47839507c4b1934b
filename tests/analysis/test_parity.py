"""From recorded ladders to the first rung that failed."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from support import recordings
from support.recordings import RUNGS, description, ladder, save

from bench.analysis.parity import distances
from bench.analysis.parity.compare import compare as compare_recordings
from bench.contract import run_json
from bench.contract.catalog import facts_of_all
from bench.contract.paths import ROOT
from bench.report.parts.parity import proved, remarks, tables
from bench.report.parts.training import _parity as in_a_word
from bench.report.parts.verdicts import _parity

BACKENDS = ("jax", "tensorflow", "torch")


def compare_run(folder, content):
    """Compare the recordings in a folder of a run whose run.json has this content."""
    return compare_recordings(folder, run_json.read(content))


@pytest.fixture
def compare(tmp_path):
    """Compare recordings of three backends; `changes` by backend and numerics."""

    def compared(changes=None, numerics=("float64",), described=None, seeds=(0,), backends=BACKENDS):
        for seed in seeds:
            for kind in numerics:
                for backend in backends:
                    key = (backend, kind)
                    more = (described or {}).get(key, {})
                    save(
                        tmp_path / "ladders",
                        (changes or {}).get(key),
                        backend=backend,
                        numerics=kind,
                        seed=seed,
                        **more,
                    )
        ladders = [ladder(backend, kind) for kind in numerics for backend in backends]
        return compare_run(tmp_path, description(ladders, seeds))

    return compared


def off(key, by=1e-3, at=0):
    """The arrays of a rung, one element of which is off."""
    array = RUNGS[key].copy()
    array.flat[at] += by
    return {key: array}


def noisy(error, seed, rungs=recordings.SHORT[1:4]):
    """All outputs, loss and gradients with a relative error of that size."""
    generator = np.random.default_rng(seed)
    keys = [key for key in RUNGS if key.partition("/")[0] in rungs]
    return {
        key: RUNGS[key] + error * np.abs(RUNGS[key]).max() * generator.uniform(0.5, 1, RUNGS[key].shape) for key in keys
    }


def test_equal_recordings_pass_on_every_rung(compare):
    found = compare()

    assert found.problems == []
    assert found.table["passed"].all()
    assert set(found.table["backend"]) == {"tensorflow", "torch"}
    assert list(dict.fromkeys(found.table["rung"])) == list(distances.RUNGS)


def test_rounding_in_float64_passes(compare):
    changes = {key: array * (1 + 2e-15) for key, array in RUNGS.items() if not key.startswith(("weights", "metric"))}

    assert compare({("torch", "float64"): changes}).problems == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (off("weights/dense/kernel", 1e-15, 3), "at weights, dense/kernel (1, 1)"),
        (off("outputs/dense", 1e-7, 5), "at outputs, dense (2, 1)"),
        (off("loss/loss"), "at loss, loss"),
        (off("gradients/dense/bias"), "at gradients, dense/bias (0)"),
        (off("one step/dense/kernel"), "at one step, dense/kernel (0, 0)"),
        (off("losses/loss", 1e-9, 3), "at losses, loss (step 4)"),
        (off("all steps/dense/kernel"), "at all steps, dense/kernel (0, 0)"),
        (off("predictions/output 0", 1e-6), "at predictions, output 0 (0, 0)"),
        (off("metric/accuracy", 1e-4), "at metric, accuracy"),
    ],
)
def test_the_first_rung_that_fails_is_named_with_both_values(compare, changes, place):
    found = compare({("torch", "float64"): changes})
    (problem,) = found.problems
    ((key, array),) = changes.items()
    at = np.flatnonzero(array != RUNGS[key])[0]

    assert problem.startswith(f"parity: mlp torch cpu float64 parts from jax float64 {place}: ")
    assert f"{array.flat[at]:.17g} against {RUNGS[key].flat[at]:.17g}" in problem


def beside(key, by):
    """A training of the reference that began one rounding beside: the first element of a rung is off."""
    return {f"nudged {name}": array for name, array in off(key, by).items()}


@pytest.mark.parametrize("key", ["one step/dense/kernel", "all steps/dense/kernel", "predictions/output 0"])
def test_what_rounding_alone_does_to_a_training_is_no_difference(compare, key):
    moved = {("torch", "float64"): off(key, 1e-6)}

    assert compare(moved).problems
    assert compare({**moved, ("jax", "float64"): beside(key, 1e-8)}).problems == []
    (problem,) = compare({**moved, ("jax", "float64"): beside(key, 1e-10)}).problems
    assert f"at {key.partition('/')[0]}, " in problem


def felt(by):
    """Gradients of a bias, one of which is of this size, and a step of it by an optimizer that takes its sign."""
    gradient, step = RUNGS["gradients/dense/bias"].copy(), RUNGS["gradients/dense/bias"].copy()
    gradient[0], step[0] = by, np.copysign(0.1, by)
    return {"gradients/dense/bias": gradient, "one step/dense/bias": step, "all steps/dense/bias": step}


@pytest.mark.parametrize(("size", "parts"), [(1e-17, False), (1e-12, False), (1e-7, True)])
def test_a_step_in_a_direction_that_the_loss_does_not_feel_is_no_difference(compare, size, parts):
    changes = {(backend, "float64"): felt(size) for backend in BACKENDS} | {("torch", "float64"): felt(-size)}

    assert bool(compare(changes).problems) is parts


def test_a_fault_in_a_direction_that_the_loss_feels_is_seen_beside_one_that_it_does_not(compare):
    changes = {(backend, "float64"): felt(1e-17) for backend in BACKENDS}
    wrong = felt(-1e-17)
    wrong["one step/dense/bias"][1] += 1e-6
    (problem,) = compare({**changes, ("torch", "float64"): wrong}).problems

    assert "at one step, dense/bias (1)" in problem


def test_a_gradient_that_a_rounding_turns_over_is_no_difference(compare):
    """As where a maximum over equal numbers is taken."""
    moved = {("torch", "float64"): off("gradients/dense/kernel", 0.3)}

    assert compare(moved).problems
    assert compare({**moved, ("jax", "float64"): beside("gradients/dense/kernel", 0.2)}).problems == []


def test_a_loss_is_judged_by_what_rounding_did_until_its_step(compare):
    moved = {("torch", "float64"): off("losses/loss", 1e-7, 3)}

    assert compare({**moved, ("jax", "float64"): {"nudged losses/loss": off_by("losses/loss", 1e-9, 2)}}).problems == []
    (problem,) = compare({**moved, ("jax", "float64"): {"nudged losses/loss": off_by("losses/loss", 1e-9, 4)}}).problems
    assert "loss (step 4)" in problem


def off_by(key, by, at):
    return off(key, by, at)[key]


def test_amplified_rounding_hides_no_fault_before_training(compare):
    changes = {("torch", "float64"): off("outputs/dense", 1e-6), ("jax", "float64"): beside("outputs/dense", 1e-3)}
    (problem,) = compare(changes).problems

    assert "at outputs, dense" in problem


def test_an_accuracy_of_as_many_labels_is_the_same(compare):
    described = {(backend, "float64"): {"labels": 1_408} for backend in BACKENDS}
    last_bit = {"metric/accuracy": np.nextafter(RUNGS["metric/accuracy"], 1)}
    one_more = {"metric/accuracy": RUNGS["metric/accuracy"] + 1 / 1_408}

    assert compare({("torch", "float64"): last_bit}, described=described).problems == []
    (problem,) = compare({("torch", "float64"): one_more}, described=described).problems
    assert "at metric, accuracy: " in problem
    assert "error 1.0e+00" in problem


def test_layers_are_judged_in_the_order_in_which_they_ran(compare):
    (problem,) = compare({("torch", "float64"): off("outputs/flatten") | off("outputs/dense", 1.0)}).problems

    assert "at outputs, flatten" in problem


def test_losses_are_blamed_on_the_first_step_that_parts_and_not_on_the_worst(compare):
    losses = RUNGS["losses/loss"] + np.array([0, 0, 1e-8, 1e-4, 1e-3])
    (problem,) = compare({("torch", "float64"): {"losses/loss": losses}}).problems

    assert "loss (step 3)" in problem


def test_a_class_that_differs_fails_though_the_outputs_agree(compare):
    tie = {"predictions/output 0": RUNGS["predictions/output 0"].copy()}
    tie["predictions/output 0"][4] = [0.1, 0.1 + 1e-9]
    turned = {"predictions/output 0": tie["predictions/output 0"].copy()}
    turned["predictions/output 0"][4] = [0.1 + 1e-9, 0.1]
    changes = {(backend, "float64"): tie for backend in BACKENDS} | {("torch", "float64"): turned}
    (problem,) = compare(changes).problems

    assert "at classes, output 0 (sample 4): 0 against 1, error 1.0e+00" in problem


@pytest.mark.parametrize("kind", ["classes", "yes or no"])
def test_a_label_that_rounding_decides_is_no_difference_in_class_or_accuracy(compare, kind):
    tie = RUNGS["predictions/output 0"].copy()
    if kind == "classes":
        tie[4] = [0.1, 0.1 + 1e-14]
    else:
        tie = tie[:, :1]
        tie[4] = 0.5 + 1e-14
    turned = tie.copy()
    turned[4] = tie[4][::-1] if kind == "classes" else 0.5 - 1e-14
    changes = {(backend, "float64"): {"predictions/output 0": tie} for backend in BACKENDS}
    missed = {"predictions/output 0": turned, "metric/accuracy": np.array(0.7)}  # one of ten labels
    two = {"predictions/output 0": turned, "metric/accuracy": np.array(0.6)}

    assert compare({**changes, ("torch", "float64"): missed}).problems == []
    (problem,) = compare({**changes, ("torch", "float64"): two}).problems
    assert "at metric, accuracy" in problem


def test_the_classes_of_each_place_of_a_sequence_are_compared(compare):
    logits = np.random.default_rng(1).normal(size=(10, 7, 3))
    turned = logits.copy()
    turned[4, 2] = logits[4, 2, [1, 2, 0]]
    changes = {(backend, "float64"): {"predictions/output 0": logits} for backend in BACKENDS}
    changes["torch", "float64"] = {"predictions/output 0": turned}
    rows = compare(changes).table.query("rung == 'classes' and backend == 'torch'")

    assert rows["error"].tolist() == [1]
    assert rows["element"].tolist() == ["sample 4, 2"]


def test_outputs_that_are_no_classes_have_none(compare):
    no_classes = {(backend, "float64"): {"classes": False} for backend in BACKENDS}
    found = compare(described=no_classes)

    assert "classes" not in set(found.table["rung"])
    assert found.problems == []


def test_a_workload_made_for_a_gpu_is_not_missed(tmp_path):
    folder = tmp_path / "ladders"
    for backend in BACKENDS:
        save(folder, backend=backend)
    described = description([ladder(backend) for backend in BACKENDS], workloads=("mlp", "gpt2_small"))
    missed = compare_run(tmp_path, described).problems
    described["workloads"][1]["memory_mib"] = 30_000

    assert len(missed) == 3
    assert compare_run(tmp_path, described).problems == []


def test_a_gradient_that_is_nothing_but_rounding_is_not_held_against_itself(compare):
    changes = {
        ("jax", "float64"): {"gradients/dense/bias": np.array([1e-18, -2e-18])},
        ("torch", "float64"): {"gradients/dense/bias": np.array([-3e-18, 1e-18])},
    }

    assert [problem for problem in compare(changes).problems if "torch" in problem] == []


def test_other_shapes_and_missing_arrays_fail(compare):
    changes = {
        ("torch", "float64"): {"outputs/dense": np.zeros((8, 3))},
        ("tensorflow", "float64"): {"loss/loss": None},
    }
    problems = "\n".join(compare(changes).problems)

    assert "torch cpu float64 parts from jax float64 at outputs, dense (shapes (8, 3) and (8, 2))" in problems
    assert "tensorflow cpu float64 parts from jax float64 at loss" in problems


def test_values_that_are_no_numbers_are_blamed_on_layer_and_backends(compare):
    nan = {"outputs/dense": np.full((8, 2), np.nan), "losses/loss": np.array([np.nan])}
    found = compare({(backend, "float64"): nan for backend in BACKENDS})

    assert found.problems == ["parity: mlp: layer dense gives nan in float64 on jax, tensorflow, torch"]


def test_a_recording_that_ended_early_says_why_and_what_it_holds_is_compared(compare):
    changes = {key: None for key in RUNGS if key.startswith(("all", "pred", "metric"))}
    found = compare(
        {("torch", "float64"): changes | off("outputs/dense")},
        described={("torch", "float64"): {"error": "ValueError: no"}},
    )

    assert found.problems[0] == "parity: mlp torch cpu float64, seed 0: ended early: ValueError: no"
    assert "at outputs, dense" in found.problems[1]
    assert len(found.problems) == 2


def test_a_ladder_that_was_not_climbed_is_a_problem_unless_it_was_skipped(tmp_path):
    save(tmp_path / "ladders", backend="jax")
    ladders = [
        ladder("jax"),
        ladder("torch", status="failed", reason="killed by signal 9 (SIGKILL)"),
        ladder("tensorflow", skip="a CPU has no TF32", status="skipped"),
    ]
    found = compare_run(tmp_path, description(ladders))

    assert found.problems == ["parity: torch cpu float64 was not climbed: failed, killed by signal 9 (SIGKILL)"]


def test_a_recording_that_is_not_there_is_a_problem(tmp_path):
    save(tmp_path / "ladders", backend="jax")
    found = compare_run(tmp_path, description([ladder("jax"), ladder("torch")]))

    assert found.problems == ["parity: mlp: torch cpu float64 left no recording of seed 0"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_recording_is_left_out_and_named(tmp_path, content):
    save(tmp_path / "ladders", backend="jax")
    path = save(tmp_path / "ladders", backend="torch")
    path.write_bytes(path.read_bytes()[:-300] if content is None else content)
    found = compare_run(tmp_path, description([ladder("jax"), ladder("torch")]))

    assert found.problems[0].startswith(f"left out: {path.name}: not a readable recording")


def test_a_recording_with_a_hostile_description_is_left_out(tmp_path):
    save(tmp_path / "ladders", backend="jax")
    np.savez(tmp_path / "ladders" / "x.npz", about=np.array("[1, 2]"), **RUNGS)
    np.savez(tmp_path / "ladders" / "y.npz", about=np.array({"a": 1}, dtype=object))
    found = compare_run(tmp_path, description([ladder("jax")]))

    assert [problem.split(":")[1].strip() for problem in found.problems] == ["x.npz", "y.npz"]


def test_without_the_reference_another_backend_is_the_golden_one(compare):
    found = compare({("torch", "float64"): off("outputs/dense")}, backends=("tensorflow", "torch"))

    assert "torch cpu float64 parts from tensorflow float64" in found.problems[0]


def test_a_metric_that_does_not_count_has_room_for_rounding(compare):
    nothing = {"metric/accuracy": None}
    errors = {backend: {**nothing, "metric/mae": np.array(0.8)} for backend in BACKENDS}
    errors["torch"]["metric/mae"] = np.array(0.8 * (1 + 1e-12))

    assert compare({(backend, "float64"): error for backend, error in errors.items()}).problems == []


@pytest.mark.parametrize("rung", ["outputs", "gradients", "predictions", "metric"])
def test_a_rung_that_nobody_recorded_does_not_pass_for_proved(compare, rung):
    nothing = {key: None for key in RUNGS if key.startswith(f"{rung}/")}
    found = compare({(backend, "float64"): nothing for backend in BACKENDS})

    assert f"parity: mlp torch cpu float64, seed 0: not recorded: {rung}" in found.problems


def test_the_whole_models_output_has_to_be_compared(compare):
    found = compare({("torch", "float64"): {"outputs/dense": None}})

    assert "at outputs, dense" in found.problems[0]


def test_other_batches_are_named(compare):
    found = compare(described={("torch", "float64"): {"batches_digest": "def"}})

    assert found.problems[0] == "parity: mlp torch cpu float64, seed 0: its batches are not those of jax"


def test_seeds_that_fail_are_counted(compare):
    (problem,) = compare({("torch", "float64"): off("outputs/dense")}, seeds=(0, 1, 2)).problems

    assert problem.endswith("seed 0 and 2 more")


def test_float32_that_is_as_far_off_as_the_others_passes(compare):
    changes = {(backend, "float32"): noisy(3e-6, index) for index, backend in enumerate(BACKENDS)}
    found = compare(changes, ("float64", "float32"))

    assert found.problems == []
    assert set(found.table[found.table["numerics"] == "float32"]["backend"]) == set(BACKENDS)


def test_float32_that_is_much_worse_than_the_others_is_blamed_on_its_layer(compare):
    changes = {(backend, "float32"): noisy(3e-6, index) for index, backend in enumerate(BACKENDS)}
    changes["torch", "float32"] = changes["torch", "float32"] | off("outputs/dense", 1e-2)
    (problem,) = compare(changes, ("float64", "float32")).problems

    assert problem.startswith(
        "parity: mlp torch cpu float32 is far less accurate than the others, judged by jax float64 at outputs, dense"
    )


@pytest.mark.parametrize(("by", "fails"), [(0.02, False), (0.2, True), (np.nan, True)])
def test_float32_losses_may_diverge_but_not_far(compare, by, fails):
    changes = {("torch", "float32"): {"losses/loss": RUNGS["losses/loss"] * np.array([1, 1, 1, 1, 1 + by])}}
    rows = compare(changes, ("float64", "float32")).table
    row = rows[(rows["backend"] == "torch") & (rows["rung"] == "losses") & (rows["numerics"] == "float32")].iloc[0]

    assert bool(row["passed"]) is not fails


def other_side(value):
    """The outputs of a relu, one element of which is zero in exact mode, and the same with this value in its place."""
    exact = np.maximum(RUNGS["outputs/dense"], 0)
    exact.flat[0] = 0
    rounded = exact.copy()
    rounded.flat[0] = value
    return {"outputs/dense": exact}, {"outputs/dense": rounded}


@pytest.mark.parametrize(("crossed", "by", "fails"), [(0, 1e-2, True), (1e-7, 1e-2, False), (1e-7, 0.5, True)])
def test_gradients_may_jump_where_rounding_decided_what_passed_a_relu_but_not_far(compare, crossed, by, fails):
    exact, rounded = other_side(crossed)
    changes = {(backend, kind): exact for backend in BACKENDS for kind in ("float64", "float32")}
    changes["torch", "float32"] = rounded | off("gradients/dense/kernel", by)
    found = compare(changes, ("float64", "float32"))

    assert bool(found.problems) is fails
    notes = " ".join(note for table in tables(found) for note in table.notes)
    said = "mlp, torch cpu float32: 1 output of dense (seed 0) fell on the other side of zero"
    assert (said in notes) is bool(crossed)


def test_gradients_that_jumped_do_not_make_a_backend_less_accurate(compare):
    exact, rounded = other_side(1e-7)
    changes = {(backend, kind): exact for backend in BACKENDS for kind in ("float64", "float32")}
    changes["torch", "float32"] = rounded | off("gradients/dense/kernel", 1e-2)
    found = compare(changes, ("float64", "float32")).accuracies().reset_index().set_index("backend")

    assert found.loc["torch", "gradients"] > 1e4
    assert found.loc["torch", "typical"] < 10


WIDE = np.random.default_rng(1).normal(size=(8, 60, 60, 2))  # of which a channel's bias adds 28,800 places


@pytest.mark.parametrize(("units", "fails"), [(300, False), (8_192, True)])
def test_float32_may_lose_what_the_longest_sum_loses(compare, units, fails):
    by = units * 2.0**-24 * np.abs(RUNGS["gradients/dense/kernel"]).max()
    wide = {(backend, kind): {"outputs/wide": WIDE} for backend in BACKENDS for kind in ("float64", "float32")}
    changes = {**wide, ("torch", "float32"): wide["torch", "float32"] | off("gradients/dense/bias", by)}
    found = compare(changes, ("float64", "float32"))

    assert bool(found.problems) is fails
    assert compare(
        {("torch", "float32"): off("gradients/dense/bias", by)}, ("float64", "float32")
    ).problems  # of 8 rows


def test_inaccuracy_that_is_a_backends_known_way_is_a_remark(compare):
    described = {(backend, kind): {"kinds": KINDS} for backend in BACKENDS for kind in ("float64", "float32")}
    found = compare({("torch", "float32"): off("outputs/dense", 1e-2)}, ("float64", "float32"), described)
    other = compare({("torch", "float32"): off("outputs/flatten", 1e-2)}, ("float64", "float32"), described)

    assert found.problems == []
    assert "torch cpu float32 is far less accurate" in found.remarks[0]
    assert found.remarks[0].endswith("docs/findings.md: Normalisation of values far from zero, torch")
    assert any("far from zero" in sentence.text for sentence in remarks(found))
    assert other.remarks == []
    assert len(other.problems) == 1


KINDS = {"flatten": "Flatten", "dense": "BatchNormalization"}


@pytest.mark.parametrize(
    ("backend", "key", "kind", "title"),
    [
        ("torch", "outputs/dense", "AveragePooling2D", "Average pooling at an edge, torch"),
        (
            "tensorflow",
            "one step/dense/kernel",
            "Dense leaky_relu",
            "The slope of leaky_relu at 0, JAX",
        ),  # of the reference
    ],
)
def test_a_difference_that_is_known_stays_one_and_names_its_finding(compare, backend, key, kind, title):
    described = {(name, "float64"): {"kinds": {"dense": kind}} for name in BACKENDS}
    (problem,) = compare({(backend, "float64"): off(key)}, described=described).problems

    assert problem.endswith(f"; a known difference, docs/findings.md: {title}")


def resized(compare, changes):
    """A comparison in which TensorFlow resizes images, in float32 inside as it does."""
    described = {(name, "float64"): {"kinds": {"flatten": "Resizing"}} for name in BACKENDS}
    return compare({("tensorflow", "float64"): off("outputs/flatten", 1e-7) | changes}, described=described)


def test_float32_inside_a_layer_is_a_remark_in_exact_mode_and_no_proof(compare):
    found = resized(compare, off("outputs/dense", 1e-6) | off("losses/loss", 1e-3, 3))

    assert found.problems == []
    assert found.remarks[0].endswith("; a known difference, docs/findings.md: Resizing, TensorFlow")
    assert {ladder[1] for ladder in found.proved} == {"torch"}
    assert {ladder[1] for ladder in found.known} == {"tensorflow"}
    (table,) = [one for one in tables(found) if "exact mode" in one.title]
    assert {row[1]: row[table.columns.index("parity")] for row in table.rows} == {
        "tensorflow cpu": "known inaccuracy",
        "torch cpu": "proved",
    }
    said = "parity is not proved: tensorflow is inaccurate in a known way at flatten"
    assert _parity({"workload": "mlp", "variant": ""}, found) == said
    places = [{"workload": "mlp", "backend": name, "device": "cpu", "variant": ""} for name in ("tensorflow", "torch")]
    assert [in_a_word(place, found) for place in places] == ["inaccurate", "proved"]


def test_what_follows_from_known_inaccuracy_is_not_said_to_part(tmp_path):
    tracks, kinds = ("fit", "loop"), {"kinds": {"flatten": "Resizing"}}
    for backend, track in itertools.product(("jax", "tensorflow"), tracks):
        changes = off("outputs/flatten", 1e-7) if backend == "tensorflow" else None
        save(tmp_path / "ladders", changes, backend=backend, track=track, **kinds)
    ladders = [ladder(backend, climbs=["fit-own", "loop-own"]) for backend in ("jax", "tensorflow")]
    found = compare_run(tmp_path, description(ladders))

    assert found.problems == []
    assert {ladder[4] for ladder in found.known} == set(tracks)


def test_a_fault_after_float32_inside_a_layer_is_blamed_where_it_is_larger_than_that_explains(compare):
    (problem,) = resized(compare, off("outputs/dense", 1e-3)).problems

    assert "at outputs, dense (0, 0)" in problem
    assert problem.endswith("; more than float32 inside makes of it (docs/findings.md: Resizing, TensorFlow)")


def test_an_exact_ladder_that_a_finding_ends_is_a_remark_and_one_in_float32_is_not(compare):
    ended = {"error": "InvalidArgumentError: no kernel; a known one, docs/findings.md: Pooling, TensorFlow"}
    exact = compare(described={("tensorflow", "float64"): ended})
    both = compare(None, ("float64", "float32"), {("tensorflow", kind): ended for kind in ("float64", "float32")})

    assert exact.problems == []
    assert "tensorflow cpu float64, seed 0: ended early" in exact.remarks[0]
    assert {ladder[1] for ladder in exact.proved} == {"torch"}
    said = "parity is proved in exact mode on torch, and was not climbed to the end on tensorflow"
    assert _parity({"workload": "mlp", "variant": ""}, exact) == said
    assert ["tensorflow cpu float32" in problem for problem in both.problems] == [True]


def test_a_training_that_rounding_takes_far_apart_is_said_with_its_step(compare):
    found = compare({("jax", "float64"): {"nudged losses/loss": off_by("losses/loss", 1e-4, 3)}})

    assert found.problems == []
    (remark,) = found.remarks
    assert "rounding alone may take its losses 1% apart from step 4 on" in remark


def test_every_finding_that_a_backend_names_is_on_the_page():
    page = (ROOT / "docs" / "findings.md").read_text()
    titles = [one.title for facts in facts_of_all() for one in facts.findings]
    titles += [title for facts in facts_of_all() for title in facts.errors.values()]

    assert titles
    assert [title for title in titles if f"### {title}\n" not in page] == []


def test_what_parts_in_exact_mode_is_not_told_again_for_float32(compare):
    changes = {("torch", kind): off("outputs/dense", 1e-2) for kind in ("float64", "float32")}
    (problem,) = compare(changes, ("float64", "float32")).problems

    assert "float64 parts from" in problem


def test_weights_have_to_be_equal_in_float32_too(compare):
    (problem,) = compare({("torch", "float32"): off("weights/dense/kernel", 1e-6)}, ("float64", "float32")).problems

    assert "torch cpu float32 parts from jax float64 at weights" in problem


def test_a_single_backend_has_nobody_to_be_worse_than(compare):
    found = compare({("jax", "float32"): noisy(1e-2, 0)}, ("float64", "float32"), backends=("jax",))
    rows = found.table[found.table["rung"] != "weights"]

    assert found.problems == []
    assert rows["passed"].isna().all()


def test_the_most_accurate_backend_has_the_smallest_typical_error(compare):
    errors = {"jax": 3e-5, "tensorflow": 1e-5, "torch": 9e-5}
    found = compare(
        {(backend, "float32"): noisy(error, 0) for backend, error in errors.items()}, ("float64", "float32")
    )
    typical = found.accuracies().reset_index().set_index("backend")["typical"]

    assert typical.idxmin() == "tensorflow"
    assert typical["torch"] / typical["tensorflow"] == pytest.approx(9, rel=0.01)


def test_a_run_that_planned_no_ladder_has_no_parity(tmp_path):
    assert compare_run(tmp_path, {**description([]), "parity": None}) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "all ladders of 5 steps agree"), (off("outputs/dense"), "mlp torch cpu float64 parts from jax float64")],
)
def test_the_comparison_says_in_a_process_of_its_own_what_it_found(tmp_path, changes, said):
    save(tmp_path / "ladders", backend="jax")
    save(tmp_path / "ladders", changes, backend="torch")
    (tmp_path / "run.json").write_text(json.dumps(description([ladder("jax"), ladder("torch")])))
    command = [sys.executable, "-m", "bench.analysis.parity", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert said in done.stdout


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_training_that_blows_up_everywhere_is_not_proved(compare, value):
    late = {key: None for key in RUNGS if key.startswith(("all", "pred", "metric"))}
    blown = {**late, "losses/loss": np.array([0.7, 0.6, value])}
    found = compare({(backend, "float64"): blown for backend in BACKENDS})

    assert found.problems == [f"parity: mlp: the loss of step 3 gives {value} in float64 on jax, tensorflow, torch"]
    assert found.proved == set()


def test_a_ladder_that_ended_early_is_not_proved(compare):
    short = {key: None for key in RUNGS if not key.startswith("weights")}
    found = compare({("tensorflow", "float64"): short}, described={("tensorflow", "float64"): {"error": "no float64"}})

    assert found.proved == {("mlp", "torch", "cpu", "float64", "fit", "own", "")}
    assert "mlp: tensorflow" not in " ".join(said.text for said in (*proved(found), *remarks(found)))
    assert "not climbed to the end" in str(tables(found))


def test_a_ladder_without_one_of_its_seeds_is_not_proved(compare, tmp_path):
    found = compare(seeds=(0, 1))
    assert len(found.proved) == 2

    (tmp_path / "ladders" / "mlp-1-torch-cpu-float64-fit-own.npz").unlink()
    again = compare_run(tmp_path, description([ladder(backend) for backend in BACKENDS], (0, 1)))
    assert again.proved == {("mlp", "tensorflow", "cpu", "float64", "fit", "own", "")}


def test_float32_that_is_infinite_fails_even_where_nobody_does_better(compare):
    blown = {"outputs/dense": np.full((8, 2), np.inf)}
    found = compare({(backend, "float32"): blown for backend in BACKENDS}, ("float64", "float32"))

    assert len([problem for problem in found.problems if "at outputs, dense" in problem]) == 3


def test_a_layer_that_only_one_backend_has_fails(compare):
    found = compare({("torch", "float64"): {"outputs/flatten": None, "outputs/extra": np.ones(3)}})
    rows = found.table[(found.table["backend"] == "torch") & ~found.table["passed"].astype(bool)]

    assert set(rows["location"]) == {"flatten", "extra"}


def test_a_layer_inside_a_traced_loop_is_left_out(compare):
    found = compare(
        {("jax", "float64"): {"outputs/flatten": None}}, described={("jax", "float64"): {"unseen": ["flatten"]}}
    )

    assert found.problems == []


def test_a_large_variable_that_is_not_trained_hides_nothing(compare):
    huge = {f"{rung}/statistics": np.array([1e10]) for rung in ("weights", "one step", "all steps")}
    changes = {(backend, "float64"): huge for backend in BACKENDS}
    changes["torch", "float64"] = huge | off("one step/dense/kernel", 1e-6)
    (problem,) = compare(changes).problems

    assert "at one step, dense/kernel" in problem


def test_a_layer_with_a_type_of_its_own_is_named_as_such(compare):
    single = {"outputs/dense": RUNGS["outputs/dense"].astype(np.float32)}
    found = compare({(backend, "float64"): single for backend in BACKENDS})

    assert found.problems == ["parity: mlp: layer dense computes in float32 on jax, tensorflow, torch, not float64"]


def test_losses_that_vanish_are_measured_against_the_first(compare):
    losses = {
        name: np.array([0.7, 0.1, value]) for name, value in (("jax", 1e-17), ("tensorflow", 0.0), ("torch", 0.0))
    }

    assert compare({(name, "float64"): {"losses/loss": array} for name, array in losses.items()}).problems == []


def test_what_was_recorded_before_an_error_is_not_held_against_what_was_not(compare):
    late = {key: None for key in RUNGS if key.startswith(("all", "pred", "metric"))}
    changes = {("torch", "float64"): {**late, "losses/loss": RUNGS["losses/loss"][:3]}}
    found = compare(changes, described={("torch", "float64"): {"error": "RuntimeError: no step today"}})

    assert found.problems == ["parity: mlp torch cpu float64, seed 0: ended early: RuntimeError: no step today"]


def test_the_most_accurate_is_judged_by_what_everybody_recorded(compare):
    errors = {"jax": 3e-5, "tensorflow": 3e-5, "torch": 9e-5}
    changes = {(backend, "float32"): noisy(error, 0) for backend, error in errors.items()}
    changes["torch", "float32"] |= {key: None for key in RUNGS if key.startswith("gradients")}
    found = compare(changes, ("float64", "float32"), described={("torch", "float32"): {"error": "ended"}})
    typical = found.accuracies().reset_index().set_index("backend")["typical"]

    assert typical["torch"] / typical["jax"] == pytest.approx(3, rel=0.01)


def test_complex_outputs_are_compared_whole(compare):
    changes = {(backend, "float64"): {"outputs/dense": np.array([1 + 1j])} for backend in BACKENDS}
    changes["torch", "float64"] = {"outputs/dense": np.array([1 + 5j])}

    assert "at outputs, dense (0, 1)" in compare(changes).problems[0]


def test_where_nothing_could_be_compared_nobody_is_said_to_agree(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(description([ladder("torch", skip="no GPU", status="skipped")])))
    command = [sys.executable, "-m", "bench.analysis.parity", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout == "nothing could be compared\n"


def test_tracks_with_another_optimizer_are_held_against_the_golden_recording_with_it(tmp_path):
    """What SGD does is not held against what Adam did."""
    moved = {"one step/dense/kernel": RUNGS["one step/dense/kernel"] + 1.0}
    for backend in ("jax", "torch"):
        save(tmp_path / "ladders", backend=backend)
        for track in ("fit", "native"):
            changes = {**moved, **({"outputs/flatten": None, "outputs/dense": None} if track == "native" else {})}
            save(tmp_path / "ladders", changes, backend=backend, track=track, optimizer="SGD")
    climbs = ["fit-own", "fit-SGD", "native-SGD"]
    described = description([ladder(backend, climbs=climbs) for backend in ("jax", "torch")])
    found = compare_run(tmp_path, described)

    assert found.problems == []
    assert ("mlp", "torch", "cpu", "float64", "native", "SGD", "") in found.proved
    assert ("mlp", "jax", "cpu", "float64", "native", "SGD", "") in found.proved


def test_a_native_track_that_computes_something_else_is_named(tmp_path):
    for track, changes in (("fit", {}), ("native", off("gradients/dense/bias", 1e-3))):
        save(tmp_path / "ladders", changes, backend="jax", track=track, optimizer="SGD")
    climbs = ["fit-SGD", "native-SGD"]
    described = description([ladder("jax", climbs=climbs)])
    (problem,) = compare_run(tmp_path, described).problems

    assert problem.startswith("parity: mlp jax cpu native float64 parts from jax float64 at gradients, dense/bias")
