"""What is read from files becomes types that check it; who has the standard library alone still imports the rest."""

import json
import subprocess
import sys

import msgspec
import pytest
from msgspec.inspect import Field

from bench.contract import run_json
from bench.contract.launch_record import Called, Generated, Trained
from bench.contract.paths import ROOT
from bench.contract.run_json import RunDescription, Target
from bench.contract.tuning_rows import Begun, TuningRow, read_line
from bench.contract.typed import MalformedError, Number, Took, parse

TYPED = (
    "bisection",
    "launch_record",
    "machines",
    "run_json",
    "tuning_rows",
    "typed",
)  # what needs msgspec; the rest is for workers and the noxfile too
SHARED = sorted({path.stem for path in (ROOT / "bench" / "contract").glob("*.py")} - {*TYPED, "__init__"})
BARE = """
import importlib, sys
sys.path.insert(0, {root!r})
for name in {names!r}:
    importlib.import_module(f"bench.contract.{{name}}")
"""


@pytest.fixture
def content(recorded_run):
    return json.loads((recorded_run / "run.json").read_text())


def bare(*names):
    """What importing modules of the contract comes to in an interpreter that has the standard library alone."""
    command = [sys.executable, "-I", "-S", "-c", BARE.format(root=str(ROOT), names=names)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_what_workers_and_the_noxfile_share_needs_no_library():
    done = bare(*SHARED)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TYPED)
def test_the_bare_interpreter_would_notice(name):
    assert "No module named 'msgspec'" in bare(name).stderr


def test_a_run_written_anew_says_what_it_said(content):
    again = run_json.read(content).to_json()

    for workload in again["workloads"]:  # an earlier version knew less of them
        recorded = next(one for one in content["workloads"] if one["workload"] == workload["workload"])
        workload["target"] = {name: workload["target"][name] for name in recorded["target"]}
        for name in workload.keys() - recorded.keys():
            del workload[name]
    assert again == content


def test_the_fields_of_the_machine_keep_their_order(content):
    assert list(run_json.read(content).machine.to_json()) == list(content["machine"])


def test_the_machines_of_a_run_are_known_by_name_and_a_local_run_has_none(content):
    local, away = run_json.read(content), run_json.read({**content, "nodes": {"n1": content["machine"]}})

    assert "nodes" not in local.to_json()
    assert away.nodes == {"n1": local.machine}
    assert away.to_json()["nodes"] == {"n1": content["machine"]}


def test_a_machine_that_is_none_is_refused_in_one_line(content):
    with pytest.raises(MalformedError, match=r"^nodes cannot be .*, expected text$"):
        run_json.read({**content, "nodes": {"n1": {**content["machine"], "cpu": 7}}})


def test_a_description_is_changed_by_making_another(content):
    description = run_json.read(content)
    changed = msgspec.structs.replace(description, state="interrupted")

    assert (description.state, changed.state) == ("finished", "interrupted")
    with pytest.raises(AttributeError):
        description.state = "interrupted"


@pytest.mark.parametrize(
    ("value", "kind", "fault"),
    [
        ("1", Number, "it cannot be '1', expected number"),
        (True, Number, "it cannot be True, expected number"),
        (float("nan"), Number, "it cannot be nan, expected a finite number"),
        (2**53 + 1, Number, "it cannot be 9007199254740993, expected whole number <= 9007199254740992"),
        (0, Took, "it cannot be 0, expected whole number >= 1"),
        (None, Target, "it cannot be None, expected object"),
        ({"metric": 1}, Target, "metric cannot be 1, expected text"),
        ({}, Target, "metric is missing"),
        ({"metric": "a", "value": 1, "source": "", "margin": -1}, Target, "margin cannot be -1, expected a number"),
    ],
)
def test_a_fault_says_where_what_and_what_was_expected(value, kind, fault):
    with pytest.raises(MalformedError) as caught:
        parse(kind, value)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize("line", ['{"knobs": {"a"', "[]", '{"begun": 3}', '{"knobs": {}, "status": "ok"}'])
def test_a_line_of_a_search_that_is_none_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        read_line(line)


def unions(node):
    """The unions within what msgspec knows of a type."""
    if isinstance(node, msgspec.inspect.UnionType):
        yield node
    parts = [getattr(node, name, ()) for name in ("types", "item_types", "fields")]
    parts += [[getattr(node, name)] for name in ("item_type", "key_type", "value_type", "type") if hasattr(node, name)]
    for part in (one for several in parts for one in several if isinstance(one, msgspec.inspect.Type | Field)):
        yield from unions(part)


@pytest.mark.parametrize(
    "kind", [RunDescription, Trained, Called, Generated, TuningRow, Begun], ids=lambda kind: kind.__name__
)
def test_no_text_with_a_pattern_stands_in_a_union_with_a_list(kind):
    """Msgspec 0.22 would free the pattern twice, which ends the process."""
    for union in unions(msgspec.inspect.type_info(kind)):
        patterned = any(getattr(one, "pattern", None) for one in union.types)
        lists = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)
        assert not (patterned and any(isinstance(one, lists) for one in union.types)), union


def test_a_whole_number_stays_one():
    assert repr(parse(Number, 3)) == "3"
