"""The start on a node: the suite is found there, or laid, and a node that cannot be measured on says why."""

import hashlib
import os
import platform
import sys
from pathlib import Path

import psutil
import pytest

from bench.contract.errors import UsageError
from bench.contract.paths import ROOT
from bench.machine import environments
from bench.places import agent, boot, code
from bench.places import files as of_files
from bench.places import node as of_node
from bench.places.files import Files
from bench.places.frames import Frame
from bench.places.node import Node, RefusedError, Suite
from bench.places.pipe import Pipe
from bench.places.place import NodeLostError, Work

NOTHING = {"environments": [], "device_counts": [1], "gpu": None, "shared": True, "devices": None, "keep": []}


class Elsewhere(Suite):
    """The suite as a run has it that lies where the node sees nothing."""

    def archive(self):
        return code.archive(ROOT)


@pytest.fixture
def node(tmp_path):
    """A node whose cache is empty but for the environment of the program that launches; it is this machine."""
    built = tmp_path / "cache" / "keras-backend-benchmarks" / platform.node() / "environments"
    built.mkdir(parents=True)
    (built / "env-bench").symlink_to(environments.folder("bench"))
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    made = Node("n1", Pipe([sys.executable, "-c", Path(boot.__file__).read_text()], environment))
    yield made
    made.close()


def test_a_node_that_sees_the_suite_uses_it_where_it_lies(node):
    node.begin(Suite(), NOTHING, print)

    assert node.facts["root"] == str(ROOT)


def test_a_node_that_does_not_gets_it_once(node, tmp_path):
    said = []
    suite = Elsewhere(root=tmp_path / "nowhere")
    node.begin(suite, NOTHING, said.append)
    root = Path(node.facts["root"])

    assert said == ["n1: the suite is sent there"]
    assert root.is_relative_to(tmp_path / "cache")
    assert code.digest(root) == suite.digest
    assert node.facts["suite_python"] == str(root / ".nox" / "env-bench" / "bin" / "python")

    command = [sys.executable, "-c", Path(boot.__file__).read_text()]
    again = Node(
        "n1", Pipe(command, {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)})
    )
    again.begin(suite, NOTHING, said.append)
    again.close()

    assert len(said) == 1


def test_a_changed_file_is_another_suite(tmp_path):
    for part in ("bench", "models"):
        (tmp_path / part).mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "models" / "mlp.py").write_text("one")
    before = code.digest(tmp_path)
    (tmp_path / "models" / "__pycache__").mkdir()
    (tmp_path / "models" / "__pycache__" / "mlp.pyc").write_text("compiled")

    assert code.digest(tmp_path) == before
    (tmp_path / "models" / "mlp.py").write_text("two")
    assert code.digest(tmp_path) != before


def test_files_of_the_users_own_lie_on_a_node_where_they_lie_here(node, tmp_path):
    node.begin(Suite(), NOTHING, print)
    folder, weights, own = Path(node.facts["folder"]), tmp_path / "weights.npz", tmp_path / "own.py"
    weights.write_bytes(b"\0" * 100)
    own.write_text("model")
    script = "import json, sys, pathlib; out = sys.argv[-1].partition('=')[2]; "
    script += (
        "pathlib.Path(out).write_text(json.dumps([pathlib.Path(one).read_bytes().hex() for one in sys.argv[1:3]]))"
    )
    words = [sys.executable, "-c", script, str(folder / "weights.npz"), str(own)]
    work = Work(words, weights, tmp_path / "record", tmp_path / "log", 60.0)

    lacking = node.lay(Files((own,), (tmp_path / "gone", weights)))
    outcome = node.launch(work)

    assert lacking == [str(tmp_path / "gone")]
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert (tmp_path / "record").read_text() == f'["{weights.read_bytes().hex()}", "{own.read_bytes().hex()}"]'
    assert list(folder.glob("record*")) == []


def test_what_a_launcher_sets_for_its_own_is_not_for_workers(tmp_path):
    environment = {**os.environ, "SLURM_PROCID": "0", "RAY_JOB_ID": "1", "PMI_RANK": "0", "OURS": "here"}
    node = Node("n1", Pipe([sys.executable, "-c", Path(boot.__file__).read_text()], environment))
    node.begin(Suite(), NOTHING, print)
    words = [
        sys.executable,
        "-c",
        "import os; print(*sorted({'SLURM_PROCID', 'RAY_JOB_ID', 'PMI_RANK', 'OURS'} & set(os.environ)))",
    ]
    node.launch(Work(words, tmp_path / "none", tmp_path / "record", tmp_path / "log", 60.0))
    node.close()

    assert (tmp_path / "log").read_text() == "OURS\n"


