"""The time that is left of a run's launches, as it is told while their number grows."""

from types import SimpleNamespace

import pytest

from bench.contract.case import Case
from bench.launch.outcome import Outcome
from bench.places.place import Here
from bench.plan.planned import PlannedCase
from bench.plan.schedule import schedule
from bench.run import launches
from bench.run.launches import Measuring

CASES = [
    PlannedCase(
        Case("mlp", "fashion_mnist", 640, 3, 128, "arrays", backend, "cpu", "float32", "train", "fit"),
        skip=None,
        target_attempted=False,
        expected_seconds=10.0,
        launches=3,
    )
    for backend in ("jax", "torch")
]


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Measure both cases in launches of ten seconds; gives the seconds left after each, and the lines between them."""

    def measure(disturbed):
        seconds, lines = [], []
        progress = SimpleNamespace(
            on=lambda _node: progress,
            expect=lambda _count: None,
            begin=lambda _planned, _left: None,
            end=lambda _outcome, left, _reason: seconds.append(left),
            say=lines.append,
        )

        def launch(_prepared, _planned, path, *_):
            path.touch()
            return Outcome("ok", "", 10.0)

        monkeypatch.setattr(launches, "launch", launch)
        monkeypatch.setattr(launches, "place_of", lambda _path: "")
        monkeypatch.setattr(launches, "disturbed", lambda path: "why" if disturbed in path.name else "")
        (tmp_path / "launches").mkdir()
        measuring = Measuring(
            SimpleNamespace(folder=tmp_path), CASES, {}, progress, lambda: 0.0, [Here(lambda *_: None)]
        )
        measuring.all(CASES, schedule(CASES, seed=0), until=None)
        return seconds, lines

    return measure


def test_the_time_left_shrinks_with_each_launch(told):
    assert told("none") == ([50, 40, 30, 20, 10, 0], [])


def test_the_time_left_grows_by_what_is_measured_anew(told):
    seconds, lines = told("r001-c01-mlp-torch-cpu-fit-batch-128.json")

    assert seconds == [50, 40, 50, 40, 30, 20, 10, 0]  # the third was disturbed
    assert lines == [
        "repetition 2 of mlp cpu batch 128 was disturbed and is measured anew: 2 launches more, about 20 s"
    ]
