"""Several devices in a plan: which cases and ladders there are, and what is refused or skipped."""

import msgspec
import pytest
from support.descriptions import CNN, MLP

from bench.contract.case import in_turns
from bench.contract.errors import UsageError
from bench.plan.cases import plan
from bench.plan.parity import plan_ladders
from bench.plan.parse import parse_parity, parse_run
from bench.plan.planned import Limits
from bench.plan.schedule import schedule


def planned(*arguments, description=MLP, gpus=(), limits=None):
    return plan(parse_run(["--workloads=mlp", *arguments]), [description], gpus, limits)


def test_each_number_of_devices_makes_cases_of_its_own_with_the_same_batch():
    cases = [one.case for one in planned("--device-count=4,1,2")]

    assert [(case.device_count, case.backend) for case in cases] == [
        (count, backend) for count in (1, 2, 4) for backend in ("jax", "tensorflow", "torch")
    ]
    assert {case.batch_size for case in cases} == {128}


def test_with_weak_scaling_a_batch_grows_with_the_devices():
    cases = [one.case for one in planned("--device-count=1,2,4", "--scaling=weak")]

    assert {(case.device_count, case.batch_size) for case in cases} == {(1, 128), (2, 256), (4, 512)}


def test_numbers_of_devices_take_turns():
    cases = planned("--device-count=1,2", "--launches=2")
    first = [launch.case for launch in schedule(cases, seed=0) if launch.repetition == 0]

    assert len({in_turns(one.case) for one in cases}) == 1
    assert len(first) == 6


def test_without_the_option_a_plan_is_as_it_was_and_so_are_its_commands():
    cases = [one.case for one in planned()]

    assert {case.device_count for case in cases} == {1}
    assert not any("device" in word for case in cases for word in case.options() if "device=" not in word)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device-count=3"], "a batch of 128 does not divide among 3 devices; --batch-size 126 does"),
        (["--device-count=0"], "--device-count 0: expected a whole number of at least 1"),
        (["--device-count=4096"], "--device-count 4096: expected a whole number of at most 1024"),
        (["--scaling=weak"], "--scaling weak: says how a batch grows with the devices; give --device-count too"),
        (["--scaling=none", "--device-count=2"], "--scaling: unknown scaling 'none', known: strong, weak"),
        (["--device-count=2", "--to-target"], "--to-target: held-out samples are evaluated on one device"),
        (["--device-count=512", "--scaling=weak"], "a batch of 65536 on 512 devices is larger than its 60000 samples"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(words, message):
    with pytest.raises(UsageError) as refusal:
        planned(*words)

    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_script_is_not_spread_over_devices(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("model.fit(x, y)\n")

    with pytest.raises(UsageError, match="--device-count: a script says itself"):
        parse_run([f"--script={script}", "--device-count=2", f"--output={tmp_path}"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--tracks=shipped"], "shipped keeps the partial last batch"),
        (["--tracks=native"], "track native trains on one device; several are for fit"),
        (["--inputs=PyDataset"], "input PyDataset is measured on one device"),
    ],
)
def test_what_is_not_for_several_devices_is_skipped_with_a_reason(words, reason):
    skipped = {one.case.device_count: one.skip for one in planned("--device-count=1,2", "--backends=jax", *words)}

    assert skipped[1] != skipped[2]
    assert reason in " ".join(
        one.skip or "" for one in planned("--device-count=1,2", "--backends=jax", *words) if one.case.device_count == 2
    )


def test_a_workload_that_cannot_be_shared_is_skipped_with_its_reason():
    described = msgspec.structs.replace(MLP, without_devices="it holds out samples")
    skips = {one.case.device_count: one.skip for one in planned("--device-count=1,2", description=described)}

    assert skips == {1: None, 2: "it holds out samples"}


def test_more_gpus_than_there_are_are_skipped():
    limits = Limits(device_counts={"gpu": 2})
    cases = planned("--device-count=1,2,4", "--devices=gpu", "--tracks=fit", gpus=["a", "b"], limits=limits)
    skips = {one.case.device_count: one.skip for one in cases if one.case.numerics == "float32"}

    assert skips == {1: None, 2: None, 4: "needs 4 of the gpu, of which 2 may be used here"}


def test_tasks_of_inference_are_not_planned_on_several_devices():
    cases = planned("--device-count=1,2", "--tasks=train,predict")

    assert {one.case.device_count for one in cases if one.case.task == "predict"} == {1}


def test_a_run_climbs_each_number_of_devices_in_exact_mode():
    options = parse_run(["--workloads=mlp", "--device-count=1,2,4", "--backends=jax,torch"])
    ladders = plan_ladders(options, ("fit",), {"cpu": ("float64", "float32")}, Limits())

    assert [(one.backend, one.device_count) for one in ladders if one.numerics == "float64"] == [
        (backend, count) for backend in ("jax", "torch") for count in (1, 2, 4)
    ]
    assert {one.device_count for one in ladders if one.numerics == "float32"} == {1}
    assert [one.title for one in ladders][1] == "jax cpu float64 2 devices"
    assert [one.nudged for one in ladders[:3]] == [True, False, False]


def test_parity_always_climbs_one_device_which_the_others_are_held_against():
    assert parse_parity(["--device-count=4,2"]).device_counts == (1, 2, 4)
    assert parse_parity(["--device-count=2", "--backends=torch"]).backends == ("torch",)  # held against itself


def test_several_devices_of_each_variant_climb_a_ladder():
    options = parse_run(["--workloads=mlp", "--device-count=1,2", "--vary=keras=3.0,3.1", "--backends=torch"])
    ladders = plan_ladders(options, ("fit",), {"cpu": ("float64", "float32")}, Limits())

    assert [(one.variant, one.device_count, one.nudged) for one in ladders if one.numerics == "float64"] == [
        ("keras=3.0", 1, True),
        ("keras=3.0", 2, False),
        ("keras=3.1", 1, True),
        ("keras=3.1", 2, False),
    ]


def test_a_ladders_batch_that_does_not_divide_is_refused():
    with pytest.raises(UsageError, match="batch of 32 does not divide among 3 devices; name 2, 4 or 8"):
        parse_parity(["--device-count=3"])


def test_several_workloads_keep_their_own_batches():
    cases = plan(parse_run(["--device-count=1,2"]), [MLP, CNN], ())

    assert {(one.case.workload, one.case.device_count) for one in cases} == {
        (workload, count) for workload in ("mlp", "cnn") for count in (1, 2)
    }
