"""The one stream to a node that has a place on each of its GPUs: who gets which frame, and what becomes of it."""

import queue
import threading

import pytest

from bench.places import frames
from bench.places.branches import Branch, Trunk, divide
from bench.places.frames import Frame
from bench.places.node import Node
from bench.places.place import NodeLostError

SECONDS = 20  # after which a test that waits gives up


class Stream:
    """A stream whose frames a test puts in, and takes out as a node would."""

    def __init__(self):
        self.sent, self.came = queue.Queue(), queue.Queue()

    def send(self, frame):
        self.sent.put(frames.unpack(frame))

    def receive(self, _seconds):
        found = self.came.get(timeout=SECONDS)
        if isinstance(found, str):
            raise NodeLostError(found)
        return found

    def close(self):
        self.came.put("closed")

    def say(self, gpu, **content):
        self.came.put(Frame({"gpu": gpu}, [frames.pack(content, b"bytes")]))


@pytest.fixture
def stream():
    return Stream()


@pytest.fixture
def branches(stream):
    trunk = Trunk(stream, [0, 1])
    yield Branch(trunk, 0), Branch(trunk, 1)
    trunk.close()


def test_each_place_gets_the_frames_of_its_own_gpu_in_their_order(stream, branches):
    for gpu, number in ((1, 1), (0, 2), (1, 3)):
        stream.say(gpu, number=number)
    found = [branch.receive(SECONDS) for branch in (branches[0], branches[1], branches[1])]

    assert found == [({"number": number}, [b"bytes"]) for number in (2, 1, 3)]


def test_what_a_place_sends_says_for_which_gpu_it_is(stream, branches):
    branches[1].send(frames.pack({"ask": "facts"}))
    outer = stream.sent.get(timeout=SECONDS)

    assert outer.content == {"gpu": 1}
    assert frames.unpack(outer.parts[0]).content == {"ask": "facts"}


def test_a_node_that_is_lost_is_lost_for_every_place_at_once_and_for_good(stream, branches):
    lost = []

    def wait(branch):
        with pytest.raises(NodeLostError, match="no answer within 60 s"):
            branch.receive(SECONDS)
        lost.append(branch)

    threads = [threading.Thread(target=wait, args=(branch,)) for branch in branches]
    for thread in threads:
        thread.start()
    stream.came.put("no answer within 60 s")
    for thread in threads:
        thread.join(SECONDS)

    assert len(lost) == 2
    for ask in (lambda: branches[0].receive(SECONDS), lambda: branches[1].send(frames.pack({}))):
        with pytest.raises(NodeLostError, match="no answer within 60 s"):
            ask()


def test_a_program_that_ends_is_the_loss_of_its_place_alone(stream, branches):
    stream.came.put(Frame({"gpu": 0, "over": "its stream has ended"}))
    stream.say(1, event="alive")

    assert branches[1].receive(SECONDS).content == {"event": "alive"}
    for _ in range(2):
        with pytest.raises(NodeLostError, match="its stream has ended"):
            branches[0].receive(SECONDS)


def test_a_place_that_is_closed_ends_its_program_and_no_other(stream, branches):
    branches[0].close()
    stream.say(1, event="done")

    assert stream.sent.get(timeout=SECONDS) == ({"gpu": 0}, [])
    assert branches[1].receive(SECONDS).content == {"event": "done"}


def test_a_place_that_falls_silent_counts_as_lost_while_its_node_lives(stream, branches):
    stream.came.put(Frame({"event": "alive"}))

    with pytest.raises(NodeLostError, match="no answer within 0 s"):
        branches[0].receive(0.05)


def test_a_place_has_its_nodes_name_and_its_gpu_and_a_record_says_both(stream):
    facts = {"gpus": [{"index": 0}, {"index": 3}], "cards": {"1": []}, "folder": "/n1"}
    told = [{"folder": f"/n1/gpu{gpu}", "cards": {"1": [f"GPU={gpu}"]}} for gpu in (0, 3)]
    stream.came.put(Frame({"event": "done", "places": told}))
    node = Node("n1", stream, facts)
    places = divide(node, [0, 3])
    node.close()

    assert [place.name for place in places] == ["n1/gpu0", "n1/gpu3"]
    assert [place.recorded for place in places] == [{"node": "n1", "gpu": 0}, {"node": "n1", "gpu": 3}]
    assert [place.facts["gpus"] for place in places] == [[{"index": 0}], [{"index": 3}]]
    assert [place.facts["cards"]["1"] for place in places] == [["GPU=0"], ["GPU=3"]]
