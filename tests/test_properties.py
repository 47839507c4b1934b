"""Records and runs as anybody could have written them, drawn at random: none is misread, none does harm."""

import contextlib
import copy
import io
import itertools
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from rich.console import Console
from support.drawn import drawn

from bench import report
from bench.analysis import analyse, frames, history, two_runs
from bench.analysis.frames import CASES, GAUGES
from bench.contract import files as json_files
from bench.contract import launch_record, record, values
from bench.contract.case import CALLING, DEVICES, NUMERICS, RESIDENT, TASKS, TRACKS_OF, case_key, input_kinds
from bench.contract.files import RecordError
from bench.report.forms import files, html, terminal


@pytest.fixture(autouse=True, scope="module")
def short_page():
    """A page without Plotly, whose packing would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "LIBRARY", "")
        yield


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "run"


LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
PATHS = st.one_of(
    LINE.filter(bool), st.sampled_from(["mlp", "../../x.py", "/a/b c.keras", "..", "a|<b>*`.py", "العربية"])
)
WHOLE = st.one_of(st.integers(0, 9), st.integers(0, values.MOST_WHOLE), st.just(values.MOST_WHOLE))
NUMBERS = st.one_of(
    st.floats(-values.MOST_NUMBER, values.MOST_NUMBER),
    st.floats(-2, 2),
    st.integers(-values.MOST_WHOLE, values.MOST_WHOLE),
    st.sampled_from([0, 0.0, -0.0, 5e-324, values.MOST_NUMBER, -values.MOST_NUMBER, values.MOST_WHOLE]),
)
SECONDS = st.one_of(
    st.floats(0.5, 2),
    st.floats(values.LEAST_SECONDS, values.MOST_SECONDS),
    st.sampled_from([1, 1.0, values.LEAST_SECONDS, values.MOST_SECONDS]),
)
WAITED = st.one_of(st.just(0), st.floats(0, values.MOST_SECONDS))
SETTINGS = st.one_of(st.none(), st.booleans(), NUMBERS, LINE, st.lists(st.integers(0, 9), max_size=3))


def optional(**strategies):
    """Any of these fields, each absent, null or as drawn."""
    return st.fixed_dictionaries({}, optional={name: st.none() | one for name, one in strategies.items()})


def often(value, otherwise):
    """A value, and now and then something else."""
    return st.integers(0, 7).flatmap(lambda number: otherwise if number == 7 else st.just(value))


NOISE = optional(**{**dict.fromkeys(GAUGES, NUMBERS), "steal_fraction": st.floats(0, 1)})
EPOCH = st.builds(
    lambda seconds, rest, noise: {"seconds": seconds, **rest, **noise},
    SECONDS,
    optional(
        validation_seconds=WAITED,
        cpu_seconds=WAITED,
        loss=NUMBERS,
        metric=NUMBERS,
        validation_loss=NUMBERS,
        validation_metric=NUMBERS,
    ),
    NOISE,
)
DIGESTS = st.sampled_from(["a", "b"])


@st.composite
def cases(draw, workloads=PATHS):
    task = draw(st.sampled_from(TASKS))
    largest = values.MOST_WHOLE // (2 if task == "generate" else 1)  # of which two tokens are generated
    batch_size = draw(st.one_of(st.just(128), st.integers(1, 9), st.just(largest)))
    fewest = 2 if task == "generate" else 1
    return {
        "workload": draw(workloads),
        "dataset": draw(PATHS),
        "samples": min(values.MOST_WHOLE, batch_size * draw(st.integers(fewest, 5))),
        "epochs": draw(st.integers(2, 4)) if task == "train" else 1,
        "batch_size": batch_size,
        "input": draw(st.sampled_from(list(input_kinds()))),
        "backend": draw(st.sampled_from(["jax", "tensorflow", "torch", "openvino", "another_one"])),
        "device": draw(st.sampled_from(DEVICES)),
        "numerics": draw(st.sampled_from(NUMERICS)),
        "task": task,
        "track": draw(st.sampled_from(TRACKS_OF[task])),
        "variant": draw(often("", st.sampled_from(["keras=1", "workload=new"]))),
        "device_count": draw(often(1, st.sampled_from([2, 4]))),
    }


@st.composite
def launches(draw, case=None, repetition=None, seed=None, alike=None):
    """A valid `launch` object; `alike` is what it has in common with others."""
    case = draw(cases()) if case is None else case
    launch = {
        "schema": draw(st.sampled_from(record.READABLE)),
        "case": case,
        "repetition": draw(WHOLE) if repetition is None else repetition,
        "seed": draw(WHOLE) if seed is None else seed,
        "status": draw(often("ok", st.sampled_from(record.STATUSES))),
        "reason": draw(TEXT),
        **draw(optional(wall_seconds=WAITED, command=st.lists(LINE, max_size=3))),
        "attempt": draw(often(1, st.integers(1, 3))),
    }
    if launch["status"] != "ok":
        return launch | {"epochs": []}
    launch |= {
        "setup_seconds": draw(WAITED),
        "memory": draw(optional(peak_host_mib=NUMBERS, peak_device_mib=NUMBERS)),
        "phases": draw(optional(**dict.fromkeys(("import", "data", "build", "fit", "evaluate", "process"), WAITED))),
        "versions": draw(st.dictionaries(LINE, LINE, max_size=2)),
        "resolved": {
            **draw(st.dictionaries(LINE, SETTINGS, max_size=2)),
            "device": case["device"],
            "flags": draw(st.dictionaries(LINE, SETTINGS, max_size=2)),
        },
        **draw(optional(parameters=WHOLE, samples_per_epoch=WHOLE, weights_digest=DIGESTS, batches_digest=DIGESTS)),
        **(alike or {}),
    }
    if case["task"] in CALLING:
        calls, more = case["samples"] // case["batch_size"], {}
        if case["task"] == "generate":  # in one generation
            more = {"prompt_tokens": 1, "tokens": calls, "first_token_seconds": [draw(SECONDS)]}
            calls = 1 if case["track"] == "own" else calls - 1
        return launch | {
            "calls": {
                "first_seconds": draw(SECONDS),
                "seconds": draw(st.lists(SECONDS, min_size=calls, max_size=calls)),
                "series": draw(EPOCH),
            },
            "outputs": draw(st.lists(NUMBERS, min_size=1, max_size=4)),
            **more,
        }
    stopped = draw(st.booleans())
    epochs = draw(st.integers(2, case["epochs"])) if stopped else case["epochs"]
    return launch | {
        "epochs": draw(st.lists(EPOCH, min_size=epochs, max_size=epochs)),
        "stopped_early": stopped,
        "knobs": draw(st.dictionaries(LINE, SETTINGS, max_size=2)),
        "test": {"metric": draw(NUMBERS), "loss": draw(NUMBERS)},
    }


def whole(launch):
    """A record around a `launch` object."""
    return {"machine_info": {}, "commit_info": {}, "benchmarks": [], "datetime": "", "version": "", "launch": launch}


def workload(name, **more):
    given = {"workload": name, "dataset": "d", "test_samples": 100, "batch_size": 128, "quick_samples": 64}
    target = {"metric": "accuracy", "value": 0.8, "source": "made up", "margin": 0.005}
    return {**given, "target": target, "weights": {}, **more}


MACHINE = {"cpu": "made up", "logical_cpus": 2, "memory_mib": 1024, "system": "Linux 6 x86_64", "gpus": [], "flags": {}}


def described(cases, **more):
    """A run.json with a plan of these cases."""
    plan = [{"case": case, "skip": None, "target_attempted": False, "launches": 3} for case in cases]
    names = dict.fromkeys(case["workload"] for case in cases)
    head = {"schema": 2, "id": "20261123T091128Z-3f63", "state": "finished", "reference": "jax", "launches": 3}
    head |= {"started": "2026-11-23T09:11:35+00:00", "machine": MACHINE, "plan": plan}
    return {**head, "workloads": [workload(name) for name in names], **more}


@st.composite
def runs(draw):
    """A run.json and records of its cases' launches; most cases are of one place, so that there is what to compare."""
    first = draw(cases())
    tracks = TRACKS_OF[first["task"]]
    backends = draw(st.lists(st.sampled_from(["jax", "torch", "tensorflow"]), min_size=2, max_size=3, unique=True))
    executions = st.tuples(st.sampled_from(tracks), st.sampled_from(["arrays", RESIDENT]))
    planned = [
        {**first, "backend": backend, "track": track, "input": handed, "variant": variant, "device_count": count}
        for track, handed in draw(st.lists(executions, min_size=1, max_size=2, unique=True))
        for variant in draw(st.sampled_from([[""], ["keras=1", "keras=2"], ["workload=old", "workload=new"]]))
        for count in draw(st.sampled_from([[1], [1], [1, 2]]))
        for backend in backends
    ]
    others = draw(st.lists(cases(), max_size=1))
    planned = list({case_key(case): case for case in [*planned, *others]}.values())
    numbers = draw(st.sampled_from([[0, 1], [0, 1, 2], [0], [1, 3], []]))
    shift = draw(st.sampled_from([0, values.MOST_WHOLE - 3]))
    alike = draw(often({"weights_digest": "a", "batches_digest": "b", "parameters": 1}, st.just({})))
    found = [
        draw(launches(case, number, draw(often(number + shift, st.just(shift))), alike))
        for case, number in itertools.product(planned, numbers)
        if draw(often(True, st.booleans()))
    ]
    names = dict.fromkeys(case["workload"] for case in planned)
    targets = st.fixed_dictionaries(
        {"metric": LINE, "value": st.none() | NUMBERS, "source": TEXT, "margin": st.floats(0, 1) | st.just(math.nan)},
        optional={"quick": st.none() | NUMBERS, "chance": st.none() | NUMBERS, "lower_is_better": st.booleans()},
    )
    more = draw(
        st.fixed_dictionaries(
            {"state": st.sampled_from(["running", "finished", "interrupted"]), "launches": st.integers(0, 3)},
            optional={
                "wall_seconds": WAITED,
                "tuning_seconds": WAITED,
                "ordered": st.fixed_dictionaries({"words": TEXT}),
                "ceilings": st.dictionaries(
                    st.sampled_from(DEVICES), st.dictionaries(LINE, st.floats(1, 1e100), max_size=2)
                ),
                "parity": st.none(),
            },
        )
    )
    description = described(planned, **more)
    description["workloads"] = [
        workload(
            name,
            target=draw(targets),
            **draw(
                st.fixed_dictionaries(
                    {}, optional={"step_flops": st.none() | st.floats(0, 1e100), "notes": st.lists(TEXT)}
                )
            ),
        )
        for name in names
    ]
    for item in description["plan"]:
        item["skip"] = draw(st.sampled_from([None, None, None, "no GPU"]))
    return description, found


