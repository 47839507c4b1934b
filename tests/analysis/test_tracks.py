"""What is made of several tracks: opponents, families of intervals, which knob mattered, the report's tables."""

import csv
import io
import json
from types import SimpleNamespace

import pytest

from bench.analysis import analyse, comparisons, frames, statistics, tuning
from bench.analysis.cases import cases
from bench.contract.case import RESIDENT, Case, input_kinds
from bench.contract.tuning import TUNING_COLUMNS
from bench.report.pages import run as run_page
from bench.report.parts import tracks
from bench.run.tuning import FILE


def write_search(folder, case, rows, **more):
    common = {"device_count": 1, **vars(case), "steps": 32, "searched_in": folder.name, "circumstances": "here"}
    common |= {"rounds": 0, "disturbed": 0}
    with (folder / FILE).open("a", newline="") as file:
        writer = csv.DictWriter(file, TUNING_COLUMNS)
        writer.writeheader()
        for given, seconds, status, reason in rows:
            chosen = seconds == min(other for _, other, *_ in rows if other)
            values = {"knobs": json.dumps(given), "step_seconds": seconds, "status": status, "reason": reason}
            writer.writerow({**common, **values, "chosen": chosen, **(more if chosen else {})})


def a_case(track="tuned", backend="torch", **columns):
    given = {"workload": "mlp", "dataset": "fashion_mnist", "samples": 6_400, "epochs": 3, "batch_size": 128}
    rest = {"input": "arrays", "backend": backend, "device": "cpu", "numerics": "float32", "task": "train"}
    return Case(**{**given, **rest, "track": track, **columns})


def test_a_case_is_compared_with_reference_tracks_and_input():
    def against(track, backend):
        case = a_case(track, backend)
        description = SimpleNamespace(reference="jax", plan=[SimpleNamespace(case=case)], options={})
        return [name for name, _ in comparisons.opponents(case, description)]

    assert against("fit", "torch") == ["backend=jax", "track=native", "track=tuned", "input=resident"]
    assert against("loop", "jax") == ["track=native"]
    assert against("native", "torch") == ["backend=jax"]
    assert against("shipped", "torch") == ["backend=jax"]  # it trains other batches than the other tracks
    assert against("native", "jax") == []


def test_the_ratio_of_two_tracks_is_that_of_their_epochs(tracked):
    found = comparisons.compare(frames.load(tracked)).table
    fit = found[found["track"].eq("fit") & found["against"].eq("track=native")]

    assert len(fit) == 6  # two workloads on three backends
    assert fit["ratio"].tolist() == pytest.approx([1.1 / 0.7] * 6)


def test_backends_and_tracks_are_families_of_their_own(tracked):
    found = comparisons.compare(frames.load(tracked)).table
    kinds = found["against"].map(comparisons.family)

    for kind in ("backend", "track"):
        rows = found[kinds.eq(kind)]
        assert rows["level"].tolist() == pytest.approx([statistics.level_of(len(rows))] * len(rows))
    assert kinds.value_counts().to_dict() == {"backend": 20, "track": 24}


def test_a_track_that_saw_other_batches_is_refused(tracked):
    for path in (tracked / "launches").glob("*mlp-torch*-native.json"):
        content = json.loads(path.read_text())
        content["launch"]["batches_digest"] = "others"
        path.write_text(json.dumps(content))
    refused = comparisons.compare(frames.load(tracked)).refused

    assert any("mlp torch cpu fit" in line and "track=native: batches_digest differs" in line for line in refused)


def test_the_rate_is_a_share_of_the_fastest_product(tracked):
    run = frames.load(tracked)
    case = cases(run).iloc[0]
    steps = case["samples"] / run.description.workload(case["workload"]).batch_size

    assert case["flops_per_second"] == pytest.approx(1e6 * steps / case["epoch_seconds"])
    assert case["ceiling_share"] == pytest.approx(case["flops_per_second"] / 2e9)


