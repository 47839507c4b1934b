"""From what processes measured of a step to its parts, to why a backend is slower, and to what to do."""

import pytest

from bench.analysis.explain import explained
from bench.analysis.rules import RULES
from bench.contract import explain
from bench.report.parts.explain import advice, tables

STEPS, BATCH = 64, 128
MILLISECONDS = {  # of a step; the batch of one is what each step costs besides its samples
    explain.AS_IT_IS: 1.0,
    explain.RESIDENT: 0.9,
    explain.UNMEASURED: 0.8,
    explain.PLAIN: 0.7,
    explain.SINGLE: 0.2,
}


def training(milliseconds, steps=STEPS, batch_size=BATCH, epoch=0.0, **more):
    seconds = 1e-3 * (milliseconds * steps + epoch)
    measured = {"epoch_seconds": seconds, "cold_seconds": seconds + 1.0, "fit_seconds": 0.002, "error": ""}
    return {"steps": steps, "batch_size": batch_size, **measured, **more}


def launch(seed=0, backend="torch", epoch=0.0, changed=None, **more):
    """What one process wrote; `changed` are milliseconds of a step by training, `epoch` those of an epoch besides."""
    taken = {**MILLISECONDS, **(changed or {})}
    noise = [1 + 1e-4 * seed * number for number in range(len(taken))]  # no two trainings share their luck
    trainings = {name: training(by * taken[name], epoch=epoch) for name, by in zip(taken, noise, strict=True)}
    trainings[explain.SHORT] = training(taken[explain.AS_IT_IS], STEPS // explain.SHORTER, epoch=epoch)
    trainings[explain.SINGLE] |= {"batch_size": 1}
    if explain.LARGER in taken:
        trainings[explain.LARGER] |= {"batch_size": explain.TIMES * BATCH}
    about = {"workload": "mlp", "backend": backend, "device": "cpu", "numerics": "float32", "seed": seed}
    about |= {
        "metrics": ["accuracy"],
        "callbacks": ["Slow"],
        "input": "Waits",
        "optimizer": "Adam",
        "steps_per_epoch": 468,
        "compilations": 0,
    }
    return {**about, "memory_mib": [100.0 + 0.01 * seed] * 10, "trainings": trainings, **more}


def seconds(found, backend="torch"):
    rows = found.table[found.table["backend"] == backend]
    return dict(zip(rows["part"], 1e3 * rows["seconds"], strict=True))


def test_a_run_without_an_explanation_has_none(tmp_path):
    assert explained(tmp_path) is None


def test_parts_are_differences_and_add_up_to_the_step(explanation):
    found = seconds(explanation(*(launch(seed, epoch=5.0) for seed in range(3))))

    assert found["step"] == pytest.approx(1.0, rel=0.01)
    assert sum(found[part] for part in explain.PARTS) == pytest.approx(found["step"])
    assert found["an epoch"] == pytest.approx(5.0, rel=0.01)
    assert found["a fit"] == pytest.approx(2.0)
    assert found["the first epoch"] == pytest.approx(1000.0)
    assert [found[part] for part in ("input", "metrics", "optimizer")] == pytest.approx([0.1] * 3, rel=0.01)
    assert found["per step"] == pytest.approx((0.2 * BATCH - 0.7) / (BATCH - 1), rel=0.01)


def test_callbacks_are_a_part_where_there_are_some(explanation):
    found = explanation(*(launch(seed, changed={explain.QUIET: 0.95}) for seed in range(3)))

    assert seconds(found)["callbacks"] == pytest.approx(0.05, rel=0.02)
    assert seconds(found)["input"] == pytest.approx(0.05, rel=0.02)


def test_a_slower_backend_is_told_in_which_parts(explanation):
    slow = {explain.AS_IT_IS: 2.0, explain.RESIDENT: 1.9, explain.UNMEASURED: 1.0}
    found = explanation(
        *(launch(seed, "jax") for seed in range(3)), *(launch(seed, "torch", changed=slow) for seed in range(3))
    )
    (why,) = found.reasons

    assert why.backend == "torch"
    assert why.text.startswith("a step takes 2 ms, 1 more than on jax; of that metrics 80%, ")


def test_a_part_that_alone_takes_more_than_the_whole_difference_is_all_of_it(explanation):
    slow = {explain.AS_IT_IS: 2.0, explain.RESIDENT: 2.0, explain.UNMEASURED: 0.8}  # its input costs nothing
    found = explanation(
        *(launch(seed, "jax") for seed in range(3)), *(launch(seed, "torch", changed=slow) for seed in range(3))
    )

    assert found.reasons[0].text.endswith("1 more than on jax; of that metrics 100%")


def test_a_part_that_differs_within_its_noise_is_no_reason(explanation):
    slow = [{explain.AS_IT_IS: 2.0, explain.RESIDENT: value, explain.UNMEASURED: 1.0} for value in (1.1, 1.9, 1.5)]
    found = explanation(
        *(launch(seed, "jax") for seed in range(3)),
        *(launch(seed, "torch", changed=one) for seed, one in enumerate(slow)),
    )

    (why,) = found.reasons
    assert "metrics" not in why.text
    assert "waiting" not in why.text


TRIED = f"steps_per_execution={explain.EXECUTIONS}"
HOST = {explain.SINGLE: 0.6}  # 60 % of a step


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({**HOST, TRIED: 0.5}, "60% of its step is work of each step whatever its samples: compile with steps_per_ex"),
        ({**HOST, TRIED: 0.98}, None),  # gains too little
        ({TRIED: 0.5}, None),  # not its trouble
        ({**HOST, explain.LARGER: 2.0}, "a batch 4 times as large, which is another training, takes 0.50"),
        ({explain.RESIDENT: 0.5, "input tf.data": 0.6}, "50% of its step is waiting for its input: hand `fit` a tf.da"),
        ({explain.UNMEASURED: 0.5, explain.PLAIN: 0.5}, "goes into accuracy: compile without metrics"),
        ({explain.QUIET: 0.9, explain.RESIDENT: 0.9}, "10% of its step goes into Slow: let them do less"),
        (
            {explain.RESIDENT: 0.5, explain.HELD: 0.55},
            "50% of its step is waiting for its input, a Waits: let it do le",
        ),
        (
            {explain.PLAIN: 0.3},
            "50% of its step is what Adam costs beyond plain SGD, for each weight at every step: an optimizer that "
            "keeps less for each weight, which is another training; plain SGD, the least there is, takes 0.50",
        ),
        ({"jit_compile=True": 0.5}, "compile with jit_compile=True, which takes 0.50"),
    ],
)
def test_what_to_do_is_what_was_tried_and_gained(explanation, changed, said):
    texts = [one.text for one in explanation(*(launch(seed, changed=changed) for seed in range(3))).advice]

    if said is None:
        assert texts == []
    else:
        assert any(said in text for text in texts), texts


