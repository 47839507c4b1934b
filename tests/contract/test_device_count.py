"""The number of devices as a column of a case: old files without it are read, wrong ones refused."""

from dataclasses import asdict, replace

import pytest

from bench.contract.case import Case, fault, in_turns, title

CASE = Case("mlp", "fashion_mnist", 640, 2, 64, "arrays", "jax", "cpu", "float32", "train", "fit")


def test_a_case_of_an_earlier_version_has_one_device():
    earlier = asdict(CASE)
    del earlier["device_count"], earlier["variant"]

    assert fault(earlier) is None
    assert Case(**earlier).device_count == 1


@pytest.mark.parametrize("count", [0, -1, 4096])
def test_a_number_of_devices_that_cannot_be_is_refused(count):
    assert fault({**asdict(CASE), "device_count": count}) == "device_count has to be positive, and at most 1024"


@pytest.mark.parametrize("count", ["2", 2.0, True, None])
def test_a_number_of_devices_is_a_whole_number(count):
    assert "of the right types" in fault({**asdict(CASE), "device_count": count})


def test_one_device_goes_without_saying():
    two = replace(CASE, device_count=2)

    assert title(asdict(CASE)) == "mlp jax cpu fit batch 64"
    assert title(asdict(two)) == "mlp jax cpu fit batch 64 2 devices"
    assert "--device-count=2" in two.options()
    assert not any(word.startswith("--device-count") for word in CASE.options())
    assert in_turns(two) == in_turns(CASE)


def test_only_parts_of_a_cpu_are_fakes():
    assert replace(CASE, device_count=2).simulated
    assert not CASE.simulated
    assert not replace(CASE, device_count=2, device="gpu").simulated
