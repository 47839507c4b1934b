"""Revisions of a git repository: found, exported, refused in a line."""

import pytest
from support.repositories import git

from bench.contract.errors import UsageError
from bench.own_models import revisions


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of two commits; `model.py` says which, and a package lies in `src`."""
    monkeypatch.setattr(revisions, "FOLDER", tmp_path / "revisions")
    folder = tmp_path / "own"
    (folder / "src").mkdir(parents=True)
    git(folder, "init")
    for number in (1, 2):
        (folder / "model.py").write_text(f"NUMBER = {number}\n")
        (folder / "src" / "used.py").write_text("")
        git(folder, "add", ".")
        git(folder, "commit", "-m", str(number))
    git(folder, "tag", "first", "HEAD~1")
    return folder


def test_each_commit_has_a_folder_with_its_files(repository):
    commits = [revisions.commit_of(repository, name) for name in ("first", "HEAD")]
    folders = [revisions.files_of(repository, commit) for commit in commits]

    assert [(one / "model.py").read_text() for one in folders] == ["NUMBER = 1\n", "NUMBER = 2\n"]
    assert revisions.files_of(repository, commits[0]) == folders[0]
    assert revisions.import_path(folders[0]) == [folders[0], folders[0] / "src"]


def test_a_repository_is_found_from_a_file_or_a_folder_in_it(repository):
    assert revisions.repository_of(repository / "model.py") == repository
    assert revisions.repository_of(repository / "src") == repository


def test_a_bare_repository_will_do(repository, tmp_path):
    git(tmp_path, "clone", "--bare", str(repository), "bare")

    assert revisions.repository_of(tmp_path / "bare") == tmp_path / "bare"
    assert revisions.commit_of(tmp_path / "bare", "first") == revisions.commit_of(repository, "first")
    assert revisions.changed(tmp_path / "bare") == []


def test_only_changes_of_files_that_git_knows_count(repository):
    (repository / "notes.txt").write_text("mine")
    assert revisions.changed(repository) == []

    (repository / "model.py").write_text("NUMBER = 3\n")
    assert revisions.changed(repository) == ["model.py"]


@pytest.mark.parametrize("name", ["elsewhere", "-n", "main:model.py"])
def test_a_revision_that_is_none_is_refused(repository, name):
    with pytest.raises(UsageError, match="has no such revision"):
        revisions.commit_of(repository, name)


def test_what_lies_in_no_repository_is_refused(tmp_path):
    with pytest.raises(UsageError, match="lies in no git repository"):
        revisions.repository_of(tmp_path / "model.py")


def test_without_git_there_is_one_line(repository, monkeypatch):
    monkeypatch.setattr(revisions, "_program", lambda: None)
    with pytest.raises(UsageError, match="git is not installed here"):
        revisions.commit_of(repository, "HEAD")
