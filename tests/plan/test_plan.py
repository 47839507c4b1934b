"""Options and descriptions to cases and launches."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from support.descriptions import CNN, MLP

from bench.contract.case import in_turns
from bench.contract.errors import UsageError
from bench.plan.cases import plan
from bench.plan.parity import plan_ladders
from bench.plan.parse import parse_run
from bench.plan.planned import Limits, numerics_of
from bench.plan.schedule import schedule


def cases(*arguments, gpus=()):
    return plan(parse_run(arguments), [MLP, CNN], gpus)


def test_the_same_input_gives_the_same_plan():
    assert cases() == cases()


def test_backends_of_one_workload_stand_next_to_each_other():
    assert [(planned.case.workload, planned.case.backend) for planned in cases()] == [
        (workload, backend) for workload in ("mlp", "cnn") for backend in ("jax", "tensorflow", "torch")
    ]


def test_a_large_workload_is_cut_on_a_cpu_without_its_target():
    by_name = {planned.case.workload: planned for planned in cases()}

    assert (by_name["mlp"].case.samples, by_name["mlp"].case.epochs, by_name["mlp"].target_attempted) == (
        60_000,
        10,
        True,
    )
    assert (by_name["cnn"].case.samples, by_name["cnn"].case.epochs, by_name["cnn"].target_attempted) == (
        12_800,
        4,
        False,
    )


def test_nothing_is_cut_on_a_gpu():
    assert {planned.case.samples for planned in cases("--devices", "gpu", gpus=["H200"])} == {60_000}


def test_the_full_profile_trains_on_everything():
    assert all(planned.target_attempted for planned in cases("--profile", "full"))


def test_fewer_epochs_than_the_target_takes_do_not_attempt_it():
    assert not any(planned.target_attempted for planned in cases("--profile", "full", "--epochs", "9"))


def test_where_a_gpu_is_found_both_devices_are_measured():
    assert {planned.case.device for planned in cases(gpus=["H200"])} == {"gpu", "cpu"}
    assert {planned.case.device for planned in cases()} == {"cpu"}


def test_a_gpu_that_is_not_there_is_refused_rather_than_replaced():
    with pytest.raises(UsageError, match="no GPU was found"):
        cases("--devices", "gpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--samples", "60001"], "has 60000 training samples"), (["--batch-size", "20000"], "larger than its 12800")],
)
def test_a_number_that_does_not_fit_the_workload_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        cases(*arguments)


def test_a_workload_that_declares_a_single_epoch_is_refused():
    with pytest.raises(UsageError, match="at least 2 are needed"):
        plan(parse_run([]), [msgspec.structs.replace(MLP, epochs=1)], [])


def test_a_backend_that_cannot_use_the_gpu_is_skipped_there_with_the_reason():
    planned = plan(parse_run([]), [MLP], ["H200"], Limits(without_gpu={"torch": "sees no GPU"}))
    skipped = {(item.case.backend, item.case.device): item.skip for item in planned if item.skip}

    assert skipped == {("torch", "gpu"): "sees no GPU"}
    assert all(launch.case.device == "cpu" for launch in schedule(planned, 0) if launch.case.backend == "torch")


def test_repetition_r_takes_the_same_seed_on_every_backend():
    launches = schedule(cases("--launches=3"), seed=40)

    assert {(launch.repetition, launch.seed) for launch in launches} == {(0, 40), (1, 41), (2, 42)}
    assert Counter(launch.case for launch in launches) == {planned.case: 3 for planned in cases()}


def test_repetitions_follow_one_another_whole():
    repetitions = [launch.repetition for launch in schedule(cases("--launches=4"), seed=0)]

    assert repetitions == sorted(repetitions)


def test_six_repetitions_put_three_backends_in_all_six_orders():
    launches = schedule(cases("--launches=6"), seed=0)
    orders = {
        tuple(item.case.backend for item in launches if item.repetition == repetition and item.case.workload == "cnn")
        for repetition in range(6)
    }

    assert len(orders) == 6


def test_beyond_a_pilot_each_case_has_its_own_number():
    numbers = {("mlp", "jax"): 102, ("mlp", "tensorflow"): 102, ("mlp", "torch"): 41}
    numbers |= {("cnn", "jax"): 40, ("cnn", "tensorflow"): 37, ("cnn", "torch"): 40}
    ordered = [
        replace(planned, launches=numbers[planned.case.workload, planned.case.backend])
        for planned in cases("--launches=6")
    ]
    launches = schedule(ordered, 0, begun=6)
    repetitions = {
        planned.case: [one.repetition for one in launches if one.case == planned.case] for planned in ordered
    }

    for planned in ordered:
        own = repetitions[planned.case]
        reference = repetitions[next(one.case for one in ordered if in_turns(one.case) == in_turns(planned.case))]
        assert len(own) == planned.launches - 6
        assert set(own) <= set(reference)
        assert max(later - earlier for earlier, later in pairwise(own)) <= 96 // len(own) + 3


def test_a_workload_is_skipped_on_a_device_with_less_memory_than_it_needs():
    large = msgspec.structs.replace(MLP, memory_mib=30_000)
    planned = plan(parse_run([]), [large], ["H200"], Limits(memory_mib={"cpu": 24_000.0, "gpu": 80_000.0}))

    assert {one.skip for one in planned if one.case.device == "gpu"} == {None}
    assert {one.skip for one in planned if one.case.device == "cpu"} == {
        "needs 30,000 MiB of memory, the cpu has 24,000"
    }


def test_what_no_device_is_large_enough_for_is_planned_without_its_model():
    unbuilt = msgspec.structs.replace(MLP, memory_mib=30_000, step_seconds=None, parameters=None)
    planned = plan(parse_run([]), [unbuilt, CNN], [], Limits(memory_mib={"cpu": 24_000.0}))

    assert {one.case.workload for one in planned if one.skip is None} == {"cnn"}


def test_a_data_set_that_is_drawn_has_as_many_samples_as_are_asked_for():
    (planned, *_) = plan(parse_run(["--samples", "70000"]), [msgspec.structs.replace(MLP, drawn=True)], [])

    assert planned.case.samples == 70_000


def skips(*arguments, gpus=(), limits=None):
    """The reasons to skip, by backend, device, numerics, input and track."""
    planned = plan(parse_run(arguments), [MLP], gpus, limits)
    columns = ("backend", "device", "numerics", "input", "track")
    return {tuple(getattr(one.case, name) for name in columns): one.skip for one in planned}


def test_numerics_that_a_device_lacks_are_skipped_with_the_reason():
    limits = Limits(lacking={("cpu", "tf32"): "a CPU has no TF32"})
    found = skips("--numerics", "all", "--backends", "jax", limits=limits)

    kinds = ("float32", "tf32", "bfloat16", "float16", "float64")
    assert list(found) == [("jax", "cpu", kind, "arrays", "fit") for kind in kinds]
    assert list(found.values()) == [None, "a CPU has no TF32", None, None, None]


def test_an_input_of_a_framework_that_is_installed_is_measured():
    limits = Limits(frameworks={"torch": {"tensorflow"}})
    found = skips("--inputs", "tf.data", "--backends", "jax,torch", limits=limits)

    assert found["torch", "cpu", "float32", "tf.data", "fit"] is None
    assert found["jax", "cpu", "float32", "tf.data", "fit"].endswith("does not have; --with tensorflow-cpu brings it")


def test_numerics_that_a_backend_lacks_are_skipped_with_the_reason():
    found = skips("--numerics", "float64", "--backends", "openvino,torch", "--tasks", "predict")

    assert found["openvino", "cpu", "float64", "arrays", "fit"] == "OpenVINO computes in float32 at most"
    assert found["torch", "cpu", "float64", "arrays", "fit"] is None


def test_native_computes_in_float64_and_not_in_half_precision():
    found = skips("--numerics", "float64,bfloat16", "--tracks", "native", "--backends", "torch")

    assert found["torch", "cpu", "float64", "arrays", "native"] is None
    assert "not in bfloat16" in found["torch", "cpu", "bfloat16", "arrays", "native"]


def test_a_ladder_in_float64_is_climbed_once_where_it_is_timed_too():
    options = parse_run(["--numerics", "float64", "--backends", "jax,torch"])
    numerics = {"cpu": ("float64", "float32", *numerics_of(options, "cpu"))}
    ladders = plan_ladders(options, ("fit",), numerics, Limits())

    assert [(one.backend, one.numerics) for one in ladders] == [
        ("jax", "float64"),
        ("torch", "float64"),
        ("jax", "float32"),
        ("torch", "float32"),
    ]


def test_what_a_track_does_not_compute_in_is_skipped_with_the_reason():
    found = skips("--numerics", "tf32,float16", "--tracks", "shipped,native", "--backends", "torch")

    assert found["torch", "cpu", "float16", "arrays", "shipped"] is None
    assert "chooses" in found["torch", "cpu", "tf32", "arrays", "shipped"]
    assert found["torch", "cpu", "tf32", "arrays", "native"] is None
    assert "not in float16" in found["torch", "cpu", "float16", "arrays", "native"]


def test_inputs_are_compared_in_fit_alone_and_with_one_that_costs_nothing():
    found = skips("--inputs", "PyDataset,DataLoader", "--tracks", "fit,loop", "--backends", "jax,torch")

    assert {key[3:] for key in found} == {
        ("PyDataset", "fit"),
        ("DataLoader", "fit"),
        ("resident", "fit"),
        ("arrays", "loop"),
    }
    assert found["torch", "cpu", "float32", "DataLoader", "fit"] is None
    assert "DataLoader needs torch" in found["jax", "cpu", "float32", "DataLoader", "fit"]


def test_inputs_of_one_workload_take_turns():
    first = [launch.case for launch in schedule(plan(parse_run(["--inputs", "all"]), [MLP], []), 0)][:11]

    assert len({in_turns(case) for case in first}) == 1
    assert len({case.input for case in first}) > 2
