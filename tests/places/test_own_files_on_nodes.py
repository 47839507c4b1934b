"""Runs of a user's own files on nodes that do not see the folders in which these lie."""

import io
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.playback import described, launches, state
from support.repositories import git

from bench.contract.errors import UsageError
from bench.contract.run_json import read
from bench.own_models import revisions
from bench.places import files as of_files
from bench.places import node as of_node
from bench.places.files import Files
from bench.places.fleet import Fleet
from bench.places.node import RefusedError
from bench.places.place import NodeLostError
from bench.plan.parse import parse_run
from bench.plan.variants import Variant
from bench.run.console import RunConsole
from bench.run.measure import run
from bench.run.own_files import own_files

MODEL = "import keras\nimport our_layers\n\n\ndef build():\n    return keras.Sequential([our_layers.dense()])\n"
SCRIPT = "import our_layers\n\nour_layers.model().fit(x, y)\n"


def hides():
    """Whether this system gives a process mounts of its own."""
    words = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "mount", "-t", "tmpfs"]
    folder = Path(os.environ.get("TMPDIR", "/tmp")).resolve()
    return (
        bool(shutil.which("unshare")) and not subprocess.run([*words, "none", folder], capture_output=True).returncode
    )


needs_hiding = pytest.mark.skipif(not hides(), reason="mounts of one's own are not allowed here")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of a user's files, which nodes see as empty, as they do the results."""
    folder = tmp_path / "home"
    (folder / "our_layers").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "our_layers" / "__init__.py").write_text("")
    (folder / "data.npz").write_bytes(b"data")
    monkeypatch.setenv("FAKE_HIDDEN", f"{folder}:{tmp_path / 'results'}")
    monkeypatch.setenv("FAKE_NEEDS", f"{folder / 'our_layers' / '__init__.py'}")
    monkeypatch.setenv("FAKE_OWN", f"{folder / 'our_layers' / '__init__.py'}")
    return folder


@pytest.fixture
def start(job, played, tmp_path):  # noqa: ARG001 - without a job there are no nodes
    said = io.StringIO()

    def begin(*arguments):
        pythons = [f"--python={backend}={played}" for backend in ("jax", "torch")]
        words = [*pythons, "--backends=jax,torch", "--devices=cpu", f"--output={tmp_path / 'results'}", "--launches=3"]
        return run(parse_run([*words, "--places=srun", *arguments]), RunConsole(file=said, width=300))

    begin.said = said
    return begin


def reasons(folder):
    return {one["reason"] for one in launches(folder)}


def own(home):
    return "--no-parity", f"--workloads={home / 'model.py'}", f"--dataset={home / 'data.npz'}"


@needs_hiding
def test_what_a_model_imports_and_its_data_lie_on_nodes_that_see_neither(start, home, monkeypatch):
    needs = [home / "our_layers" / "__init__.py", home / "model.py", home / "data.npz"]
    monkeypatch.setenv("FAKE_NEEDS", ":".join(map(str, needs)))
    folder = start(*own(home))

    assert reasons(folder) == {""}
    assert {one["node"] for one in launches(folder)} <= {"n1", "n2", "n3"}


@needs_hiding
def test_a_script_s_neighbours_lie_beside_it_on_nodes(start, home, monkeypatch):
    monkeypatch.setenv("FAKE_NEEDS", f"{home / 'our_layers' / '__init__.py'}:{home / 'train.py'}")
    folder = start(f"--script={home / 'train.py'}")

    assert reasons(folder) == {""}


@needs_hiding
@pytest.mark.parametrize("is_whole", [False, True])
def test_files_of_revisions_lie_on_nodes_where_they_lie_here(start, home, tmp_path, monkeypatch, is_whole):
    """Of a whole repository everything is sent: without it a launch would take the environment's package."""
    exported = tmp_path / "revisions"
    exported.mkdir()
    monkeypatch.setattr(revisions, "FOLDER", exported)
    monkeypatch.setenv("FAKE_HIDDEN", f"{home}:{exported}:{tmp_path / 'results'}")
    monkeypatch.setenv("FAKE_OWN", "")
    git(home, "init")
    for text in (MODEL, MODEL.replace("dense()", "dense(), our_layers.dense()")):
        (home / "model.py").write_text(text)
        git(home, "add", ".")
        git(home, "commit", "-m", "a change")
    if is_whole:
        words = ["--workloads=mlp", f"--vary=git:{home}:HEAD~1,HEAD"]
    else:
        words = [f"--workloads={home / 'model.py'}", "--dataset=fashion_mnist", "--vary=git:HEAD~1,HEAD"]
    needed = "our_layers/__init__.py" if is_whole else "model.py"
    options = parse_run([*words, f"--output={tmp_path / 'results'}"])  # which exports them
    assert len(options.variants) == 2
    folders = sorted(exported.iterdir())
    monkeypatch.setenv("FAKE_NEEDS", ":".join(str(one / needed) for one in folders))
    folder = start("--no-parity", *words)

    assert len(folders) == 2
    assert reasons(folder) == {""}