def write(folder, description, contents):
    """A run's folder with these records, written as they are."""
    (folder / "launches").mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob("*.*"), *(folder / "launches").iterdir()):
        path.unlink()
    (folder / "run.json").write_text(json.dumps(description))
    for number, content in enumerate(contents):
        (folder / "launches" / f"{number:03}.json").write_text(json.dumps(content))


def reported(analysis, folder):
    """Everything that is made of an analysis: for programs, and for people what no terminal obeys."""
    page = report.write(analysis, folder)
    console = Console(file=io.StringIO(), width=80)
    terminal.show(page, folder / "report.html", console, terminal.Amount.VERBOSE)
    for text in (console.file.getvalue(), (folder / "report.md").read_text()):
        assert not values.UNPRINTABLE.search(text.replace("\n", ""))
    return json.loads(files.to_json(analysis, page))


def sane(analysis):
    """What holds of every analysis."""
    planned = [planned.case.key for planned in analysis.run.description.plan]
    assert [case_key(row) for row in analysis.cases.to_dict("records")] == planned
    ok = analysis.run.launches[analysis.run.launches["status"] == "ok"]
    assert analysis.cases["launches"].sum() == ok["counted"].sum() == frames.counted(analysis.run)[CASES].shape[0]
    ratios = analysis.comparisons.table["ratio"].dropna().astype(float)
    assert (np.isfinite(ratios) & (ratios > 0)).all()
    seconds = analysis.cases["epoch_seconds"].dropna().astype(float)
    assert ((seconds >= values.LEAST_SECONDS * 0.99) & (seconds <= values.MOST_SECONDS * 1.01)).all()
    assert all("\n" not in problem for problem in analysis.run.warnings)