def test_an_uncounted_workload_has_no_rate(tracked):
    path = tracked / "run.json"
    description = json.loads(path.read_text())
    for one in description["workloads"]:
        one["step_flops"] = None
    path.write_text(json.dumps(description))

    assert cases(frames.load(tracked))["flops_per_second"].isna().all()


DEFAULT = {"jit_compile": "auto", "steps_per_execution": 1, "input": "arrays", "malloc": "default"}
FINAL = {"ratio": 0.5, "ratio_low": 0.45, "ratio_high": 0.55, "rounds": 5, "disturbed": 1}
FOUND = [
    (DEFAULT, 0.004, "ok", ""),
    ({**DEFAULT, "jit_compile": True}, None, "failed", "InductorError: no compiler"),
    ({**DEFAULT, "input": "tf.data"}, None, "skipped", "tf.data needs tensorflow"),
    ({**DEFAULT, "input": "DataLoader"}, 0.003, "ok", ""),
    ({**DEFAULT, "input": "DataLoader", "malloc": "keep"}, 0.002, "ok", ""),
    ({**DEFAULT, "malloc": "keep"}, 0.0025, "ok", ""),
]


def planned_case(folder, track):
    """Torch's mlp of that track."""
    plan = frames.load(folder).description.plan
    named = [
        one.case for one in plan if (one.case.workload, one.case.backend, one.case.track) == ("mlp", "torch", track)
    ]
    return named[0]


@pytest.fixture
def searched(tracked):
    """The search for torch's tuned mlp."""
    write_search(tracked, planned_case(tracked, "tuned"), FOUND, **FINAL)
    return tracked


def note(folder, track):
    """What the report says of torch's search for a track."""
    tables = run_page.page(analyse(folder)).tables
    return next(line for table in tables for line in table.notes if line.startswith(f"torch {track}"))


def test_a_choice_is_what_the_final_found(searched):
    (choice,) = tuning.choices(frames.load(searched))

    assert choice.changed == ["input", "malloc"]
    assert choice.ratio == (0.5, 0.45, 0.55)
    assert (choice.rounds, choice.disturbed) == (5, 1)
    assert choice.without == {
        "jit_compile=True": "InductorError: no compiler",
        "input=tf.data": "tf.data needs tensorflow",
    }
    assert choice.tried == 4


def test_candidates_are_held_against_the_default_of_their_own_round():
    (found,) = tuning.ratios([(1.0, 0.5), (10.0, 5.1), (2.0, 0.99)], looks=1)

    assert found.estimate == pytest.approx((0.5 * 0.51 * 0.495) ** (1 / 3))
    assert found.low < 0.5 < found.high < 0.6


def test_the_gain_that_is_told_is_that_of_the_launches(searched):
    assert "input=DataLoader, malloc=keep; in the launches fit takes 1.22 [" in note(searched, "tuned")
    assert "0.500" not in note(searched, "tuned")


def test_where_the_launches_see_no_gain_none_is_told(searched):
    for path in (searched / "launches").glob("*mlp-torch*-tuned.json"):
        content = json.loads(path.read_text())
        for epoch in content["launch"]["epochs"]:
            epoch["seconds"] *= 1.3
        path.write_text(json.dumps(content))

    assert "times as long, so no gain was seen there" in note(searched, "tuned")


def test_without_a_ratio_of_launches_the_final_tells_the_gain(tracked):
    write_search(tracked, planned_case(tracked, "loop"), FOUND, **FINAL)

    told = "a step of the search took 0.500 [0.450, 0.550] times as long as with the default"
    assert f"{told} (5 rounds in turns, 1 more disturbed)" in note(tracked, "loop")


def test_a_default_that_was_kept_is_no_difference_seen(tracked):
    case = planned_case(tracked, "loop")
    write_search(tracked, case, [(DEFAULT, 0.002, "ok", ""), ({**DEFAULT, "malloc": "keep"}, 0.003, "ok", "")])

    assert note(tracked, "loop").startswith("torch loop: no difference seen: none of 2 configurations beat the default")


