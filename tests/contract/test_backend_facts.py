"""The plain facts about a backend: read whole, or refused in one line that names file and key."""

import pytest

from bench.contract import backend_facts
from bench.contract.backend_facts import InputFacts
from bench.contract.errors import UsageError

WHOLE = """
colour = "#0072b2"
symbol = "circle"
packages = ["new", "newlib"]
no_memory = ['no room for \\d+ bytes']
foreign_settings = ["NEW_PRECISION"]
recorded_settings = []
"""
INPUT = """
[inputs."new.data"]
call = "new.data(x, y, {batch})"
before = ""
"""
CAUSE = """
[[causes]]
device = "cpu"
layers = "Pool.*"
phase = "backward"
share = 0.2
what = "pooling"
cure = "none"
source = "docs/here.md"
"""


@pytest.fixture
def read(tmp_path):
    """The facts of a backend whose file has this text."""
    folder = tmp_path / "new"
    folder.mkdir()

    def from_text(text, *modules):
        (folder / "backend.toml").write_text(text)
        for name in modules:
            (folder / name).touch()
        return backend_facts.read(folder)

    return from_text


def test_facts_are_read_with_what_goes_without_saying(read):
    facts = read(WHOLE)

    assert (facts.name, facts.trains, facts.packages) == ("new", False, ("new", "newlib"))
    assert (facts.no_memory, facts.recorded_settings) == ((r"no room for \d+ bytes",), ())
    assert (facts.inputs, facts.other_devices) == ({}, {})


def test_a_backend_with_a_training_loop_trains(read):
    assert read(WHOLE, "loop.py").trains


def test_an_input_is_read_as_code_to_paste(read):
    assert read(WHOLE + INPUT).inputs == {"new.data": InputFacts("new.data(x, y, {batch})", "")}


def test_a_cause_is_of_any_operation_unless_it_names_some(read):
    (cause,) = read(WHOLE + CAUSE).causes

    assert (cause.layers, cause.share, cause.operations) == ("Pool.*", 0.2, ".*")


@pytest.mark.parametrize("key", [line.partition(" ")[0] for line in WHOLE.split("\n") if line])
def test_a_missing_key_is_named_with_its_file(read, key):
    text = "\n".join(line for line in WHOLE.split("\n") if not line.startswith(key))
    with pytest.raises(UsageError, match=rf"^.*/new/backend\.toml: {key} is missing, expected "):
        read(text)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('colour = "blue"', "colour"),
        ("symbol = 5", "symbol"),
        ("packages = []", "packages"),
        ('packages = "new"', "packages"),
        ("no_memory = ['(']", "no_memory"),
        ("no_memory = ['']", "no_memory"),
        ('foreign_settings = ["lower"]', "foreign_settings"),
        ("recorded_settings = [1]", "recorded_settings"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_expected(read, line, key):
    text = "\n".join(line if one.startswith(key) else one for one in WHOLE.split("\n"))
    with pytest.raises(UsageError, match=rf"backend\.toml: {key} = .*, expected \w+"):
        read(text)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("colours = 1", "colours is no key of it, known: colour, "),
        ('[inputs.new]\ncall = ""', "inputs = .*, expected a table of inputs"),
        ("[other_devices]\nTPU = 1", "other_devices = .*, expected a table of accelerators"),
        ('[[causes]]\ndevice = "cpu"', "causes = .*, expected a list of tables, each with the fields of Cause"),
        (CAUSE.replace("0.2", "2.0"), "causes = .*share between 0 and 1"),
        (CAUSE.replace("Pool.*", "("), "causes = .*, expected a list of tables"),
        ("colour", "not TOML: "),
    ],
)
def test_what_is_no_fact_is_refused_in_one_line(read, more, words):
    with pytest.raises(UsageError, match=words) as refused:
        read(WHOLE + more)

    assert len(str(refused.value).splitlines()) == 1


def test_a_backend_without_the_file_is_told_that_it_needs_one(tmp_path):
    with pytest.raises(UsageError, match=r"backend\.toml: No such file or directory; every backend has one"):
        backend_facts.read(tmp_path)
