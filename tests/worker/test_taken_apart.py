"""A script's step taken apart on this backend: its own input, callbacks and metrics are what is planted in them."""

import time
from types import SimpleNamespace

import pytest

from bench.contract import explain
from bench.contract.paths import ROOT
from bench.own_models.adopt import write
from bench.plan.parse import parse_run
from bench.worker.errors import StartError
from bench.worker.script.first_fit import until_fit_is_done
from bench.worker.script.taken_apart import Theirs, bench_of
from bench.worker.workload import calls, load, parts, trainings

PLANTED = ROOT / "tests" / "worker" / "scripts"
TIMES, STEPS = 100, 4  # as long as a planted wait says, by a clock that nobody waits for


@pytest.fixture
def take_apart(tmp_path, monkeypatch, backend):
    """Take a script's fit apart, whose waits only move the clock on; gives the seconds of a step by training."""
    waited = [0.0]

    def wait(seconds):
        waited[0] += TIMES * seconds

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(trainings, "time", SimpleNamespace(perf_counter=lambda: time.perf_counter() + waited[0]))
    monkeypatch.setattr(parts, "ROUNDS", 1)
    monkeypatch.setattr(parts, "_tried", lambda _bench: ())
    monkeypatch.setattr(calls, "POINT_SECONDS", 0.0)

    def measured(path, *words):
        adopted = parse_run([f"--script={path}", f"--output={tmp_path / 'runs'}", *words]).adopted
        write(adopted)
        found = []

        def take(fit):
            built, size = fit.built()
            load.save_weights(tmp_path / "weights.npz", built.model.get_weights())
            bench, samples = bench_of(built, size, STEPS, tmp_path / "weights.npz", 0)
            trainings = parts.measure(bench, backend)["trainings"]
            failed = [one["error"] for one in trainings.values() if one["error"]]
            if failed:
                raise StartError(failed[0])
            step = {name: one["epoch_seconds"] / one["steps"] for name, one in trainings.items()}
            found.append((step, parts.about(bench, samples)))

        until_fit_is_done(load.load_workload_or_script(adopted[0].path), take)
        return found[0]

    return measured


def test_an_input_that_waits_is_what_batches_in_memory_save(take_apart):
    step, about = take_apart(PLANTED / "input_that_waits.py")

    assert step[explain.AS_IT_IS] - step[explain.HELD] > 0.5 * step[explain.AS_IT_IS]
    assert 0.1 < (step[explain.AS_IT_IS] - step[explain.QUIET]) / step[explain.AS_IT_IS] < 0.4
    assert step[explain.RESIDENT] < 0.2 * step[explain.AS_IT_IS]
    assert (about["input"], about["callbacks"], about["steps_per_epoch"]) == ("Waits", ["Slow"], 20)


def test_a_metric_on_the_host_is_what_no_metrics_save(take_apart):
    step, about = take_apart(PLANTED / "metric_on_host.py")

    assert step[explain.RESIDENT] - step[explain.UNMEASURED] > 0.5 * step[explain.AS_IT_IS]
    assert explain.HELD not in step  # its input are arrays
    assert (about["input"], about["metrics"], about["steps_per_epoch"]) == ("arrays", ["on_host"], 20)


def test_a_model_that_cannot_be_made_again_is_refused_in_one_line(take_apart, tmp_path):
    text = (PLANTED / "metric_on_host.py").read_text().replace("keras.Sequential([", "Own([")
    own = "class Own(keras.Model):\n    def __init__(self, layers):\n        super().__init__()\n        self.inner = "
    own += "layers[1]\n\n    def call(self, x):\n        return self.inner(x)\n\n\n"
    (tmp_path / "own.py").write_text(text.replace("model = ", f"{own}model = "))

    with pytest.raises(StartError, match="Own cannot be made again"):
        take_apart(tmp_path / "own.py")


def test_an_input_that_ends_begins_anew_and_a_generator_that_ends_is_said():
    again = Theirs([1, 2], 3)
    assert [again[number] for number in range(5)] == [1, 2, 1, 2, 1]

    once = Theirs(iter([1]), 3)
    assert once[0] == 1
    with pytest.raises(StartError, match="its generator ends"):
        once[1]