def test_a_default_that_disturbance_kept_is_undecided(tracked):
    case = planned_case(tracked, "loop")
    write_search(tracked, case, [(DEFAULT, 0.002, "ok", "")], rounds=2, disturbed=6)

    assert "no difference seen (undecided: 6 rounds were disturbed)" in note(tracked, "loop")


def test_an_earlier_versions_search_is_told_without_a_gain(tracked):
    write_search(tracked, planned_case(tracked, "loop"), FOUND)
    rows = list(csv.DictReader(io.StringIO((tracked / FILE).read_text())))
    with (tracked / FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in TUNING_COLUMNS if name not in FINAL], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

    assert frames.load(tracked).warnings == []
    assert "an earlier version chose it from single passes" in note(tracked, "loop")


def test_the_report_says_what_keras_costs_and_which_knob_mattered(searched):
    found = analyse(searched)
    page = run_page.page(found)
    table = next(table for table in page.tables if "What Keras costs" in table.title)
    torch = next(row for row in table.rows if row[0] == "torch")

    assert table.title == "What Keras costs: mlp on cpu, batch 128"
    assert table.columns[1:6] == ["shipped", "fit", "tuned", "loop", "native"]
    assert torch[table.columns.index("Keras overhead (fit / native)")].startswith("1.57 [")
    assert torch[table.columns.index("left on the table (fit / tuned)")].startswith("1.22 [")
    note = next(line for line in table.notes if line.startswith("torch tuned"))
    assert "of 4 configurations, the choice is input=DataLoader, malloc=keep" in note
    assert "jit_compile=True: InductorError: no compiler" in note
    ((name, code),) = page.snippets
    assert name.startswith("mlp torch cpu tuned")
    assert "DataLoader(samples" in code
    assert "mallopt" in code
    compile(code.replace("…", "..."), name, "exec")


def test_a_damaged_search_is_left_out_with_a_warning_and_the_rest_is_reported(searched):
    (searched / FILE).write_text("not,a\nsearch\n")
    run = frames.load(searched)

    assert any(line.startswith("left out: tuning.csv") for line in run.warnings)
    assert tuning.choices(run) == []


@pytest.mark.parametrize("handed", [kind for kind in input_kinds() if kind != RESIDENT])
def test_every_input_can_be_pasted(handed):
    given = {"jit_compile": True, "steps_per_execution": 32, "input": handed, "malloc": "default"}
    choice = tuning.Choice(a_case(), given, [], True, statistics.Interval(1.0, 1.0, 1.0), 5, 0, {}, 1)

    compile(tracks._call(choice).replace("…", "..."), handed, "exec")


def test_a_sweep_of_batch_sizes_shows_samples_per_second(recorded_run):
    description = json.loads((recorded_run / "run.json").read_text())
    plan = [one for one in description["plan"] if one["case"]["workload"] == "mlp"]
    small = [{**one, "case": {**one["case"], "batch_size": 32}} for one in plan]
    description["plan"] = [*small, *plan]
    (recorded_run / "run.json").write_text(json.dumps(description))
    for path in list((recorded_run / "launches").glob("*mlp*.json")):
        content = json.loads(path.read_text())
        content["launch"]["case"]["batch_size"] = 32
        for epoch in content["launch"]["epochs"]:
            epoch["seconds"] *= 2
        path.with_name(f"{path.stem}-32.json").write_text(json.dumps(content))
    page = run_page.page(analyse(recorded_run))
    table = next(one for one in page.tables if one.title.startswith("Samples per second"))
    speeds = {row[0]: [float(cell.replace(",", "")) for cell in row[1:]] for row in table.rows}

    assert table.columns == ["batch size", "jax", "tensorflow", "torch"]
    assert speeds["128"] == pytest.approx([2 * speed for speed in speeds["32"]], rel=0.01)
