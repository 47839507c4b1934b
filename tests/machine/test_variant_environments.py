"""Environments with other versions: overlays, whole ones, and what is said where there is none."""

import json
import os
import subprocess
import sys

import pytest

from bench.contract.paths import ROOT
from bench.machine import environments, variants


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Build an environment as nox does: an interpreter, and the stamp last."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)

    def build(folder, stamp):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()
        (folder / environments.STAMP).write_text(stamp)

    return build


KERAS, JAX = ("keras==3.14.1",), ("jax==0.10.1",)


def test_another_keras_lies_on_top_of_the_backends_own_environment(built):
    built(variants.folder("torch", (), KERAS), variants.stamp("torch", (), KERAS))

    assert variants.is_overlay(KERAS)
    assert variants.requirements("torch", (), KERAS) == ["keras==3.14.1"]
    assert not variants.complete("torch", (), KERAS)  # for there is nothing below it

    built(environments.folder("torch"), environments.stamp("torch"))
    assert variants.complete("torch", (), KERAS)


def test_another_framework_makes_a_whole_environment(built):
    wanted = variants.requirements("jax", (), JAX)
    built(variants.folder("jax", (), JAX), variants.stamp("jax", (), JAX))

    assert not variants.is_overlay(JAX)
    assert "jax==0.10.1" in wanted
    assert len(wanted) == len(environments.requirements("jax"))
    assert variants.complete("jax", (), JAX)


def test_extras_of_a_requirement_are_kept(monkeypatch):
    monkeypatch.setattr(environments, "requirements", lambda *_: ["keras==3.15.1", "jax[cuda12]==0.10.2"])

    assert variants.requirements("jax", (), JAX) == ["keras==3.15.1", "jax[cuda12]==0.10.1"]


def test_other_versions_and_other_packages_lie_in_other_folders():
    folders = [variants.folder("jax", *given) for given in (((), JAX), ((), KERAS), (("a",), JAX))]

    assert len({*folders, environments.folder("jax")}) == 4


@pytest.mark.usefixtures("built")
def test_what_pip_said_is_the_reason_where_it_was_tried():
    before = variants.missing_reason("jax", (), JAX)
    folder = variants.folder("jax", (), JAX)
    folder.mkdir()
    (folder / variants.FAILED).write_text("No matching distribution found for jax==0.10.1")

    assert before.startswith("no environment with jax==0.10.1 for jax; nox -s bench")
    assert variants.missing_reason("jax", (), JAX) == (
        "jax==0.10.1 cannot be installed for jax: No matching distribution found for jax==0.10.1"
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ERROR: Could not find\nERROR: No matching distribution\n[notice] new pip\n", "No matching distribution"),
        ("killed\n\n", "killed"),
        ("", "pip said nothing"),
    ],
)
def test_the_reason_is_the_line_in_which_pip_gives_it(said, reason):
    assert variants.reason_of(said) == reason


def test_of_a_package_that_is_there_twice_the_version_above_counts(tmp_path):
    for place, version in (("above", "3.14.1"), ("below", "3.15.1")):
        folder = tmp_path / place / f"thing_of_ours-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing-of-ours\nVersion: {version}\n")
    command = [sys.executable, "-m", "bench.worker.programs.installed"]
    path = os.pathsep.join(str(tmp_path / place) for place in ("above", "below"))
    done = subprocess.run(command, env={"PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["thing-of-ours"] == "3.14.1"


def test_an_overlay_whose_environment_below_has_moved_is_built_anew(built, monkeypatch, tmp_path):
    built(environments.folder("torch"), environments.stamp("torch"))
    built(variants.folder("torch", (), KERAS), variants.stamp("torch", (), KERAS))
    assert variants.complete("torch", (), KERAS)

    (tmp_path / "elsewhere").symlink_to(tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "elsewhere")
    assert not variants.complete("torch", (), KERAS)
