"""Repetitions over places: who takes what, and what becomes of what a lost place had begun."""

import threading
from collections import deque
from types import SimpleNamespace

import pytest

from bench.contract.errors import RunError
from bench.places.place import NodeLostError
from bench.run.turns import Turns

SECONDS = 20  # after which a test that waits for another place gives up


class Fake:
    """A place that may be lost at one repetition."""

    def __init__(self, name, lost_at=None):
        self.name, self.lost_at, self.closed = name, lost_at, False

    def close(self):
        self.closed = True


def repetitions(count):
    return deque([(SimpleNamespace(number=number, attempt=1),) for number in range(count)])


def over(places, waiting, measure=lambda _repetition, _place: None):
    """Measure all in these places; gives what was measured to its end, by number, attempt and place."""
    done, places = [], list(places)

    def one(repetition, place):
        (planned,) = repetition
        if place.lost_at == planned.number:
            raise NodeLostError("gone")
        measure(repetition, place)
        done.append((planned.number, planned.attempt, place.name))

    def lost(repetition, _place, _error):
        return tuple(SimpleNamespace(number=one.number, attempt=one.attempt + 1) for one in repetition)

    Turns(places, waiting, waiting.popleft, one, lost).all()
    return done


def test_this_machine_takes_them_in_their_order():
    assert over([Fake("")], repetitions(3)) == [(0, 1, ""), (1, 1, ""), (2, 1, "")]


def test_each_place_takes_the_next_that_waits():
    together = threading.Barrier(3)  # three at once, or none goes on

    done = over([Fake("n1"), Fake("n2"), Fake("n3")], repetitions(6), lambda *_: together.wait(SECONDS))

    assert sorted(number for number, _, _ in done) == list(range(6))
    assert {name for _, _, name in done} == {"n1", "n2", "n3"}


def test_what_a_lost_place_had_begun_is_measured_anew_in_another():
    first, second = Fake("n1", lost_at=0), Fake("n2", lost_at=None)
    begun = threading.Event()

    def measure(repetition, _place):
        if repetition[0].number:  # n2 is still busy when n1 is lost
            begun.wait(0.1)

    done = over([first, second], repetitions(4), measure)

    assert sorted(done) == [(0, 2, "n2"), (1, 1, "n2"), (2, 1, "n2"), (3, 1, "n2")] or len(done) == 4
    assert {name for _, _, name in done} == {"n2"} or not first.closed


def test_a_place_with_nothing_left_waits_for_what_may_come_back():
    taken, idle = threading.Event(), Fake("n2")

    def measure(repetition, place):
        if place is not idle and repetition[0].number == 1:
            taken.wait(SECONDS)
            raise NodeLostError("gone")
        if repetition[0].number == 0:
            taken.set()

    waiting = repetitions(2)
    done = over([Fake("n1"), idle], waiting, measure)

    assert sorted(number for number, _, _ in done) == [0, 1]


def test_without_a_place_the_run_ends_and_says_how_it_goes_on():
    with pytest.raises(RunError, match=r"no node is left; .* --resume"):
        over([Fake("n1", lost_at=0), Fake("n2", lost_at=0)], repetitions(1))


def test_an_error_in_one_place_ends_all():
    def measure(repetition, _place):
        if repetition[0].number == 1:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        over([Fake("n1"), Fake("n2")], repetitions(50), measure)
