"""The workloads made for a GPU, on this backend: what they are at full size, and that they learn in small."""

import importlib

import keras
import pytest

from bench.contract.catalog import workload_names
from bench.worker.programs.prepare import describe
from bench.worker.workload import load

LARGE = [name for name in workload_names() if load.load_workload(name).memory_mib]
TEST_MACHINE_MIB = 24 * 1024
# BERT base with its pooler (Google's uncased_L-12_H-768_A-12), GPT-2 small (OpenAI's 124M), and ResNet-50 as
# keras.applications documents it.
PUBLISHED = {"bert_base": 109_482_240, "gpt2_small": 124_439_808, "resnet50": 25_636_712}


QUICK = "gpt2_small"  # the others take minutes
SOME = [name if name == QUICK else pytest.param(name, marks=pytest.mark.long) for name in LARGE]


@pytest.fixture(params=SOME)
def name(request):
    return request.param


@pytest.fixture
def small(name):
    return importlib.import_module(f"models.{name}").small


def test_these_are_all():
    assert set(LARGE) == set(PUBLISHED)


def test_it_has_the_published_parameters_but_for_its_classifier(name):
    model = load.load_workload(name).build()
    own = model.layers[-1].count_params() if name == "bert_base" else 0

    assert model.count_params() - own == PUBLISHED[name]


@pytest.mark.parametrize("name", LARGE)
def test_it_is_described_without_being_built_where_no_device_is_large_enough(name, monkeypatch):
    monkeypatch.setattr(keras.Model, "__init__", None)
    description = describe(name, [0], None, TEST_MACHINE_MIB)

    assert description["memory_mib"] > TEST_MACHINE_MIB
    assert description["train_samples"] >= 4 * description["batch_size"]
    assert (description["parameters"], description["step_seconds"], description["weights"]) == (None, None, {})


def test_in_small_it_learns_what_is_planted_in_its_data(small):
    keras.utils.set_random_seed(0)
    samples = 5 * small.batch_size
    data = load.batches(load.load_dataset(small.dataset, samples), samples, small.batch_size, seed=0)
    model = small.build()
    model.compile(small.optimizer(), small.loss(), metrics=load.metrics(small))
    losses = model.fit(data.x, data.y, batch_size=small.batch_size, epochs=8, shuffle=False, verbose=0).history["loss"]

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", [QUICK])
def test_in_small_it_is_described_with_all_that_a_run_needs(name, tmp_path):
    path = tmp_path / f"small_{name}.py"
    path.write_text(f"from models.{name} import small as workload")
    description = describe(str(path), [0], tmp_path / "0-small")

    assert description["memory_mib"] == 0
    assert min(description["parameters"], description["step_seconds"], description["step_flops"]) > 0
    assert list(description["weights"]) == ["0"]