def compiling(one, **seconds):
    """A launch whose trainings take so many seconds to compile."""
    for name, took in seconds.items():
        one["trainings"][name]["cold_seconds"] = one["trainings"][name]["epoch_seconds"] + took
    return one


@pytest.mark.parametrize(("took", "paid"), [(3.0, "2 s longer, which 9 epochs win"), (1.1, "0.1 s longer, which an e")])
def test_advice_to_compile_says_after_how_many_epochs_it_has_paid(explanation, took, paid):
    launches = [launch(seed, changed={explain.JIT: 0.5}) for seed in range(3)]
    seconds = {
        explain.JIT: took,
        explain.AS_IT_IS: 99.0,
    }  # the very first training, which meets what a process does once
    found = explanation(*(compiling(one, **seconds) for one in launches))

    (advised,) = (one.text for one in found.advice)
    assert f"of the time here; compiling takes {paid}" in advised  # 468 steps gain 0.5 ms each


def test_what_compiles_as_fast_has_nothing_to_win_back(explanation):
    (advised,) = explanation(*(launch(seed, changed={explain.JIT: 0.5}) for seed in range(3))).advice

    assert advised.text.endswith("of the time here")


def test_a_compilation_that_is_on_and_helps_says_when_it_has_paid(explanation):
    launches = [launch(seed, changed={explain.NO_JIT: 2.0}) for seed in range(3)]
    found = explanation(*(compiling(one, **{explain.AS_IT_IS: 5.0}) for one in launches))

    (said,) = (one.text for one in found.advice)
    assert said.startswith("jit_compile=True, as it is, takes 0.50 [0.50, 0.50] of the time without it; compiling")
    assert said.endswith("4 s longer, which 9 epochs win back")  # of 468 steps that gain 1 ms each


def test_nothing_is_advised_where_launches_do_not_agree(explanation):
    changed = [{**HOST, TRIED: value} for value in (0.3, 1.2, 0.4)]

    assert explanation(*(launch(seed, changed=one) for seed, one in enumerate(changed))).advice == []


def test_two_launches_in_which_next_to_nothing_remains_agree(explanation):
    host = {explain.AS_IT_IS: 20.6, explain.RESIDENT: 20.6}
    launches = (launch(seed, changed={**host, explain.UNMEASURED: left}) for seed, left in enumerate((0.11, 0.21)))
    (said, *_) = [one.text for one in explanation(*launches).advice]

    assert said.startswith("99% of its step goes into accuracy: compile without metrics")
    assert said.endswith("takes 0.02 [0.02, 0.02] of the time here")


