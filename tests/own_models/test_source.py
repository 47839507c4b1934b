"""A live function becomes the text of a file that gives the same function."""

import math
import statistics
from math import sqrt

import pytest

from bench.contract.errors import UsageError
from bench.own_models.source import source_of

UNITS, SHAPE = 3, (4, 5)
UNWRITABLE = object()


class Scaled:
    """Used by a function below, and uses a value itself."""

    def size(self):
        return UNITS * SHAPE[0]


class Larger(Scaled):
    def size(self):
        return super().size() + 1


def helper(x):
    return sqrt(x) + math.floor(x)


def build(more=2):
    return [helper(UNITS), Larger().size(), statistics.mean([more])]


def calls_itself(n=3):
    return n and calls_itself(n - 1)


def uses_what_no_text_gives_back():
    return UNWRITABLE


def made(text, name):
    space = {}
    exec(compile(text, "written", "exec"), space)  # noqa: S102 - what the file would do
    return space[name]


@pytest.fixture(autouse=True)
def as_in_a_cell(monkeypatch):
    """What is defined here counts as defined in a notebook, whose module nobody can import."""
    for one in (Scaled, Larger, helper, build, calls_itself, uses_what_no_text_gives_back):
        monkeypatch.setattr(one, "__module__", "__main__")


def test_what_a_function_names_comes_along_before_it():
    text = source_of(build)

    assert made(text, "build")() == build()
    assert text.index("UNITS = 3") < text.index("class Scaled")
    assert text.index("class Scaled") < text.index("class Larger")
    assert "\nimport math\n" in text
    assert text.index("def helper") < text.index("def build")
    assert "UNWRITABLE" not in text


def test_a_function_that_calls_itself_is_written_once():
    assert source_of(calls_itself).count("def calls_itself") == 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (uses_what_no_text_gives_back, "build: uses UNWRITABLE, a object, which cannot be written to a file"),
        (lambda: None, "expected a function with a name"),
        (42, "expected a function with a name, not 42"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(function, words):
    with pytest.raises(UsageError) as caught:
        source_of(function)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_closure_is_refused_with_its_variables():
    units = 3

    def inner():
        return units

    inner.__module__ = "__main__"
    with pytest.raises(UsageError, match="inner is closed over units"):
        source_of(inner)
