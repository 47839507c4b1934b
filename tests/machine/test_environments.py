"""Environments of the backends: where they lie and when they are complete, with packages besides their own too."""

from pathlib import Path

import pytest

from bench.contract.errors import UsageError
from bench.machine import environments
from bench.plan.parse import parse_run
from bench.run import devices


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Build an environment, as nox does: an interpreter, and the stamp last."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)

    def build(name, packages=()):
        python = environments.environment_python(name, packages)
        python.parent.mkdir(parents=True)
        python.touch()
        (environments.folder(name, packages) / environments.STAMP).write_text(environments.stamp(name, packages))
        return python

    return build


def test_packages_besides_make_an_environment_of_their_own(built):
    usual, more = built("torch"), built("torch", ("keras-hub",))

    assert environments.interpreter("torch", {}) == usual
    assert environments.interpreter("torch", {}, ("keras-hub",)) == more
    assert environments.interpreter("torch", {}, ("keras-hub==1",)) is None
    assert "torch==2.13.0" in environments.requirements("torch", ("keras-hub",))
    assert "nox -s bench -- --with keras-hub==1" in environments.missing_reason("torch", ("keras-hub==1",))


def test_an_environment_without_its_stamp_is_none(built):
    (built("jax").parent.parent / environments.STAMP).unlink()

    assert environments.interpreter("jax", {}) is None


def test_packages_are_an_option_of_every_run():
    given = parse_run(["--with", "keras-hub,tensorflow==2.21.0,keras-hub[nlp]>=0.2"])

    assert given.packages == ("keras-hub", "tensorflow==2.21.0", "keras-hub[nlp]>=0.2")


@pytest.mark.parametrize("word", ["./wheel.whl", "--index-url=x", "a b", "https://x/y", "a; import os"])
def test_what_is_no_package_is_refused(word):
    with pytest.raises(UsageError, match="expected a package's name, such as keras-hub"):
        parse_run([f"--with={word}"])


def test_another_build_of_a_backends_own_framework_is_left_out():
    packages = ("tensorflow-cpu==2.21.0", "keras-hub")

    assert not any("tensorflow-cpu" in one for one in environments.requirements("tensorflow", packages))
    assert "tensorflow-cpu==2.21.0" in environments.requirements("torch", packages)
    assert "keras-hub" in environments.requirements("tensorflow", packages)


def test_another_version_of_a_backends_own_framework_is_left_to_pip():
    assert "torch==2.12.0" in environments.requirements("torch", ("torch==2.12.0",))


def test_environments_are_asked_for_the_frameworks_of_the_inputs_alone(monkeypatch):
    asked = []

    def lacking(python, backend):
        asked.append((str(python), backend))
        return [] if str(python) == "has-both" else [backend]

    monkeypatch.setattr(environments, "lacking", lacking)
    pythons = {"jax": Path("has-one"), "torch": Path("has-both"), "tensorflow": Path("own"), "openvino": None}

    assert devices.frameworks(pythons, ("arrays", "tf.data", "resident")) == {
        "jax": set(),
        "torch": {"tensorflow"},
        "tensorflow": set(),
    }
    assert asked == [("has-one", "tensorflow"), ("has-both", "tensorflow")]