def test_a_setting_that_failed_is_not_advised(explanation):
    launches = [launch(seed, changed={**HOST, TRIED: 0.5}) for seed in range(3)]
    launches[1]["trainings"][TRIED]["error"] = "ValueError: must be 1"

    assert explanation(*launches).advice == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"epoch": 30.0, "steps_per_epoch": 1}, "an epoch costs 30 ms besides its 1 step of 1 ms each, 97% of it"),
        ({"compilations": 3}, "it compiles again in warm epochs, at least 3 times"),
        ({"memory_mib": [100.0 + number for number in range(10)]}, "its memory grows by 1 [1, 1] MiB an epoch"),
    ],
)
def test_a_symptom_is_said_without_a_setting(explanation, more, said):
    (one,) = explanation(*(launch(seed, **more) for seed in range(3))).advice

    assert said in one.text


def test_what_helps_most_is_told_first_and_another_training_last(explanation):
    changed = {**HOST, TRIED: 0.5, explain.LARGER: 1.0}
    found = explanation(*(launch(seed, changed=changed, epoch=30.0, steps_per_epoch=1) for seed in range(3)))

    beginnings = ("an epoch costs", "60% of its step is work of each step whatever its samples: compile with", "60%")
    for one, beginning in zip(found.advice, beginnings, strict=True):
        assert one.text.startswith(beginning)


TWO_CAUSES = {
    "callbacks 30 %, input 50 %": (
        {explain.QUIET: 0.7, explain.HELD: 0.5, explain.RESIDENT: 0.2, explain.UNMEASURED: 0.15, explain.PLAIN: 0.1},
        ("50% of its step is waiting for its input", "30% of its step goes into Slow"),
    ),
    "input 60 %, metrics 30 %, which are most of what is left": (
        {explain.HELD: 0.4, explain.RESIDENT: 0.4, explain.UNMEASURED: 0.1, explain.PLAIN: 0.1},
        ("60% of its step is waiting for its input", "30% of its step goes into accuracy"),
    ),
}


@pytest.mark.parametrize("case", TWO_CAUSES)
def test_of_two_causes_the_one_that_takes_more_is_first(explanation, case):
    changed, beginnings = TWO_CAUSES[case]
    found = explanation(*(launch(seed, changed={**changed, explain.SINGLE: 0.05}) for seed in range(3)))

    for one, beginning in zip(found.advice, beginnings, strict=True):
        assert one.text.startswith(beginning)


def test_what_compiles_in_each_epoch_is_its_cause_and_not_too_few_steps(explanation):
    (one,) = explanation(*(launch(seed, epoch=3000.0, compilations=3) for seed in range(3))).advice

    assert one.text.startswith("it compiles again in warm epochs")
    assert one.remains < 0.2


def test_memory_that_takes_a_step_once_does_not_grow(explanation):
    held = [100.0] * 5 + [140.0] * 5

    assert explanation(*(launch(seed, memory_mib=held) for seed in range(3))).advice == []


def test_a_process_that_failed_is_a_problem_and_the_others_count(explanation):
    failed = {**{name: launch(1)[name] for name in ("workload", "backend", "device", "seed")}, "error": "killed"}
    found = explanation(launch(0), failed, launch(2), {"seed": 3})

    assert found.problems[0] == "explain: mlp torch cpu, seed 1: killed"
    assert found.problems[1].startswith("left out: 3.json: not readable")
    assert found.table["launches"].eq(2).all()


def test_the_report_has_a_row_for_each_part_and_a_column_for_each_backend(explanation):
    found = explanation(launch(0, "jax"), launch(0, "torch", changed={TRIED: 0.5, **HOST}))
    (table,) = tables(found)

    assert table.columns == ["part", "jax", "torch"]
    assert table.rows[0] == ["a step", "1 (100%)", "1 (100%)"]
    assert [row[0] for row in table.rows][1:3] == ["waiting for input", "metrics"]  # no callbacks: there are none
    assert tables(None) is not None
    assert advice(None) == []
    assert advice(found) == []  # a single launch gives no interval


def test_every_rule_has_a_source_and_names_something_measured():
    assert all(rule.source for rule in RULES)
    assert {rule.part for rule in RULES} - {""} <= set(explain.PARTS)


def test_what_is_no_part_of_a_step_has_rows_of_its_own(explanation):
    besides = {"validation_seconds": 0.0004, "partial_batch_seconds": 0.8}
    found = explanation(*(launch(seed, **besides) for seed in range(3)), *(launch(seed, "jax") for seed in range(3)))
    (table,) = tables(found)
    rows = {row[0]: row[1:] for row in table.rows}

    assert seconds(found)["a validation step"] == pytest.approx(0.4)
    assert rows["a partial batch more"][0] == "800"
    assert rows["a validation step"][0] == "0.4"
