"""GPUs: found, chosen, refused; NVML is a stand-in, for there is no card here."""

import json
import subprocess
import sys
import tomllib

import pytest
from support import fake_nvml
from support.descriptions import MLP
from support.fake_nvml import H100, V100
from support.playback import described, launches

from bench.contract.catalog import training_backends
from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.machine import environments, nvidia
from bench.machine.environments import cuda_major
from bench.machine.fingerprint import memory_mib, others
from bench.machine.nvidia import choose, find
from bench.plan.cases import plan
from bench.plan.parse import parse_parity, parse_run
from bench.plan.planned import Limits
from bench.run import devices

BUSY = {**H100, "processes": (4321,)}


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """The variables as they are where nobody has set them; what a choice sets is taken back."""
    for name in (nvidia.VISIBLE, nvidia.ORDER, nvidia.CARDS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    cuda_major.cache_clear()
    yield
    cuda_major.cache_clear()


@pytest.fixture
def machine_with(monkeypatch):
    """Let this machine have these cards."""

    def have(*cards, **more):
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml.library(*cards, **more))

    return have


def test_cards_are_found_with_name_memory_capability_driver_and_cuda():
    found = find(fake_nvml.library(H100, V100, driver="575.1", cuda=12090))

    assert (found.driver, found.cuda) == ("575.1", (12, 9))
    assert [(gpu.index, gpu.name) for gpu in found.gpus] == [(0, "NVIDIA H100 80GB HBM3"), (1, "Tesla V100-SXM2-16GB")]
    assert [(gpu.memory_mib, gpu.capability) for gpu in found.gpus] == [(81_920.0, 9.0), (16_384.0, 7.0)]
    assert (found.gpus[0].power_limit_watts, found.gpus[0].max_mhz, found.gpus[0].in_use) == (700.0, 1_980.0, "")


def test_without_library_driver_or_card_nothing_is_found_and_nothing_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)

    assert find() == nvidia.NOTHING
    assert find(fake_nvml.library(H100, refused=["nvmlInit"])) == nvidia.NOTHING
    assert find(fake_nvml.library()).gpus == ()


def test_a_card_that_refuses_every_question_is_a_card_all_the_same():
    refused = [name for name in vars(fake_nvml.library()) if "Device" in name and "Count" not in name]
    refused.remove("nvmlDeviceGetHandleByIndex")
    (card,) = find(fake_nvml.library(H100, refused=refused)).gpus

    assert (card.name, card.memory_mib, card.capability, card.in_use) == ("NVIDIA GPU", None, None, "")
    assert memory_mib([card]).keys() == {"cpu"}
    assert nvidia.lacking([card]) == {("cpu", "tf32"): "a CPU has no TF32"}


def test_a_card_that_is_lost_is_left_out_and_the_others_keep_their_numbers():
    library = fake_nvml.library(H100, V100)
    found, library.nvmlDeviceGetHandleByIndex = (
        library.nvmlDeviceGetHandleByIndex,
        lambda index: 1 / index and found(index),
    )

    assert [gpu.index for gpu in find(library).gpus] == [1]