def test_what_was_laid_under_a_path_of_the_users_own_is_taken_away(tmp_path):
    said, (folder, home) = [], (tmp_path / "folder", tmp_path / "home")
    own, marked = home / "models" / "own.py", home / ".git"
    folder.mkdir()
    node = agent.Agent(folder, lambda content, *_: said.append(content))
    asked = {"ask": "lacks", "files": [[str(own), 5, "a digest"], ["weights.npz", 7, ""], [str(marked), -1, ""]]}
    node.answer(Frame(asked))
    node.answer(Frame({"ask": "lay", "names": [str(own), str(marked)]}, [b"model", b""]))
    there = own.read_bytes()
    compiled = home / "models" / "__pycache__" / "own.cpython-311.pyc"  # as a launch leaves it
    compiled.parent.mkdir()
    compiled.touch()
    node.answer(Frame(asked))
    node.clear()

    assert said[0] == {"event": "done", "lacking": [str(own), "weights.npz", str(marked)]}
    assert there == b"model"
    assert said[2] == {"event": "refused", "reason": f"{own} is another file there; move it away"}
    assert not home.exists()
    assert tmp_path.exists()


def test_what_somebody_else_put_beside_it_meanwhile_stays(tmp_path):
    own, other = tmp_path / "home" / "own.py", tmp_path / "home" / "other.py"
    node = agent.Agent(tmp_path / "folder", lambda *_: None)
    node.answer(Frame({"ask": "lay", "names": [str(own)]}, [b"model"]))
    other.touch()
    node.clear()

    assert [*(tmp_path / "home").iterdir()] == [other]


def test_of_more_than_is_ever_sent_no_digest_is_asked_for_and_the_size_tells_another_file(tmp_path, monkeypatch):
    own, mark = tmp_path / "own.npz", tmp_path / ".git"
    own.write_bytes(b"12345")
    mark.mkdir()
    known = hashlib.sha256(b"12345").hexdigest()
    assert Files((own, mark), (tmp_path / "x",)).asked == [
        (str(own), 5, known),
        (str(mark), -1, ""),
        (str(tmp_path / "x"), -1, ""),
    ]
    monkeypatch.setattr(of_files, "MOST_BYTES", 4)
    assert Files((own,)).asked == [(str(own), 5, "")]

    said = []
    node = agent.Agent(tmp_path / "folder", lambda content, *_: said.append(content))
    node.answer(Frame({"ask": "lacks", "files": [[str(own), 5, ""]]}))
    node.answer(Frame({"ask": "lacks", "files": [[str(own), 4, ""]]}))
    assert [one["event"] for one in said] == ["done", "refused"]


def test_more_than_is_ever_sent_is_refused_where_it_is_missing_alone(node, tmp_path, monkeypatch):
    """The node is this machine, so what is missing there goes after it was looked at here."""
    own, gone = tmp_path / "own.npz", tmp_path / "gone.npz"
    own.write_bytes(b"12345")
    gone.write_bytes(b"12345")
    monkeypatch.setattr(of_files, "MOST_BYTES", 4)
    monkeypatch.setattr(of_node, "MOST_BYTES", 4)
    node.begin(Suite(), NOTHING, print)
    assert node.lay(Files((own,))) == []
    files = Files((gone, own))
    assert files.asked
    gone.unlink()

    with pytest.raises(RefusedError, match=r"gone.npz and other files of your own are not there, .*; put them on a"):
        node.lay(files)


def test_many_files_go_in_frames_of_a_bounded_size(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}" for number in range(5)]
    for path in paths:
        path.write_bytes(b"12345")
    monkeypatch.setattr(of_files, "BATCH_BYTES", 8)
    sent = list(of_files.batches(paths))

    assert [len(names) for names, _ in sent] == [2, 2, 1]
    assert [name for names, _ in sent for name in names] == [*map(str, paths)]
    assert all(part == b"12345" for _, parts in sent for part in parts)


