"""Repetitions over places: who takes what, and what becomes of what a lost place had begun."""

import threading
import time
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


def anew(repetition, _place, _error):
    return tuple(SimpleNamespace(number=one.number, attempt=one.attempt + 1) for one in repetition)


def over(places, waiting, measure=lambda _repetition, _place: None):
    """Measure all in these places; gives what was measured to its end, by number, attempt and place."""
    done, places = [], list(places)

    def one(repetition, place):
        (planned,) = repetition
        if place.lost_at == planned.number:
            raise NodeLostError("gone")
        measure(repetition, place)
        done.append((planned.number, planned.attempt, place.name))

    Turns(places, waiting, waiting.popleft, one, anew).all()
    return done


def test_this_machine_takes_them_in_their_order():
    assert over([Fake("")], repetitions(3)) == [(0, 1, ""), (1, 1, ""), (2, 1, "")]


def test_each_place_takes_the_next_that_waits():
    together = threading.Barrier(3)  # three at once, or none goes on

    done = over([Fake("n1"), Fake("n2"), Fake("n3")], repetitions(6), lambda *_: together.wait(SECONDS))

    assert sorted(number for number, _, _ in done) == list(range(6))
    assert {name for _, _, name in done} == {"n1", "n2", "n3"}


def test_what_a_lost_place_had_begun_is_measured_anew_in_another():
    first, second = Fake("n1"), Fake("n2")
    places, done = [first, second], []
    begun = threading.Barrier(2)  # each takes one before any is lost

    def measure(repetition, place):
        (planned,) = repetition
        if planned.attempt == 1 and planned.number < 2:
            begun.wait(SECONDS)
        if place is first:
            raise NodeLostError("gone")
        done.append((planned.number, planned.attempt, place.name))

    waiting = repetitions(4)
    Turns(places, waiting, waiting.popleft, measure, anew).all()

    assert sorted(number for number, _, _ in done) == [0, 1, 2, 3]
    assert {name for _, _, name in done} == {"n2"}
    assert sorted(attempt for _, attempt, _ in done) == [1, 1, 1, 2]
    assert (places, first.closed) == ([second], True)


def test_a_place_with_nothing_left_waits_for_what_may_come_back():
    first, second = Fake("n1"), Fake("n2")
    over_there, done = threading.Event(), []

    def measure(repetition, place):
        (planned,) = repetition
        if place is first:
            over_there.wait(SECONDS)
            time.sleep(0.2)  # in which the other asks for more, and there is nothing
            raise NodeLostError("gone")
        done.append((planned.number, planned.attempt))
        over_there.set()

    waiting = repetitions(2)
    Turns([first, second], waiting, waiting.popleft, measure, anew).all()

    assert sorted(number for number, _ in done) == [0, 1]
    assert sorted(attempt for _, attempt in done) == [1, 2]


def test_without_a_place_the_run_ends_and_says_how_it_goes_on():
    with pytest.raises(RunError, match=r"no node is left; .* --resume"):
        over([Fake("n1", lost_at=0), Fake("n2", lost_at=0)], repetitions(1))


def test_an_error_in_one_place_ends_all():
    def measure(repetition, _place):
        if repetition[0].number == 1:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        over([Fake("n1"), Fake("n2")], repetitions(50), measure)