@drawn(30, 150, launch=launches())
def test_a_record_written_and_read_is_equal(place, launch):
    place.mkdir(exist_ok=True)
    json_files.write(place / "launch.json", whole(launch))

    assert json_files.load(place / "launch.json") == whole(launch)
    read = launch_record.read(place / "launch.json").to_json()
    assert {name: read[name] for name in launch if name in read} == {
        name: launch[name] for name in launch if name in read
    }


@drawn(12, 45, run=runs())
def test_any_valid_records_can_be_analysed_and_reported(place, run):
    description, found = run
    write(place, description, map(whole, found))
    analysis = analyse(place)

    sane(analysis)
    assert not any(
        "left out" in warning and "its seed" not in warning and "holds" not in warning
        for warning in analysis.run.warnings
    )
    reported(analysis, place)


HOSTILE = [
    *(None, True, -1, 0, 10**400, -(10**400), 2**53 + 1, 1e308, -1e308, 1e-320, math.nan, math.inf, -math.inf),
    *("", "../../x", "/etc/passwd", "\x00", "a\nb", "\x1b[31mred", "\ud800", "x" * 10_000, "<script>|`*"),
    *([], [[]], [None], {}, {"": {}}, {"../../x": "\x00"}, ["../../x", 10**400]),
]
GONE = object()  # a field that is not there


