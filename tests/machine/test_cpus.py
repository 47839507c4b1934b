"""CPUs shared out among GPUs: whole cores, as many for each, near it where that can be."""

import pytest

from bench.contract.errors import UsageError
from bench.machine import cpus


@pytest.fixture
def machine(tmp_path):
    """The system of a machine with two sockets; a core's two CPUs are a number and one eight higher."""
    for cpu in range(16):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{cpu % 2}\n")  # every other one, as some makers count
        (folder / "thread_siblings_list").write_text(f"{cpu % 8},{cpu % 8 + 8}\n")
    return tmp_path


def test_cpus_of_a_core_and_cores_of_a_socket_stand_together(machine):
    found = cpus.cores(range(16), machine)

    assert found == [(0, 8), (2, 10), (4, 12), (6, 14), (1, 9), (3, 11), (5, 13), (7, 15)]


def test_of_a_core_only_the_cpus_that_may_be_used_count(machine):
    assert cpus.cores({0, 8, 2, 3}, machine) == [(0, 8), (2,), (3,)]


def test_where_the_system_does_not_say_each_cpu_is_a_core(tmp_path):
    assert cpus.cores({3, 1, 2}, tmp_path) == [(1,), (2,), (3,)]


def test_each_has_as_many_cores_and_none_is_shared(machine):
    found = cpus.shares([(), (), ()], cpus.cores(range(16), machine))

    assert found == [(0, 2, 8, 10), (4, 6, 12, 14), (1, 3, 9, 11)]


def test_what_is_near_goes_to_its_own_even_where_others_come_first(machine):
    even, odd = range(0, 16, 2), range(1, 16, 2)
    found = cpus.shares([odd, even, odd, even], cpus.cores(range(16), machine))

    assert found == [(1, 3, 9, 11), (0, 2, 8, 10), (5, 7, 13, 15), (4, 6, 12, 14)]


def test_where_too_few_are_near_others_make_up_for_them(machine):
    even = range(0, 16, 2)
    found = cpus.shares([even, even, even, even], cpus.cores(range(16), machine))

    assert [len(one) for one in found] == [4, 4, 4, 4]
    assert sorted(cpu for one in found for cpu in one) == list(range(16))
    assert set(found[0]) | set(found[1]) == set(even)


def test_fewer_cores_than_gpus_are_refused(machine):
    with pytest.raises(UsageError, match="1 CPU core may be used for 2 GPUs, and each launch needs one of its own"):
        cpus.shares([(), ()], cpus.cores({0, 8}, machine))
