"""Every workload of the registry, on this backend."""

import keras
import numpy as np
import pytest

from bench.options import workload_names
from bench.worker import start


@pytest.fixture(params=workload_names())
def workload(request):
    return start.load_workload(request.param)


def test_it_says_in_its_docstring_how_many_parameters_it_has(workload):
    import sys

    parameters = f"{workload.build().count_params():,} parameters"

    assert parameters in sys.modules[workload.build.__module__].__doc__


def test_its_outputs_are_logits(workload):
    model = workload.build()
    outputs = model.predict(np.random.default_rng(0).normal(size=(8, *model.input_shape[1:])), verbose=0)

    assert outputs.min() < 0
    assert workload.loss().from_logits


def test_its_samples_fill_at_least_a_few_batches(workload):
    assert min(workload.quick_samples, workload.cpu_samples or 10**9) >= 4 * workload.batch_size


def test_it_learns_a_single_batch(workload):
    keras.utils.set_random_seed(0)
    data = start.batches(start.load_dataset(workload.dataset), 128, 64, seed=0)
    model = workload.build()
    model.compile(workload.optimizer(), workload.loss(), metrics=[workload.target.metric])
    losses = model.fit(data.x, data.y, batch_size=64, epochs=8, shuffle=False, verbose=0).history["loss"]

    assert losses[-1] < 0.8 * losses[0]


def test_importing_it_allocates_nothing_and_calling_it_twice_shares_nothing(workload):
    assert workload.optimizer() is not workload.optimizer()
    assert workload.build() is not workload.build()
    assert workload.loss() is not workload.loss()