@needs_hiding
def test_what_was_read_and_cannot_be_sent_is_said_before_anything_is_measured(start, home, tmp_path, monkeypatch):
    other, shared = home / ".keys", tmp_path / "shared.txt"
    other.touch()
    shared.touch()
    monkeypatch.setenv("FAKE_ELSEWHERE", f"{other}:{shared}")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1,n2")
    start(*own(home), "--dry-run")
    said = start.said.getvalue()

    assert (
        f"{other} was read here, and is not sent: it is hidden, or in no folder of your files; n1, n2 lack it" in said
    )
    assert str(shared) not in said


@needs_hiding
def test_where_too_much_would_have_to_be_sent_a_line_says_so_and_nothing_is_measured(start, home, monkeypatch):
    monkeypatch.setattr(of_files, "MOST_BYTES", 10)
    monkeypatch.setattr(of_node, "MOST_BYTES", 10)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n1")

    with pytest.raises(
        UsageError, match=r"no node can be measured on \(n1: .* are not there, .*; put them on a shared"
    ):
        start(*own(home))
    assert list((home.parent / "results").glob("2*")) == []


def test_nodes_that_share_the_folders_are_sent_nothing_and_take_nothing_away(start, home, monkeypatch):
    monkeypatch.delenv("FAKE_HIDDEN")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    folder = start(*own(home))

    assert state(folder) == "finished"
    assert reasons(folder) == {""}
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_what_nodes_lack_is_told_in_their_order_whoever_answers_first():
    fleet = Fleet("srun", "", print)
    second = Lays("n2", ["/data"])
    fleet.nodes = [Lays("n1", ["/data"], after=second.done), second]

    assert [*fleet.lay(Files())] == ["n1", "n2"]


class Lays:
    """A node that says this when it is to lay files, as soon as `after` has happened; then `done` has."""

    def __init__(self, name, says, after=None):
        self.name, self.says, self.closed = name, says, False
        self.after, self.done = after, threading.Event()

    def lay(self, _files):
        if self.after:
            assert self.after.wait(60)
        self.done.set()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def close(self):
        self.closed = True


def test_a_node_on_which_files_cannot_lie_is_left_out_with_its_reason():
    fleet = Fleet("srun", "", print)
    good, other, lost = (
        Lays("n1", ["/data"]),
        Lays("n2", RefusedError("another file")),
        Lays("n3", NodeLostError("gone")),
    )
    fleet.nodes = [good, other, lost, Lays("n4", [])]

    assert fleet.lay(Files()) == {"n1": ["/data"]}
    assert [node.name for node in fleet.nodes] == ["n1", "n4"]
    assert fleet.refused == {"n2": "another file", "n3": "gone"}
    assert (good.closed, other.closed, lost.closed) == (False, True, True)


def workload_of(recorded_run, **changes):
    return replace(read(described(recorded_run)).workloads[0], **changes)


def test_data_that_a_workload_s_file_names_beside_itself_is_one_of_its_files(recorded_run, tmp_path):
    """The description has its whole path, the text only its name."""
    file, data = tmp_path / "model.py", tmp_path / "data.npz"
    file.write_text("workload = Workload(dataset='data.npz')\n")
    data.touch()
    workload = workload_of(recorded_run, workload=str(file), dataset=str(data))

    assert set(own_files([workload], [], [], []).sent) == {file, data}


def test_of_folders_in_a_variant_s_path_all_is_sent_but_what_is_hidden_or_compiled(tmp_path):
    for name in ("package/part.py", ".git/HEAD", "package/__pycache__/part.pyc", "package/.key", "package/data.txt"):
        path = tmp_path / "clone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    variant = Variant("new", settings={"PYTHONPATH": f"{tmp_path / 'clone'}:{tmp_path / 'nowhere'}"})
    found = own_files([], [variant], ["/model.py"], ["/elsewhere", "/model.py"])

    assert {str(path) for path in found.sent} == {
        "/model.py",
        *(str(tmp_path / "clone" / "package" / name) for name in ("part.py", "data.txt")),
    }
    assert found.elsewhere == (Path("/elsewhere"),)
