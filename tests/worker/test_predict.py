"""Inference on this backend, OpenVINO included: by whole launches, and the parts of one."""

import itertools

import keras
import numpy as np
import pytest

from bench.contract.agreement import distance
from bench.contract.case import INFERENCE_TRACKS
from bench.contract.catalog import facts_of
from bench.worker.errors import StartError
from bench.worker.programs.prepare import describe
from bench.worker.timing.gauges import Counters
from bench.worker.workload import predict
from tests.support.records import fault_of

SAMPLES = np.arange(30, dtype="float32").reshape(10, 3)


def test_every_track_gives_the_outputs_of_predict_from_the_same_weights(launch, tmp_path):
    digests = describe("mlp_regularized", [3], tmp_path / "0-mlp")["weights"]  # dropout has to be off
    found = {}
    for track in INFERENCE_TRACKS:
        columns = {"workload": "mlp_regularized", "task": "predict", "track": track}
        done, content = launch(
            f"--weights={tmp_path / '0-mlp-seed3.npz'}", **columns, samples=64, epochs=1, batch_size=4
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found[track] = content["launch"]
        assert fault_of({**content["launch"], "repetition": 0}) == ""
        assert content["rounds"]["seconds"] == content["launch"]["calls"]["seconds"]

    for one in found.values():
        assert one["weights_digest"] == digests["3"]
        assert len(one["calls"]["seconds"]) == 16
        assert len(one["outputs"]) == 32 * 10
        assert one["resolved"]["device"] == "cpu"
        assert distance(one["outputs"], found["fit"]["outputs"]) < 1e-6


@pytest.mark.parametrize("numerics", ["bfloat16", "float16"])
def test_mixed_precision_is_what_is_computed_in(launch, numerics):
    done, content = launch(task="predict", track="loop", numerics=numerics, samples=8, epochs=1, batch_size=2)

    assert done.returncode == 0, done.stdout + done.stderr
    assert content["launch"]["resolved"]["matmul_bits"] == {"bfloat16": 7, "float16": 10}[numerics]


@pytest.mark.parametrize("track", ["fit", "on_batch", "call", "loop", "native"])
def test_float64_is_what_every_track_answers_in(launch, track, backend_name):
    if "float64" in facts_of(backend_name).lacking:
        pytest.skip(facts_of(backend_name).lacking["float64"])
    done, content = launch(task="predict", track=track, numerics="float64", samples=8, epochs=1, batch_size=2)

    assert done.returncode == 0, done.stdout + done.stderr
    assert content["launch"]["resolved"]["matmul_bits"] == 52
    assert any(value != float(f"{value:.7g}") for value in content["launch"]["outputs"])  # more digits than float32 has


def test_a_track_with_other_outputs_than_predict_is_refused(case):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    given = predict.batches(SAMPLES, 2)
    ours = predict.outputs(lambda x: model.predict(x, verbose=0), given, "float32")
    predict.check(ours, model, given, case(task="predict", track="loop"))

    with pytest.raises(ArithmeticError, match="gives other outputs"):
        predict.check([1.01 * value for value in ours], model, given, case(task="predict", track="loop"))


def test_batches_are_the_test_samples_without_a_partial_one():
    given = predict.batches(SAMPLES, 4)

    assert np.array_equal(np.concatenate(given), SAMPLES[:8])
    with pytest.raises(StartError, match="a batch of 11 is larger than the 10 test samples"):
        predict.batches(SAMPLES, 11)


def test_the_first_call_stands_apart_and_warm_up_is_not_recorded():
    seen = []
    ticks = itertools.count()
    counters = Counters(*(0.0 for _ in Counters._fields))
    found = predict.measure(
        lambda batch: seen.append(batch) or [next(ticks) for _ in range(len(seen))],  # each call takes a tick more
        [1, 2, 3],
        4,
        now=lambda: float(next(ticks)),
        counters=lambda: counters,
        probe=lambda: 0.001,
    )

    assert found["first_seconds"] == 2.0
    assert found["seconds"] == [float(2 + predict.WARM_UP + number) for number in range(1, 5)]
    assert found["series"]["seconds"] >= sum(found["seconds"])
    assert seen == [batch for _, batch in zip(range(1 + predict.WARM_UP + 4), itertools.cycle([1, 2, 3]))]


def test_a_call_has_to_bring_its_outputs_to_the_host():
    with pytest.raises(TypeError, match="a call gives object, not an array on the host"):
        predict.outputs(lambda _: object(), [SAMPLES], "float32")


def test_an_output_that_is_not_finite_is_refused():
    with pytest.raises(ArithmeticError, match="an output is not finite"):
        predict.outputs(lambda batch: batch * np.nan, [SAMPLES], "float32")


def test_few_outputs_are_kept_several_one_after_the_other():
    many = predict.outputs(lambda batch: np.ones((len(batch), 1_000)), [SAMPLES], "float32")
    pair = predict.outputs(lambda batch: {"a": batch[:, :1], "b": batch[:, 1:]}, [SAMPLES[:2]], "float32")

    assert len(many) <= predict.MOST_OUTPUTS
    assert pair == [0.0, 3.0, 1.0, 2.0, 4.0, 5.0]
