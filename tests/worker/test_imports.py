"""What a user's file may import: its neighbours, what its repository has, and never those of another file."""

import sys

import pytest

from bench.own_models import revisions
from models import own
from models.own import imports


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """The path and the modules as they were, afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(imports, "_places", [])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """Write a file; gives its path."""

    def make(name, text=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return make


def test_each_of_two_files_imports_its_own_neighbour_of_one_name(write):
    paths = []
    for side in ("old", "new"):
        write(f"{side}/our_layers/parts.py", f"SIDE = '{side}'\n")
        write(f"{side}/our_sizes.py", f"SIDE = '{side}'\n")
        text = "import our_sizes\nfrom our_layers import parts\nSIDES = our_sizes.SIDE, parts.SIDE\n"
        paths.append(write(f"{side}/model.py", text))

    assert [own.import_file(path).SIDES for path in (*paths, *paths)] == [("old", "old"), ("new", "new")] * 2


def test_what_a_function_imports_when_it_is_called_is_that_of_the_file_that_was_imported_last(write):
    paths = []
    for side in ("old", "new"):
        write(f"{side}/our_sizes.py", f"SIDE = '{side}'\n")
        paths.append(write(f"{side}/model.py", "def side():\n    import our_sizes\n    return our_sizes.SIDE\n"))

    assert [own.import_file(path).side() for path in paths] == ["old", "new"]


def test_a_file_imports_what_lies_at_the_top_of_its_repository_and_in_its_sources(write, tmp_path):
    (tmp_path / ".git").mkdir()
    write("at_top.py", "VALUE = 1\n")
    write("src/in_sources.py", "VALUE = 2\n")
    path = write("models/deep/model.py", "import at_top, in_sources\nVALUES = at_top.VALUE, in_sources.VALUE\n")

    assert own.import_file(path).VALUES == (1, 2)


def test_packages_of_a_revision_go_before_those_of_the_environment(write, tmp_path):
    write("environment/our_package.py", "PLACE = 'environment'\n")
    sys.path.append(str(tmp_path / "environment"))
    write("clone/our_package.py", "PLACE = 'clone'\n")
    path = write("clone/model.py", "import our_package\nPLACE = our_package.PLACE\n")
    first = own.import_file(path).PLACE
    del sys.modules["our_package"]
    write("clone/.revision", "a commit\n")

    assert (first, own.import_file(path).PLACE) == ("environment", "clone")


def test_a_module_that_no_other_file_has_stays_imported(write):
    write("one/only_here.py", "VALUES = []\n")
    first = own.import_file(write("one/model.py", "import only_here\n")).only_here
    own.import_file(write("two/model.py", ""))

    assert own.import_file(write("one/model.py", "import only_here\n")).only_here is first


def test_what_exports_a_revision_and_what_imports_its_files_mean_the_same_names():
    assert (revisions.MARK, revisions.SOURCES) == (imports.REVISION, imports.SOURCES)
