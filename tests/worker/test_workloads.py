"""Every workload of the registry, on this backend; one made for a GPU is trained in small."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from bench.contract.catalog import workload_names
from bench.worker.workload import load
from models.metrics import METRICS

EVERY = {name: load.load_workload(name) for name in workload_names()}
LONG = [pytest.param(name, marks=pytest.mark.long) if workload.memory_mib else name for name, workload in EVERY.items()]

SLOW = ("gpt", "resnet")  # of those that test_large_workloads.py does not train in small
LEARNING = [
    pytest.param(name, marks=pytest.mark.long) if name in SLOW else name
    for name, workload in EVERY.items()
    if not workload.memory_mib
]


@pytest.fixture(params=EVERY)
def workload(request):
    return EVERY[request.param]


@pytest.fixture(scope="module", params=LONG)
def built(request):
    """A workload, or what its module calls `small` where it is made for a GPU; its model; and some of its data."""
    whole = EVERY[request.param]
    chosen = sys.modules[whole.build.__module__].small if whole.memory_mib else whole
    dataset = load.load_dataset(chosen.dataset, chosen.quick_samples)
    return SimpleNamespace(whole=whole, workload=chosen, model=chosen.build(), dataset=dataset)


def better(workload, value, other):
    return value < other if METRICS[workload.target.metric].lower_is_better else value > other


def test_it_says_in_its_docstring_how_many_parameters_it_has(built):
    model = built.whole.build() if built.whole.memory_mib else built.model

    assert f"{model.count_params():,} parameters" in sys.modules[built.whole.build.__module__].__doc__


def test_where_there_are_classes_its_outputs_are_logits(built):
    loss = built.workload.loss()
    if not hasattr(loss, "from_logits"):
        pytest.skip("no classes")
    outputs = built.model.predict(built.dataset.x_test[:8], verbose=0)

    assert loss.from_logits
    assert not np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3)  # as probabilities would


def test_its_samples_fill_at_least_a_few_batches(workload):
    assert min(workload.quick_samples, workload.cpu_samples or 10**9) >= 4 * workload.batch_size


def test_what_is_expected_of_it_is_said_and_in_order(workload):
    target = workload.target
    known = [target.chance, *([] if target.quick is None else [target.quick]), target.value]

    assert all(better(workload, later, earlier) for earlier, later in pairwise(known))
    assert target.source
    assert target.quick is not None or workload.memory_mib  # a smoke test on a GPU may have been tried by nobody


@pytest.mark.parametrize("name", LEARNING)
def test_it_learns_a_single_batch(name):
    workload = EVERY[name]
    keras.utils.set_random_seed(0)
    data = load.batches(load.load_dataset(workload.dataset, 128), 128, 64, seed=0)
    model = workload.build()
    model.compile(workload.optimizer(), workload.loss(), metrics=load.metrics(workload))
    losses = model.fit(data.x, data.y, batch_size=64, epochs=8, shuffle=False, verbose=0).history["loss"]

    assert losses[-1] < 0.8 * losses[0]


def test_its_metric_stands_in_keras_logs_under_its_name(built):
    workload, data = built.workload, built.dataset
    built.model.compile(workload.optimizer(), workload.loss(), metrics=load.metrics(workload))
    logs = built.model.evaluate(data.x_test[:64], data.y_test[:64], verbose=0, return_dict=True)

    assert workload.target.metric in logs


def test_calling_it_twice_shares_nothing(built):
    workload = built.workload

    assert workload.optimizer() is not workload.optimizer()
    assert workload.build() is not built.model
    assert workload.loss() is not workload.loss()
