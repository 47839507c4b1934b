"""Revisions of a user's own git repository: the files of each, in a folder of its own.

Standard library only: the noxfile checks options with it.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bench.contract.errors import UsageError
from bench.contract.paths import ROOT

FOLDER = ROOT / ".nox" / "revisions"  # by commit: made once, like an environment, and again where it is missing
SOURCES = "src"  # the folder in which many repositories have their packages
MARK = ".revision"  # tells a worker that imports a file that its packages go before those of the environment


def repository_of(path: Path) -> Path:
    """The repository that a file or folder lies in; UsageError where there is none."""
    folder = path if path.is_dir() else path.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top:
        return Path(top)
    if _git(folder, "rev-parse", "--is-bare-repository") != "true":
        raise UsageError(f"{path}: lies in no git repository; name a file or folder of one")
    return folder.resolve()


def commit_of(repository: Path, revision: str) -> str:
    """The commit that a revision names now; UsageError where it names none."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise UsageError(f"{revision!r}: {repository} has no such revision; expected a branch, a tag or a commit")
    return found


def changed(repository: Path) -> list[str]:
    """The files that were changed since HEAD and are not committed; a bare repository has none."""
    said = _git(repository, "status", "--porcelain", "--untracked-files=no")
    return [line[3:] for line in (said or "").splitlines()]


def files_of(repository: Path, commit: str) -> Path:
    """The folder with the files of a commit, as git exports them, and the file MARK; submodules are left out."""
    folder = FOLDER / commit
    if folder.is_dir():
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        archive, made = Path(name, "archive.tar"), Path(name, "files")
        if _git(repository, "archive", "--format=tar", f"--output={archive}", commit) is None:
            raise UsageError(f"{repository}: git cannot export {commit[:12]}")
        with tarfile.open(archive) as files:
            files.extractall(made, filter="data")
        (made / MARK).write_text(f"{commit}\n", encoding="utf-8")
        shutil.move(made, folder)
    return folder


def import_path(folder: Path) -> list[Path]:
    """Where Python finds the packages of a repository's files."""
    return [folder, *filter(Path.is_dir, [folder / SOURCES])]


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails. UsageError where git is not there."""
    if _program() is None:
        raise UsageError("git is not installed here, and --vary git: needs it")
    command = [str(_program()), "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


@functools.cache
def _program() -> str | None:
    return shutil.which("git")
