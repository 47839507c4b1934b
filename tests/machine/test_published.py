"""Which versions are published, as pip lists them, and the building of what a version needs."""

import sys
import zipfile
from pathlib import Path

import pytest

from bench.contract.errors import UsageError
from bench.machine import building, environments, published, variants

PYTHON = Path(sys.executable)


def wheel(folder, version, name="madeup", needs="", module=""):
    """A wheel of a package with a single module, which may need another one."""
    about = f"{name}-{version}.dist-info"
    needed = f"Requires-Dist: {needs}>=0.dev0\n" if needs else ""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module or name}.py", f"__version__ = '{version}'\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", f"{module or name}.py,,\n{about}/METADATA,,\n{about}/RECORD,,\n")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that pip looks into, and nowhere else."""
    folder = tmp_path / "wheels"
    for version in ("1.9", "1.10", "1.11.dev3", "1.2"):
        wheel(folder, version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.usefixtures("index")
def test_versions_come_oldest_first_and_early_ones_where_they_are_asked_for():
    assert published.versions(PYTHON, "madeup", early=False) == ["1.2", "1.9", "1.10"]
    assert published.versions(PYTHON, "madeup", early=True) == ["1.2", "1.9", "1.10", "1.11.dev3"]


@pytest.mark.usefixtures("index")
def test_a_package_that_nobody_publishes_is_refused_in_a_line():
    with pytest.raises(UsageError, match="--package nowhere: pip finds no versions of it") as error:
        published.versions(PYTHON, "nowhere", early=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("version", "early"),
    [("3.15.1", False), ("2.15.0.post1", False), ("2.13.0+cpu", False), ("3.16.0.dev1", True), ("2.22.0rc0", True)],
)
def test_early_versions_are_told_by_their_letters(version, early):
    assert published.is_early(version) is early


@pytest.fixture
def below(tmp_path, monkeypatch):
    """A backend's own environment, which overlays lie on."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / ".nox")
    folder = environments.folder("torch")
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / "python3" / "site-packages").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / environments.STAMP).write_text(environments.stamp("torch"))
    return folder


@pytest.mark.usefixtures("index")
def test_an_overlay_holds_the_version_and_finds_what_lies_below(below):
    pins = ("madeup==1.9",)
    assert building.build_variant("torch", (), pins) is None
    folder = variants.folder("torch", (), pins)

    assert variants.complete("torch", (), pins)
    (path,) = folder.glob("lib/python*/site-packages/below.pth")
    assert path.read_text().strip() == str(environments.site_packages(below))
    assert list(folder.glob("lib/python*/site-packages/madeup-1.9.dist-info"))


@pytest.mark.usefixtures("index", "below")
def test_what_is_complete_is_not_built_again(monkeypatch):
    building.build_variant("torch", (), ("madeup==1.9",))
    monkeypatch.setattr(building, "_make", lambda *_: pytest.fail("built again"))

    assert building.build_variant("torch", (), ("madeup==1.9",)) is None


@pytest.mark.usefixtures("index", "below")
def test_a_version_that_is_nowhere_leaves_pip_s_reason():
    reason = building.build_variant("torch", (), ("madeup==7.7",))

    assert reason == "madeup==7.7 cannot be installed for torch: No matching distribution found for madeup==7.7"
    assert variants.missing_reason("torch", (), ("madeup==7.7",)) == reason
    assert not variants.complete("torch", (), ("madeup==7.7",))


@pytest.mark.usefixtures("index", "below")
def test_without_its_program_the_reason_says_so(monkeypatch):
    monkeypatch.setattr(building, "_make", lambda *_: "No module named virtualenv")

    reason = building.build_variant("torch", (), ("madeup==1.9",))
    assert reason == "madeup==1.9 cannot be installed for torch: No module named virtualenv"


def test_a_newer_python_is_one_that_answers_and_may_be_pyenv_s(tmp_path, monkeypatch):
    def program(path, status):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nexit {status}\n")
        path.chmod(0o755)
        return path

    program(tmp_path / "bin" / "python3.12", 127)  # pyenv's, for a version that is not chosen
    wanted = program(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3.12", 0)
    on_path = program(tmp_path / "bin" / "python3.13", 0)
    program(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", 0)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    assert list(building.newer_pythons()) == [wanted, on_path]


@pytest.mark.usefixtures("below")
def test_a_package_whose_files_are_those_of_a_wanted_one_goes_and_the_wanted_one_stays(index, monkeypatch):
    wheel(index, "3.0", "madeup_framework", needs="madeup-nightly")
    wheel(index, "4.0.dev1", "madeup_nightly", module="madeup")
    pins = ("madeup-framework==3.0",)
    monkeypatch.setattr(building, "STAND_INS", {"madeup": "madeup-nightly"})
    monkeypatch.setattr(variants, "is_overlay", lambda _: False)
    monkeypatch.setattr(variants, "requirements", lambda *_: ["madeup==1.9", *pins])

    assert building.build_variant("torch", (), pins) is None
    packages = environments.site_packages(variants.folder("torch", (), pins))
    assert (packages / "madeup.py").read_text() == "__version__ = '1.9'\n"
    assert not list(packages.glob("madeup_nightly-*"))