def test_what_a_node_laid_for_a_run_is_taken_away_when_that_ends(node, tmp_path):
    own = tmp_path / "home" / "own.py"
    node.begin(Suite(), NOTHING, print)
    node.ask({"ask": "lay", "names": [str(own)]}, b"model")
    there = own.read_bytes()
    node.close()

    assert (there, own.exists()) == (b"model", False)


def test_what_a_node_sees_anyway_stays_when_a_run_ends(node, tmp_path):
    own = tmp_path / "own.py"
    own.write_text("model")
    node.begin(Suite(), NOTHING, print)
    node.lay(Files((own,)))
    node.close()

    assert own.read_text() == "model"


def test_a_launch_on_a_node_that_hangs_ends_at_its_limit(node, tmp_path):
    node.begin(Suite(), NOTHING, print)
    words = [sys.executable, "-c", "print('begun', flush=True); import time; time.sleep(600)"]

    outcome = node.launch(Work(words, tmp_path / "none", tmp_path / "record", tmp_path / "log", 0.5))

    assert (outcome.status, outcome.reason) == ("timeout", "no end after 0 s; killed")
    assert (tmp_path / "log").read_text() == "begun\n"
    assert not (tmp_path / "record").exists()


def test_a_node_that_falls_silent_counts_as_lost(node, tmp_path, monkeypatch):
    node.begin(Suite(), NOTHING, print)
    monkeypatch.setattr(of_node, "SILENT_SECONDS", 0.5)
    program = psutil.Process(node.stream._process.pid)  # which the start on the node has become
    program.suspend()

    with pytest.raises(NodeLostError, match="no answer within 0 s"):
        node.launch(Work(["true"], tmp_path / "none", tmp_path / "record", tmp_path / "log", 60.0))
    program.resume()


def test_a_launcher_with_less_priority_is_told_how_to_give_it(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(agent.os, "nice", lambda _by: 15)
    monkeypatch.setattr(agent.os, "setpriority", refuse)

    with pytest.raises(UsageError, match=r"runs at niceness 15, .* RAY_worker_niceness=0"):
        agent.check_priority()


def test_a_launcher_with_less_priority_gets_it_where_that_may_be(monkeypatch):
    asked = []
    monkeypatch.setattr(agent.os, "nice", lambda _by: 15)
    monkeypatch.setattr(agent.os, "setpriority", lambda *given: asked.append(given))
    agent.check_priority()

    assert asked == [(os.PRIO_PROCESS, 0, 0)]


def test_an_environment_that_is_not_there_is_told(node):
    own = {"label": "jax", "backend": "jax", "packages": [], "pins": [], "python": "/nowhere/python"}
    node.begin(Suite(), {**NOTHING, "environments": [own]}, print)

    assert node.facts["missing"] == {
        "jax": "there is no /nowhere/python; an interpreter of your own has to lie there too"
    }


def test_a_program_that_prints_something_else_is_no_node():
    banner = "import sys; print('Loading module cuda/12.4 ' * 10, flush=True); sys.stdin.read()"
    node = Node("n1", Pipe([sys.executable, "-c", banner]))

    with pytest.raises(NodeLostError, match="what came over its stream is no message"):
        node.begin(Suite(), NOTHING, print)
    node.close()


def test_a_program_that_ends_at_once_gives_its_last_words():
    node = Node("n1", Pipe([sys.executable, "-c", "raise SystemExit('srun: error: Invalid node name')"]))

    with pytest.raises(NodeLostError, match="Invalid node name"):
        node.begin(Suite(), NOTHING, print)
    node.close()


def test_a_program_that_ends_later_gives_its_last_words_too():
    program = "import sys; sys.stdin.buffer.read(8); sys.exit('srun: error: Node failure on n1')"
    node = Node("n1", Pipe([sys.executable, "-c", program]))

    with pytest.raises(NodeLostError, match="its stream has ended: srun: error: Node failure on n1"):
        node.begin(Suite(), NOTHING, print)
    node.close()


def test_a_suite_that_cannot_be_laid_is_refused(tmp_path):
    (tmp_path / "cache").write_text("a file")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    node = Node("n1", Pipe([sys.executable, "-c", Path(boot.__file__).read_text()], environment))

    with pytest.raises(RefusedError, match="the suite cannot be laid there"):
        node.begin(Elsewhere(root=tmp_path / "nowhere"), NOTHING, print)
    node.close()
