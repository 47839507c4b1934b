"""The nodes of a run, begun all at once."""

import pytest

from bench.places import fleet
from bench.places.fleet import Fleet
from bench.places.place import NodeLostError


class Stream:
    """A stream to a node that does this when it is asked for the first frame."""

    def __init__(self, does):
        self.does, self.begun, self.closed = does, False, False

    def send(self, _frame):
        self.begun = True

    def receive(self, _seconds):
        raise self.does

    def close(self):
        self.closed = True


def begun(monkeypatch, streams):
    monkeypatch.setattr(fleet.srun, "names", lambda: list(streams))
    monkeypatch.setattr(fleet.srun, "stream", streams.get)
    with Fleet("srun", "", print) as found:
        found.begin({})
        return found


def test_a_node_that_is_lost_at_its_start_is_closed_and_named(monkeypatch):
    streams = {"n1": Stream(NodeLostError("gone"))}
    found = begun(monkeypatch, streams)

    assert (found.nodes, found.refused, streams["n1"].closed) == ([], {"n1": "gone"}, True)


def test_ctrl_c_while_nodes_begin_closes_them_all(monkeypatch):
    streams = {"n1": Stream(KeyboardInterrupt()), "n2": Stream(NodeLostError("gone"))}

    with pytest.raises(KeyboardInterrupt):
        begun(monkeypatch, streams)
    assert streams["n1"].closed
    assert all(one.closed == one.begun for one in streams.values())