@pytest.mark.parametrize(
    ("visible", "seen"),
    [("1", [1]), ("1,0", [1, 0]), ("", []), ("-1", []), ("0,7,1", [0]), ("GPU-3333", [1]), ("GPU-", []), ("MIG-1", [])],
)
def test_cards_are_hidden_as_cuda_hides_them(monkeypatch, visible, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert [gpu.index for gpu in find(fake_nvml.library(H100, V100)).gpus] == seen


def test_the_first_visible_card_is_measured_and_is_all_that_workers_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    library = fake_nvml.library(H100, V100)

    assert choose(find(library), None, shared=False).name == "Tesla V100-SXM2-16GB"
    assert nvidia.prefix() == ["env", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1"]
    assert [gpu.index for gpu in find(library).gpus] == [1]


def test_a_card_is_chosen_by_its_number():
    assert choose(find(fake_nvml.library(H100, V100)), 1, shared=False).capability == 7.0


def test_a_case_on_several_devices_sees_as_many_cards_and_every_other_case_one():
    found = find(fake_nvml.library(H100, V100, H100))
    cards = nvidia.choose_several(found, 1, shared=False, count=2)

    assert [gpu.index for gpu in cards] == [1, 0]
    assert nvidia.prefix() == ["env", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1"]
    assert nvidia.prefix(2) == ["env", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1,0"]


def test_a_card_in_use_is_none_of_several_unless_it_may_be_shared():
    found = find(fake_nvml.library(H100, BUSY, V100))

    assert [gpu.index for gpu in nvidia.choose_several(found, None, shared=False, count=3)] == [0, 2]
    assert [gpu.index for gpu in nvidia.choose_several(found, None, shared=True, count=3)] == [0, 2, 1]


def test_cards_that_are_measured_side_by_side_are_those_that_nobody_else_uses():
    found = find(fake_nvml.library(H100, BUSY, H100))

    assert [gpu.index for gpu in nvidia.choose_each(found, shared=False)] == [0, 2]
    assert [gpu.index for gpu in nvidia.choose_each(found, shared=True)] == [0, 1, 2]
    assert nvidia.VISIBLE not in nvidia.os.environ


def test_where_every_card_is_in_use_all_their_users_are_named():
    words = r"every GPU is in use: GPU 0 .*: process 4321 computes on it; GPU 1 .*; .* or say --shared-gpu"

    with pytest.raises(UsageError, match=words):
        nvidia.choose_each(find(fake_nvml.library(BUSY, BUSY)), shared=False)


def test_a_process_on_one_card_of_several_sees_it_alone():
    assert nvidia.prefix_for(3) == ["env", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=3"]


def test_the_driver_says_which_cpus_are_near_a_card_or_nothing():
    near = {**H100, "cpus": (0, 63, 64, 200)}
    library = fake_nvml.library(H100, near)

    assert nvidia.near(1, library) == {0, 63, 64, 200}
    assert nvidia.near(0, library) == frozenset()
    assert nvidia.near(1, fake_nvml.library(H100, near, refused=["nvmlDeviceGetCpuAffinity"])) == frozenset()


def test_a_gpu_number_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    with pytest.raises(UsageError, match=r"--gpu 1: no such GPU .* there are: 0 \(NVIDIA H100 80GB HBM3\)"):
        choose(find(fake_nvml.library(H100, V100)), 1, shared=False)


@pytest.mark.parametrize(
    ("card", "words"), [(BUSY, "process 4321 computes on it"), ({**H100, "busy": 63}, "it was 63 % busy")]
)
def test_a_busy_card_is_refused_unless_it_may_be_shared(card, words):
    found = find(fake_nvml.library(card, V100))

    with pytest.raises(UsageError, match=rf"GPU 0 .* is in use: {words}.*measure another \(--gpu 1\).*--shared-gpu"):
        choose(found, None, shared=False)
    assert choose(found, None, shared=True).index == 0


@pytest.mark.parametrize(
    ("cuda", "expected"),
    [
        (13_000, {"jax": "jax[cuda13]", "tensorflow": "tensorflow[and-cuda]", "torch": "torch"}),
        (14_010, {"jax": "jax[cuda13]", "tensorflow": "tensorflow[and-cuda]", "torch": "torch"}),
        (12_080, {"jax": "jax[cuda12]", "tensorflow": "tensorflow[and-cuda]", "torch": "torch"}),
        (11_080, {"jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}),
    ],
)
def test_a_backends_build_is_the_newest_that_the_driver_supports(machine_with, cuda, expected):
    machine_with(H100, cuda=cuda)

    for backend, wanted in expected.items():
        names = [pin.partition("==")[0] for pin in environments.requirements(backend)]
        assert wanted in names
        assert [name for name in names if name.startswith(backend)][-1] == wanted


def test_without_a_driver_a_backend_is_built_for_the_cpu(machine_with):
    machine_with(refused=["nvmlInit"])

    assert not [pin for name in ("jax", "tensorflow") for pin in environments.requirements(name) if "cuda" in pin]


def test_another_driver_makes_an_environment_outdated(machine_with):
    machine_with(refused=["nvmlInit"])
    before = environments.stamp("jax"), environments.stamp("bench")
    cuda_major.cache_clear()
    machine_with(H100)

    assert environments.stamp("jax") != before[0]
    assert environments.stamp("bench") == before[1]


def test_an_interpreter_without_the_library_asks_the_parents_environment(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(environments, "complete", lambda name: name == "bench")
    monkeypatch.setattr(environments, "ask", lambda *words: asked.append(words) or {"cuda": [12, 9]})

    assert cuda_major() == 12
    assert asked == [(environments.environment_python("bench"), "bench.machine.nvidia")]


def test_the_builds_for_a_gpu_are_of_the_same_version():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for name in [name for name in groups if "-cuda" in name]:
        plain = {pin for pin in groups[name.rpartition("-")[0]] if isinstance(pin, str)}
        (pin,) = [pin for pin in groups[name] if isinstance(pin, str)]
        package, _, version = pin.partition("==")

        assert f"{package.partition('[')[0]}=={version}" in plain


def rows(*arguments, limits=None):
    planned = plan(parse_run(["--backends=jax", *arguments]), [MLP], ["a card"], limits)
    return [(one.case.device, one.case.numerics, one.case.track) for one in planned if one.skip is None]


def test_a_gpu_is_measured_first_in_both_precisions():
    shipped, strict, tf32 = ("float32", "shipped"), ("float32", "fit"), ("tf32", "fit")

    assert rows() == [("gpu", *shipped), ("gpu", *strict), ("gpu", *tf32), ("cpu", *strict)]
    assert rows("--devices=cpu") == [("cpu", *strict)]


def test_what_is_asked_for_is_what_is_measured_on_every_device():
    assert rows("--numerics=float32", "--tracks=fit") == [("gpu", "float32", "fit"), ("cpu", "float32", "fit")]


def test_a_card_without_tf32_has_no_such_row():
    found = find(fake_nvml.library(V100))

    assert ("gpu", "tf32", "fit") not in rows(limits=Limits(lacking=nvidia.lacking(found.gpus)))


@pytest.fixture
def on_gpu(measure, monkeypatch, machine_with):
    """A run of workers that play back, on a machine with two cards."""
    machine_with(H100, V100)
    monkeypatch.setattr(devices, "without_gpu", lambda _pythons: {})
    return measure


def test_a_run_on_a_gpu_says_which_and_gives_commands_that_choose_it(on_gpu):
    folder = on_gpu("--devices=gpu", "--gpu=1", "--tracks=fit", "--numerics=float32", "--launches=1")
    found = described(folder)["machine"]
    command = launches(folder)[0]["command"]

    assert found["gpus"] == ["Tesla V100-SXM2-16GB"]
    assert found["gpu"]["driver"] == "580.95.05"
    assert (found["gpu"]["cuda"], found["gpu"]["memory_mib"]) == ("13.0", 16_384.0)
    assert command[:3] == ["env", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1"]


def test_a_case_on_the_gpu_that_ran_on_the_cpu_is_no_row(on_gpu, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "torch:ran on the cpu")
    folder = on_gpu("--devices=gpu", "--tracks=fit", "--numerics=float32", "--launches=1")
    (found,) = launches(folder, "torch")

    assert found["status"] == "failed"
    assert "asked for on the gpu, its variables lived on the cpu" in found["reason"]
    assert {launch["status"] for launch in launches(folder, "jax")} == {"ok"}


def test_a_number_without_a_gpu_to_measure_is_a_usage_error(measure):
    with pytest.raises(UsageError, match="--gpu 1: no GPU is measured here"):
        measure("--gpu=1")
    with pytest.raises(UsageError, match="--shared-gpu: no GPU is measured here"):
        measure("--shared-gpu")


def test_parity_takes_a_card_too():
    given = parse_parity(["--gpu=1", "--shared-gpu"])

    assert (given.gpu, given.shared_gpu) == (1, True)


@pytest.mark.parametrize(
    ("files", "system", "kind", "expected"),
    [
        (["dev/kfd"], "Linux", "x86_64", "AMD GPU"),
        (["dev/accel0", "sys/bus/pci/devices/0000:00:04.0/vendor"], "Linux", "x86_64", "TPU"),
        ([], "Darwin", "arm64", "Apple GPU"),
        (["dev/accel0"], "Linux", "x86_64", ""),
        ([], "Linux", "aarch64", ""),
    ],
)
def test_other_accelerators_are_named_with_what_each_backend_makes_of_them(tmp_path, files, system, kind, expected):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0x1ae0\n")
    found = others(tmp_path, system, kind)

    assert [line.partition(":")[0] for line in found] == [expected] * bool(expected)
    assert all(word in line for line in found for word in ("not measured here", *training_backends()))


def test_what_is_found_is_one_line_of_json():
    done = subprocess.run(
        [sys.executable, "-m", "bench.machine.nvidia"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout).keys() == {"driver", "cuda", "gpus"}
