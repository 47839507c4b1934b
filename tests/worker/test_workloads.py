"""Every workload of the registry, on this backend; one made for a GPU is trained in small."""

import sys
from itertools import pairwise

import keras
import numpy as np
import pytest

from bench.contract.catalog import workload_names
from bench.worker.workload import load
from models.metrics import METRICS


@pytest.fixture(params=workload_names())
def workload(request):
    return load.load_workload(request.param)


@pytest.fixture
def trained(workload):
    """The workload itself, or what its module calls `small`."""
    return sys.modules[workload.build.__module__].small if workload.memory_mib else workload


@pytest.fixture
def dataset(trained):
    return load.load_dataset(trained.dataset, trained.quick_samples)


def better(workload, value, other):
    return value < other if METRICS[workload.target.metric].lower_is_better else value > other


def test_it_says_in_its_docstring_how_many_parameters_it_has(workload):
    parameters = f"{workload.build().count_params():,} parameters"

    assert parameters in sys.modules[workload.build.__module__].__doc__


def test_where_there_are_classes_its_outputs_are_logits(trained, dataset):
    if not hasattr(trained.loss(), "from_logits"):
        pytest.skip("no classes")
    outputs = trained.build().predict(dataset.x_test[:8], verbose=0)

    assert trained.loss().from_logits
    assert not np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3)  # as probabilities would


def test_its_samples_fill_at_least_a_few_batches(workload):
    assert min(workload.quick_samples, workload.cpu_samples or 10**9) >= 4 * workload.batch_size


def test_what_is_expected_of_it_is_said_and_in_order(workload):
    target = workload.target
    known = [target.chance, *([] if target.quick is None else [target.quick]), target.value]

    assert all(better(workload, later, earlier) for earlier, later in pairwise(known))
    assert target.source
    assert target.quick is not None or workload.memory_mib  # a smoke test on a GPU may have been tried by nobody


def test_it_learns_a_single_batch(workload):
    if workload.memory_mib:
        pytest.skip("test_large_workloads.py trains it in small")
    keras.utils.set_random_seed(0)
    data = load.batches(load.load_dataset(workload.dataset, 128), 128, 64, seed=0)
    model = workload.build()
    model.compile(workload.optimizer(), workload.loss(), metrics=load.metrics(workload))
    losses = model.fit(data.x, data.y, batch_size=64, epochs=8, shuffle=False, verbose=0).history["loss"]

    assert losses[-1] < 0.8 * losses[0]


def test_its_metric_stands_in_keras_logs_under_its_name(trained, dataset):
    model = trained.build()
    model.compile(trained.optimizer(), trained.loss(), metrics=load.metrics(trained))
    logs = model.evaluate(dataset.x_test[:64], dataset.y_test[:64], verbose=0, return_dict=True)

    assert trained.target.metric in logs


def test_importing_it_allocates_nothing_and_calling_it_twice_shares_nothing(trained):
    assert trained.optimizer() is not trained.optimizer()
    assert trained.build() is not trained.build()
    assert trained.loss() is not trained.loss()
