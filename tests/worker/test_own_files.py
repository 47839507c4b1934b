"""Which files of the user's own a workload needs on a machine that does not have them."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.contract.paths import ROOT
from bench.worker.workload.own_files import Watch, needed
from models import own
from models.own import imports
from models.own.script import Script

MODEL = """
import keras
from our_layers import block

def build():
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), block.layer(), keras.layers.Dense(10)])
"""
BLOCK = "import keras\n\ndef layer():\n    return keras.layers.Dense(4)\n"


LOADED = set()  # files of modules that other tests have imported in this process


@pytest.fixture(autouse=True)
def path(monkeypatch, tmp_path):
    """The path and the modules as they were, afterwards; the temporary folder is another one than the files'."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(imports, "_places", [])
    monkeypatch.setattr(imports, "roots", [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = set(sys.modules)
    there = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    monkeypatch.setattr(sys.modules[__name__], "LOADED", there)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def top(tmp_path):
    """The top of a user's repository."""
    (tmp_path / "top" / ".git").mkdir(parents=True)
    return tmp_path / "top"


@pytest.fixture
def write(top):
    def make(name, text=""):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return make


def watched(read=(), listed=()):
    """What a watch saw."""
    return SimpleNamespace(read=set(map(str, read)), listed=set(map(str, listed)))


def names(paths, top):
    """Paths as they are within the repository; without those of tests, which no launch imports."""
    tests = str(Path(__file__).parent)
    return {os.path.relpath(path, top) for path in paths if not path.startswith(tests) and path not in LOADED}


def test_what_a_file_imported_is_its_own_with_the_packages_it_is_in(write, top):
    write("our_layers/__init__.py")
    write("our_layers/block.py", "from . import parts\n")
    write("our_layers/parts.py")
    write("never_imported.py")
    own.import_file(write("model.py", "from our_layers import block\n"))
    wanted = {"model.py", "our_layers/__init__.py", "our_layers/block.py", "our_layers/parts.py"}

    assert names(needed(watched(), imports.roots).own, top) == wanted


def test_what_text_imports_counts_where_it_did_not_run(write, top):
    """Another backend's part, what is imported in a callback, and what these import themselves."""
    write("for_torch.py", "def late():\n    from deep.down import below\n")
    write("deep/down.py", "from starred.inner import *\n")
    write("starred/inner.py")
    write("by_name.py")
    text = "if False:\n    import for_torch\n\n\ndef on_epoch_end():\n    __import__('by_name')\n"
    own.import_file(write("model.py", text))

    found = names(needed(watched(), imports.roots).own, top)
    assert found == {"model.py", "for_torch.py", "deep/down.py", "starred/inner.py", "by_name.py"}


def test_a_module_found_at_run_time_counts(write, top):
    write("parts_small.py")
    text = "import importlib\nsize = 'small'\nimportlib.import_module(f'parts_{size}')\n"
    own.import_file(write("model.py", text))

    assert "parts_small.py" in names(needed(watched(), imports.roots).own, top)


def test_imports_from_the_top_of_a_repository_need_what_marks_it(write, top):
    write("src/in_sources.py")
    write("at_top.py")
    path = write("models/deep/model.py", "import at_top, in_sources\n")
    own.import_file(path)
    assert names(needed(watched(), imports.roots).own, top) == {
        "models/deep/model.py",
        "at_top.py",
        "src/in_sources.py",
        ".git",
    }


def test_imports_from_beside_a_file_need_no_mark(write, top):
    write("models/deep/beside.py")
    own.import_file(write("models/deep/alone.py", "import beside\n"))

    assert names(needed(watched(), imports.roots).own, top) == {
        "models/deep/alone.py",
        "models/deep/beside.py",
    }


def test_a_revision_s_files_need_its_mark_wherever_they_import_from(write, top):
    write(".revision", "a commit\n")
    own.import_file(write("model.py"))

    assert names(needed(watched(), imports.roots).own, top) == {"model.py", ".revision"}


def test_files_that_were_read_or_are_named_are_own_and_a_listed_folder_of_data_is_whole(write, top):
    data, shown, words = write("data/x.npz"), [write(f"photos/{name}.png") for name in "ab"], write("words.txt")
    write("pretrained.weights.h5")  # which is opened in C
    write("code/layers.py")
    own.import_file(write("model.py", "WEIGHTS = 'pretrained.weights.h5'\n"))
    found = needed(watched([data, words], [top, top / "photos", top / "code"]), imports.roots)

    assert names(found.own, top) == {
        "model.py",
        "data/x.npz",
        "words.txt",
        "pretrained.weights.h5",
        *names(shown, top),
    }
    assert names(found.elsewhere, top) == set()


def test_where_imports_are_looked_for_is_no_folder_of_data(write, top):
    write("src/package/part.py")
    write("src/notes.txt")
    own.import_file(write("models/model.py", "from package import part\n"))

    assert "src/notes.txt" not in names(needed(watched([], [top / "src"]), imports.roots).own, top)


def test_what_is_hidden_is_never_own_and_is_told_if_it_was_read(write, top):
    secret, compiled = write(".env", "KEY=secret\n"), write("__pycache__/model.cpython-311.pyc")
    history, link = write(".git/HEAD"), write("deep/.ssh/key")
    own.import_file(write("model.py", "KEYS = '.env'\n"))
    found = needed(watched([secret, compiled, history, link]), imports.roots)

    assert names(found.own, top) == {"model.py"}
    assert names(found.elsewhere, top) == {".env", "deep/.ssh/key"}


def test_what_was_read_outside_of_the_users_folders_is_told_and_the_system_s_is_not(write, tmp_path):
    other, module = tmp_path / "elsewhere" / "x.npz", tmp_path / "elsewhere" / "installed_so.py"
    other.parent.mkdir()
    other.touch()
    module.write_text("")
    text = f"import importlib.util as of\nfound = of.spec_from_file_location('installed_so', {str(module)!r})\n"
    text += "import sys\nsys.modules['installed_so'] = of.module_from_spec(found)\n"  # as an editable install is found
    own.import_file(write("model.py", text))
    system = ["/etc/hostname", "/proc/cpuinfo", json.__file__, str(ROOT / "models" / "mlp.py")]
    found = needed(watched([other, *system, tmp_path / "gone"], [other.parent, ROOT, "/proc"]), imports.roots)

    assert names(found.elsewhere, tmp_path) == {"elsewhere", "elsewhere/x.npz", "elsewhere/installed_so.py"}


def test_without_a_file_of_the_users_nothing_is_needed():
    assert needed(watched(["/data/x.npz"]), []) == (set(), set())


def test_a_script_s_neighbours_and_what_it_reads_beside_it_are_its_own(write, top):
    write("train/neighbour.py", "CLASSES = 2\n")
    text = "import neighbour\nprint(open('numbers.txt').read())\n"
    path = write("train/train.py", text)
    write("train/numbers.txt", "1\n")
    write("src/not_on_a_script_s_path.py")
    watch = Watch()
    Script(path, own_digest(path)).run()
    found = needed(watch, imports.roots)

    assert names(found.own, top) == {"train/train.py", "train/neighbour.py", "train/numbers.txt"}


def own_digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_of_a_notebook_the_text_of_its_cells_counts(write, top):
    write("neighbour.py")
    path = write("train.ipynb", "{}")
    source = "if False:\n    import neighbour\n"
    Script(path, own_digest(path), source=source).run()

    assert names(needed(watched(), imports.roots).own, top) == {"train.ipynb", "neighbour.py"}


def test_a_watch_sees_what_is_read_and_listed_and_not_what_is_written(write, top, monkeypatch):
    text, written = write("read.txt"), top / "written.txt"
    (top / "photos").mkdir()
    monkeypatch.chdir(top)
    watch = Watch()
    Path("read.txt").read_bytes()
    written.write_text("")
    list(Path("photos").iterdir())
    list(os.scandir(b"."))
    os.close(os.open(text, os.O_RDONLY))

    assert names(watch.read, top) == {"read.txt"}
    assert names(watch.listed, top) == {".", "photos"}


def test_the_prepare_program_says_what_a_model_s_file_needs(write, backend_name, tmp_path):
    write("our_layers/block.py", BLOCK)
    model = write("model.py", MODEL)
    text = "from models import Workload, own\nimport keras\n"
    text += f"model = own.built_by({model!r}, 'build', sha256={own_digest(model)!r})\n"
    text += "workload = Workload(build=model.build, dataset='fashion_mnist', batch_size=32, epochs=2, "
    text += "compilation=model.compilation, quick_samples=1600)\n"
    workload = tmp_path / "workloads" / "model.py"
    workload.parent.mkdir()
    workload.write_text(text)
    command = [sys.executable, "-m", "bench.worker.programs.prepare", "--backend", backend_name, "--seeds", "0"]
    command += ["--memory-mib", "1e9", "--output", str(tmp_path / "answer"), "--workloads", str(workload), "mlp"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    answer = json.loads((tmp_path / "answer").read_text())

    assert names(answer["own"], tmp_path) == {"workloads/model.py", "top/model.py", "top/our_layers/block.py"}, done
    assert answer["elsewhere"] == []