def nested(depth):
    """Lists in lists."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def places(value, path=()):
    """The path to every node of a JSON tree."""
    yield path
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[name], (*path, name))


def replaced(tree, path, value):
    """The tree with another value at a path."""
    if not path:
        return value
    tree = copy.copy(tree)
    if value is GONE and len(path) == 1:
        del tree[path[0]]
    else:
        tree[path[0]] = replaced(tree[path[0]], path[1:], value)
    return tree


def damaged(tree):
    """The tree with one or two of its nodes changed."""
    anything = st.one_of(
        st.sampled_from(HOSTILE),
        st.sampled_from([*HOSTILE, GONE]),
        st.sampled_from([50, 400]).map(nested),
        TEXT,
        NUMBERS,
        st.sampled_from([value for one in places(tree) if (value := at(tree, one)) is not None]),
    )
    changes = st.lists(st.tuples(st.sampled_from(list(places(tree))[1:]), anything), min_size=1, max_size=2)
    return changes.map(lambda chosen: changed(tree, chosen))


def at(tree, path):
    """The node at a path."""
    for name in path:
        tree = tree[name]
    return tree


def changed(tree, changes):
    """The tree with these changes, less those whose place an earlier one took away."""
    for path, value in changes:
        try:
            tree = replaced(tree, path, value)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    return tree


def made(case, repetition, slow=1.0):
    """A record of an ok launch with everything that a record may have."""
    span = {
        "seconds": slow + repetition / 10,
        "validation_seconds": 0.1,
        "cpu_seconds": 1.0,
        **dict.fromkeys(GAUGES, 0.01),
    }
    epoch = {**span, "loss": 0.5, "metric": 0.8, "validation_loss": 0.5, "validation_metric": 0.8 + repetition / 100}
    launch = {"schema": 2, "case": case, "repetition": repetition, "attempt": 1, "seed": repetition, "status": "ok"}
    launch |= {
        "reason": "",
        "command": ["python", "-m", "pytest"],
        "wall_seconds": 9.0,
        "setup_seconds": 0.1,
        "knobs": {},
    }
    launch |= {"memory": {"peak_host_mib": 600.0, "peak_device_mib": None}, "parameters": 7, "weights_digest": "a"}
    launch |= {"phases": {"import": 1.0, "data": 0.1, "build": 0.1, "fit": 3.0, "evaluate": 0.1, "process": 5.0}}
    launch |= {"versions": {"keras": "3.15.1"}, "batches_digest": "b", "samples_per_epoch": case["samples"]}
    launch |= {"resolved": {"jit_compile": True, "device": case["device"], "affinity": [0, 1], "flags": {"threads": 2}}}
    if case["task"] == "generate":
        seconds = [0.01 * slow] * (1 if case["track"] == "own" else 3)
        calls = {"calls": {"first_seconds": 1.0, "seconds": seconds, "series": span}, "outputs": [0.1, -2.0]}
        return launch | calls | {"prompt_tokens": 1, "tokens": 4, "first_token_seconds": [0.02]}
    if case["task"] == "predict":
        seconds = [0.01 * slow] * (case["samples"] // case["batch_size"])
        return launch | {"calls": {"first_seconds": 1.0, "seconds": seconds, "series": span}, "outputs": [0.1, -2.0]}
    return launch | {"epochs": [epoch] * 3, "stopped_early": False, "test": {"metric": 0.8, "loss": 0.5}}


TRAINED = {"workload": "mlp", "dataset": "d", "samples": 256, "epochs": 3, "batch_size": 128, "input": "arrays"}
TRAINED |= {"backend": "jax", "device": "cpu", "numerics": "float32", "task": "train", "track": "fit"}
CALLED = {**TRAINED, "task": "predict", "epochs": 1}
GENERATED = {**CALLED, "task": "generate", "samples": 4 * 128}
PLANNED = [
    *(TRAINED, {**TRAINED, "backend": "torch"}, {**TRAINED, "track": "native"}, {**TRAINED, "input": RESIDENT}),
    *(CALLED, {**CALLED, "backend": "torch"}),
    *(GENERATED, {**GENERATED, "track": "own"}),
]
RECORDS = [made(case, number, 1 + 0.3 * index) for index, case in enumerate(PLANNED) for number in range(2)]
LADDER = {"backend": "torch", "device": "cpu", "numerics": "float64", "skip": None, "status": "ok", "reason": ""}
DESCRIPTION = described(
    PLANNED,
    wall_seconds=100.0,
    tuning_seconds=3.0,
    ceilings={"cpu": {"jax": 1e9}},
    ordered={"within": 0.05, "reached": 0.04, "words": "the pilot says so"},
    options={"adopted": [{"path": "results/workloads/a/mine.py", "said": "as it came"}]},
    parity={
        "steps": 5,
        "seeds": [0],
        "test_samples": None,
        "ladders": [{**LADDER, "wall_seconds": 3.0, "climbs": ["fit-own", "native-SGD"]}],
    },
)
DESCRIPTION["workloads"][0] |= {"step_flops": 1000, "uncounted": ["dropout"], "notes": ["a note"], "memory_mib": 0}
DESCRIPTION["workloads"][0] |= {"weights": {"0": "a", "1": "a"}, "without_native_ladder": ""}
DESCRIPTION["workloads"][0]["target"] |= {"quick": 0.7, "chance": 0.1, "lower_is_better": False}


def bytes_of(content):
    return st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255), st.booleans())


def flipped(content, change):
    """A file's content with a byte changed, or cut off there."""
    index, mask, cut = change
    return content[:index] if cut else content[:index] + bytes([content[index] ^ mask]) + content[index + 1 :]


