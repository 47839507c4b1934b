"""Places on the two GPUs of one node, which is this machine with made-up cards: what one may do to the other."""

import hashlib
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.on_nodes import processes_of

from bench.machine import cpus
from bench.places import boot
from bench.places.branches import divide
from bench.places.node import Node, Suite
from bench.places.pipe import Pipe
from bench.places.place import NodeLostError, Work

WANTED = {"environments": [], "device_counts": [1], "gpu": None, "shared": False, "devices": ["gpu"], "keep": []}
SECONDS = 60  # after which a test that waits for a launch gives up

pytestmark = pytest.mark.skipif(len(cpus.here()) < 2, reason="two launches at once take two CPU cores")


@pytest.fixture
def two(cards, tmp_path):  # noqa: ARG001 - the node's process reads what the fixture sets
    """Places on the two GPUs of a node that is this machine, and the node."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "FAKE_CARDS": "H100,V100"}
    node = Node("n1", Pipe([sys.executable, "-c", Path(boot.__file__).read_text()], environment))
    node.begin(Suite(), {**WANTED, "each_gpu": True}, print)
    yield *divide(node, [0, 1]), node
    node.close()
    assert processes_of(tmp_path) == []


def work(folder, name, script, limit=float(SECONDS), **more):
    words = [sys.executable, "-c", script]
    return Work(words, folder / "none", folder / f"{name}.record", folder / f"{name}.log", limit, **more)


def test_a_launch_that_hangs_on_one_gpu_is_ended_and_its_neighbour_is_not(two, tmp_path):
    first, second, _ = two
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go on')!r}).exists(): time.sleep(0.05)"
    ended = []
    neighbour = threading.Thread(target=lambda: ended.append(second.launch(work(tmp_path, "second", waits))))
    neighbour.start()
    outcome = first.launch(work(tmp_path, "first", "import time; time.sleep(600)", 0.5))
    (tmp_path / "go on").touch()
    neighbour.join(SECONDS)

    assert outcome.status == "timeout"
    assert [one.status for one in ended] == ["ok"]


def test_a_place_that_is_closed_leaves_the_others_of_its_node_alone(two, tmp_path):
    first, second, node = two
    first.close()

    with pytest.raises(NodeLostError, match="it was closed"):
        first.launch(work(tmp_path, "first", ""))
    assert second.launch(work(tmp_path, "second", "print('here')")).status == "ok"
    assert (tmp_path / "second.log").read_text() == "here\n"
    node.close()
    with pytest.raises(NodeLostError):
        second.launch(work(tmp_path, "second", ""))


def test_files_of_the_users_own_stay_for_a_neighbour_until_the_node_ends(two, tmp_path):
    first, second, node = two
    own = tmp_path / "home" / "own.py"
    node.ask({"ask": "lay", "names": [str(own)]}, b"model")
    first.close()
    lacking = second.ask({"ask": "lacks", "files": [[str(own), 5, hashlib.sha256(b"model").hexdigest()]]})
    there = own.read_bytes()
    node.close()

    assert lacking.content["lacking"] == []
    assert (there, own.exists()) == (b"model", False)


GAUGES = """
import os, pynvml
from bench.worker.process.environment import threads
from bench.worker.timing import nvml
print(threads(), nvml._handle(pynvml, os.environ["CUDA_VISIBLE_DEVICES"])["name"])
"""


def test_a_backend_takes_as_many_threads_as_its_gpu_has_cpus_and_reads_the_gauges_of_that_gpu(two, tmp_path):
    said = []
    for name, place in zip(("first", "second"), two[:2], strict=True):
        asked = work(tmp_path, name, GAUGES)
        outcome = place.launch(replace(asked, words=[*place.site(tmp_path / "none").cards(1), *asked.words]))
        said.append((outcome.status, (tmp_path / f"{name}.log").read_text().strip()))
    part = len(cpus.here()[0]) * (len(cpus.here()) // 2)

    assert said == [("ok", f"{part} NVIDIA H100 80GB HBM3"), ("ok", f"{part} Tesla V100-SXM2-16GB")]
