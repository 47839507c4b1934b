"""The house keeps its laws: few rooms, few floors, no circle, and everything where its name says."""

import ast
import subprocess
import sys

import pytest
from support import graphs, rooms

from bench.contract.paths import ROOT

HOUSE = rooms.read(ROOT)
GRAPH = rooms.rooms(HOUSE)
COMMAND = "python tests/support/rooms.py --write"

# Programs that run in the parent's environment or in nox's, so not in `bench/worker/programs/`.
OWN_PROGRAMS = {
    "bench.analysis.parity": "compares ladders with NumPy, which the interpreter that climbs them need not have",
    "bench.machine.building": "builds the environment of the program that launches, on a node that has none",
    "bench.places.agent": "launches on a node, in the parent's environment there",
    "bench.places.on_gpu": "launches on one GPU of a node, beside others",
    "bench.machine.nvidia": "asks NVIDIA's driver, through a package that nox's own interpreter need not have",
}
# One name for a feature in every world: the word that is used, and those that were.
NAMES = {
    "predict": {"inference", "call", "calls"},
    "tuning": {"tune", "tuner", "knob", "knobs", "search"},
    "parity": {"ladder", "ladders", "climb", "rungs"},
    "profile": {"trace", "traces", "tracing", "profiler"},
}
WORLDS = ("plan", "run", "worker/programs", "analysis", "report/parts")
ALLOWED_NAMES = {"bench.run.ladders": "parity is the command; ladders are what it and a timed run both climb"}


def named(source):
    """The modules that a source names in a text of its own, as one does to start a program."""
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and text in HOUSE.modules and "." in text}


@pytest.mark.parametrize("room", ["contract", "models"])
def test_the_ground_floor_imports_nothing_of_bench(room):
    assert GRAPH[room] == set()


def test_nobody_imports_the_worker():
    assert [name for name in GRAPH if "worker" in GRAPH[name]] == []


def test_every_import_between_rooms_is_one_that_the_law_allows():
    assert rooms.broken(GRAPH) == []


def test_the_law_covers_every_room_without_a_circle():
    assert set(GRAPH) == set(rooms.ALLOWED)
    assert graphs.circles(rooms.ALLOWED) == []


def test_the_house_has_at_most_sixteen_rooms_on_seven_floors():
    assert len(GRAPH) <= 16
    assert max(graphs.floors(GRAPH).values()) <= 7


def test_rooms_lie_on_no_circle_and_no_arrow_points_up():
    assert graphs.circles(GRAPH) == []
    assert graphs.arrows_up(GRAPH) == 0


def test_no_modules_load_each_other_in_a_circle():
    assert graphs.circles(rooms.loaded(HOUSE)) == []


def test_a_program_that_the_parent_starts_lies_in_worker_programs():
    parents = [path for name, path in HOUSE.modules.items() if rooms.room(name) not in ("worker", "models")]
    started = {name for path in parents for name in named(path.read_text())}

    assert {name for name in started if not name.startswith("bench.worker.programs.")} <= set(OWN_PROGRAMS)


@pytest.mark.parametrize("feature", NAMES)
def test_a_feature_bears_one_name_in_every_world(feature):
    stems = {name: set(name.rpartition(".")[2].split("_")) for name in HOUSE.modules if name not in ALLOWED_NAMES}
    strayed = [name for name, words in stems.items() if words & NAMES[feature]]

    assert [name for name in strayed if rooms.inner_room(name, HOUSE.modules).startswith(WORLDS)] == []


def test_every_folder_of_python_says_what_it_is_for():
    folders = {path.parent for path in HOUSE.modules.values()} - {ROOT}
    silent = [folder for folder in folders if not (folder / "__init__.py").exists()]
    packages = [folder / "__init__.py" for folder in folders if folder not in silent]

    assert silent + [path for path in packages if ast.get_docstring(ast.parse(path.read_text())) is None] == []


def test_the_page_on_architecture_is_what_the_command_writes():
    page = (ROOT / rooms.PAGE).read_text(encoding="utf-8")

    assert rooms.BEGIN in page
    assert page == rooms.rewritten(page, GRAPH), f"the rooms have changed: {COMMAND}"


def small_house(root, sources):
    """A checkout with these modules in its bench, by their paths."""
    for name, source in {"__init__": "", **sources}.items():
        path = root / "bench" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return rooms.read(root)


LAZY = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from bench.run import a
def late():
    import bench.run.b
"""


def test_imports_in_functions_and_for_types_count_but_do_not_load(tmp_path):
    house = small_house(tmp_path, {"run/a": "", "run/b": "from . import a", "plan/c": LAZY})

    assert rooms.rooms(house)["plan"] == {"run"}
    assert rooms.loaded(house)["bench.plan.c"] == set()
    assert rooms.loaded(house)["bench.run.b"] == {"bench.run.a"}


def test_a_circle_of_rooms_and_its_arrow_up_are_found(tmp_path):
    house = small_house(
        tmp_path, {"run/a": "import bench.plan.c", "plan/c": "import bench.run.a, bench.launch.d", "launch/d": ""}
    )

    assert graphs.circles(rooms.rooms(house)) == [["plan", "run"]]
    assert graphs.arrows_up(rooms.rooms(house)) == 1
    assert graphs.floors(rooms.rooms(house)) == {"bench": 1, "launch": 1, "plan": 2, "run": 2}
    assert rooms.broken(rooms.rooms(house)) == [("plan", "launch"), ("plan", "run")]


@pytest.mark.parametrize(
    ("graph", "up"),
    [
        ({"a": "b", "b": "ac", "c": "a"}, 1),
        ({"a": "bc", "b": "a", "c": "a"}, 2),
        ({"a": "b", "b": "c", "c": ""}, 0),
        ({"a": "bcd", "b": "c", "c": "d", "d": "a"}, 1),
    ],
)
def test_the_fewest_arrows_that_open_every_circle_point_up(graph, up):
    assert graphs.arrows_up(graph) == up


def test_a_loose_file_of_bench_is_a_room(tmp_path):
    house = small_house(tmp_path, {"__main__": "import bench.options", "options": ""})

    assert rooms.rooms(house) == {"bench": {"options"}, "options": set()}


def test_a_name_made_at_run_time_counts_by_its_folder(tmp_path):
    main = 'from importlib import import_module\nimport_module(f"bench.commands.{name}")'
    house = small_house(tmp_path, {"__main__": main, "commands/__init__": ""})

    assert rooms.rooms(house)["bench"] == {"commands"}


def test_the_drawing_leaves_out_arrows_that_follow_from_others():
    graph = {"run": {"plan", "contract"}, "plan": {"contract"}, "contract": set()}

    assert graphs.without_shortcuts(graph) == {"run": ["plan"], "plan": ["contract"], "contract": []}


def test_the_command_prints_figures_and_refuses_other_folders(tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "tests" / "support" / "rooms.py"), "--root"]
    here, nowhere = (
        subprocess.run([*command, str(root)], capture_output=True, text=True, check=False) for root in (ROOT, tmp_path)
    )

    assert here.returncode == 0
    assert f"| rooms | {len(GRAPH)} |" in here.stdout
    assert nowhere.returncode == 2
    assert nowhere.stderr.splitlines()[-1].endswith("no checkout, it has no bench/__init__.py")