def survives(folder):
    """The run can be analysed and reported, whatever lies in it, and nothing is written outside."""
    analysis = analyse(folder)
    sane(analysis)
    assert reported(analysis, folder)["run"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


def is_read(path):
    """Whether a damaged record still is one; where it is refused, in one line that names it."""
    try:
        launch_record.read(path)
    except RecordError as error:
        in_one_line(error, f"{path.name}: ")
        return False
    return True


def in_one_line(error, named):
    """The error is one short line that names the file."""
    assert named in str(error)
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 500


@pytest.mark.parametrize("launch", [RECORDS[0], RECORDS[-5], RECORDS[-1]], ids=["train", "predict", "generate"])
def test_a_record_cut_off_anywhere_is_refused(place, launch):
    place.mkdir(exist_ok=True)
    content = json.dumps(whole(launch)).encode()
    for length in range(len(content)):
        (place / "cut.json").write_bytes(content[:length])
        assert not is_read(place / "cut.json")


@drawn(20, 90, data=st.data())
def test_a_record_with_any_value_in_any_place_is_refused_or_does_no_harm(place, data):
    index = data.draw(st.sampled_from([0, 2, len(RECORDS) - 5, len(RECORDS) - 1]))
    content = data.draw(damaged(whole(RECORDS[index])))
    write(place, DESCRIPTION, [content, *(whole(one) for one in RECORDS if one is not RECORDS[index])])
    if is_read(place / "launches" / "000.json"):
        survives(place)


@drawn(15, 60, data=st.data())
def test_a_record_with_a_changed_byte_is_refused_or_does_no_harm(place, data):
    index = data.draw(st.sampled_from([0, len(RECORDS) - 5, len(RECORDS) - 1]))
    write(place, DESCRIPTION, [whole(one) for one in RECORDS])
    path = place / "launches" / f"{index:03}.json"
    path.write_bytes(flipped(path.read_bytes(), data.draw(bytes_of(path.read_bytes()))))
    if is_read(path):
        survives(place)


def judged(folder):
    """What a damaged run.json comes to: refused in one line, or analysed, alone and among the runs of its folder."""
    try:
        run = frames.load(folder)
    except frames.RunFormatError as error:
        in_one_line(error, "run.json: ")
        return
    survives(folder)
    _, page = report.write_history(history.history(folder.parent), folder.parent)
    page.unlink()
    with contextlib.suppress(two_runs.NotComparableError):
        two_runs.compare(run, run, 0.05, ())


@drawn(25, 100, description=damaged(DESCRIPTION))
def test_a_run_json_with_any_value_in_any_place_is_refused_or_analysed(place, description):
    write(place, description, map(whole, RECORDS))
    judged(place)


@drawn(12, 40, change=bytes_of(json.dumps(DESCRIPTION).encode()))
def test_a_run_json_with_a_changed_byte_is_refused_or_analysed(place, change):
    write(place, DESCRIPTION, map(whole, RECORDS))
    (place / "run.json").write_bytes(flipped((place / "run.json").read_bytes(), change))
    judged(place)
