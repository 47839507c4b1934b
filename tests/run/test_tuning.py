"""The search for knobs: recorded, survived, reused, and never turned for nothing."""

import csv
import io
import json
from dataclasses import replace

import pytest

from bench.contract.case import Case
from bench.contract.tuning_rows import Tried, TuningRow
from bench.plan.parse import parse_run
from bench.run import console, tuning, tuning_final
from bench.run.console import RunConsole
from bench.run.measure import run

CASE = Case("mlp", "fashion_mnist", 6_400, 3, 128, "arrays", "jax", "cpu", "float32", "train", "loop")


def row(seconds, status="ok", **knobs):
    given = {"steps": "call", "malloc": "default", **knobs}
    return Tried(knobs=given, status=status, reason="", step_seconds=seconds)


@pytest.fixture
def tuned(fake):
    """Measure track loop with the fake interpreters; gives the run's folder and what was said."""

    def start(*arguments):
        said = io.StringIO()
        options = parse_run([*fake, "--launches=2", "--no-parity", "--tracks=loop", *arguments])
        folder = run(options, RunConsole(file=said, width=300))
        return folder, said.getvalue()

    return start


def launches(folder):
    return [json.loads(path.read_text())["launch"] for path in sorted((folder / "launches").glob("*.json"))]


def test_every_configuration_is_a_row_and_the_launches_are_given_the_fastest(tuned):
    folder, _ = tuned()
    rows = tuning.read(folder)

    assert len(rows) == 9  # three configurations on each backend
    assert [one.knobs["steps"] for one in rows if one.chosen] == ["b", "b", "b"]
    assert {one["knobs"]["steps"] for one in launches(folder)} == {"b"}
    assert all("--knobs=" in " ".join(one["command"]) for one in launches(folder))


def test_fit_is_searched_for_nothing(tuned):
    folder, _ = tuned("--tracks=fit")

    assert tuning.read(folder) == []
    assert not any("--knobs" in " ".join(one["command"]) for one in launches(folder))


def test_a_later_run_takes_over_what_an_earlier_one_found(tuned):
    first, _ = tuned()
    second, said = tuned("--epochs=4")
    rows = tuning.read(second)

    assert "knobs as run" in said
    assert "configurations in" not in said
    assert "steps=b, malloc=default: a step takes 0.333 [0.333, 0.334] times as long" in said
    assert {one.searched_in for one in rows} == {first.name}
    assert {one.case.epochs for one in rows} == {4}
    assert {one["knobs"]["steps"] for one in launches(second)} == {"b"}


def test_a_run_that_goes_on_searches_only_for_what_it_lacks(tuned):
    folder, _ = tuned()
    path, description = folder / tuning.FILE, json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**description, "state": "interrupted"}))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if ",torch," not in line))
    said = io.StringIO()
    run(parse_run([f"--resume={folder.name}", f"--output={folder.parent}"]), RunConsole(file=said, width=300))

    assert [line.split(":")[0].split()[1] for line in said.getvalue().splitlines() if "configurations" in line] == [
        "torch"
    ]
    assert path.read_text().splitlines(keepends=True) == lines


def test_a_search_is_repeated_where_the_code_of_a_track_has_changed(tuned, monkeypatch):
    tuned()
    monkeypatch.setattr(tuning, "SOURCES", tuning.SOURCES[:-1])
    _, said = tuned()

    assert "knobs as run" not in said


def test_the_search_goes_on_where_a_configuration_kills_its_process(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_TUNE", "torch:killed")
    folder, _ = tuned()
    rows = [one for one in tuning.read(folder) if one.case.backend == "torch"]

    assert [(one.knobs["steps"], one.status) for one in rows] == [("a", "failed"), ("b", "ok"), ("c", "ok")]
    assert "signal 9 (SIGKILL)" in rows[0].reason
    assert {one["knobs"]["steps"] for one in launches(folder)} == {"b"}


def test_a_search_that_finds_nothing_leaves_the_launches_to_their_defaults(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_TUNE", "torch:no backend")
    folder, said = tuned()
    without = [one["case"]["backend"] for one in launches(folder) if "--knobs" not in " ".join(one["command"])]

    assert {one.status for one in tuning.read(folder) if one.case.backend == "torch"} == {"failed"}
    assert set(without) == {"torch"}
    assert "No module named 'torch'" in said


def test_a_knob_is_turned_only_where_it_gains_more_than_three_percent():
    default, little, much = row(1.0), row(0.98, steps="scan"), row(0.9, steps="scan", malloc="keep")

    assert tuning_final.choose([default, little]) is default
    assert tuning_final.choose([default, little, much]) is much


def test_the_fastest_is_chosen_among_those_that_turn_as_few():
    rows = [row(2.0), row(1.0, steps="scan"), row(0.99, malloc="keep"), row(0.98, steps="scan", malloc="keep")]

    assert tuning_final.choose(rows) is rows[2]


def test_nothing_is_chosen_where_nothing_worked():
    assert tuning_final.choose([row(None, "failed"), row(None, "skipped", steps="scan")]) is None


def knobs(steps, malloc="default"):
    return {"steps": steps, "malloc": malloc}


def test_the_simplest_and_the_fastest_go_to_the_final_with_the_default():
    rows = [row(2.0), row(1.0, steps="scan"), row(0.99, steps="scan", malloc="keep"), row(1.5, malloc="keep")]

    assert tuning_final.finalists(rows) == [knobs("call"), knobs("scan"), knobs("scan", "keep")]


def test_what_seems_to_gain_less_than_three_percent_goes_to_no_final():
    assert tuning_final.finalists([row(1.0), row(0.98, steps="scan")]) == []


def test_a_default_that_does_not_work_is_held_against_nothing():
    assert tuning_final.finalists([row(None, "failed"), row(0.98, steps="scan")]) == []


@pytest.fixture
def held():
    """Hold a final with made-up seconds by knob and round, some rounds being disturbed; gives it and the turns."""

    def hold(seconds, disturbed=(), candidates=("b",), wall_seconds=1.0):
        turns = []

        def take_turn(number, given):
            turns.append((number, given["steps"]))
            taken = seconds(given["steps"], number)
            reason = "others" if number in disturbed else ""
            status = "failed" if taken is None else "ok"
            tried = Tried(knobs=given, status=status, reason="", step_seconds=taken, disturbed=reason)
            return tuning_final.Turn(tried, wall_seconds)

        return tuning_final.hold([knobs("a"), *map(knobs, candidates)], take_turn), turns

    return hold


def test_finalists_take_turns_in_another_order_each_round(held):
    final, turns = held(lambda steps, number: 1.0 if steps == "a" else 0.95 + 0.05 * (number % 2))
    orders = ["".join(steps for number, steps in turns if number == one) for one in range(1, 6)]

    assert orders == ["ab", "ba", "ba", "ab", "ab"]
    assert (final.rounds, final.disturbed) == (5, 0)


def test_a_candidate_wins_with_its_whole_interval(held):
    final, _ = held(lambda steps, number: 1.0 if steps == "a" else 0.80 + 0.002 * (number % 2))
    candidate = final.standings[1]

    assert final.winner == knobs("b")
    assert 0.78 < candidate.low < candidate.ratio < candidate.high < 0.83


def test_one_noisy_round_leaves_the_default(held):
    final, _ = held(lambda steps, number: 1.0 if steps == "a" else 0.7 if number == 1 else 1.0 + 0.001 * number)

    assert final.winner == knobs("a")
    assert final.standings[1].low < 1 < final.standings[1].high


def test_a_gain_whose_interval_reaches_three_percent_is_none(held):
    final, _ = held(lambda steps, number: 1.0 if steps == "a" else 0.975 + 0.001 * (number % 2))

    assert final.standings[1].high < 1
    assert final.winner == knobs("a")


def test_disturbed_rounds_are_measured_anew_and_decide_nothing(held):
    def seconds(steps, number):
        return 1.0 if steps == "a" else 0.1 if number == 2 else 0.95 + 0.05 * (number % 2)

    final, turns = held(seconds, disturbed=[2])

    assert {number for number, _ in turns} == {1, 2, 3, 4, 5, 6}
    assert (final.rounds, final.disturbed) == (5, 1)
    assert final.standings[1].low > 0.85


@pytest.mark.parametrize(
    ("disturbed", "rounds"),
    [([1, 2, 3], 3), ([2, 3, 4, 5, 6, 7], 7)],
    ids=["from the first on", "until three undisturbed ones cannot come any more"],
)
def test_where_nearly_all_rounds_are_disturbed_the_default_stays(held, disturbed, rounds):
    final, turns = held(lambda steps, number: 1.0 if steps == "a" else 0.5 + 0.001 * number, disturbed=disturbed)

    assert len({number for number, _ in turns}) == rounds
    assert final.winner == knobs("a")
    assert final.standings[1].ratio is None


def test_of_two_that_win_alike_the_one_with_fewer_knobs_is_chosen():
    rounds = [tuning_final.Round((1.0, 0.5 + 0.001 * one, 0.495 + 0.001 * one), "") for one in range(5)]
    final = tuning_final.decide([knobs("a"), knobs("b", "keep"), knobs("b")], rounds)

    assert final.winner == knobs("b")
    assert tuning_final.decide([knobs("a"), knobs("b"), knobs("b", "keep")], rounds).winner == knobs("b")


@pytest.mark.parametrize("gained", [0.5, 1.0], ids=["gains", "does not"])
def test_a_final_ends_as_soon_as_it_is_clear(held, gained):
    final, _ = held(lambda steps, number: 1.0 if steps == "a" else gained + 0.001 * (number % 2))

    assert final.rounds == 3
    assert (final.winner == knobs("b")) is (gained < 1)


def test_a_long_final_makes_do_with_three_rounds(held):
    final, _ = held(lambda steps, number: 1.0 if steps == "a" else 0.95 + 0.05 * (number % 2), wall_seconds=100.0)

    assert final.rounds == 3


def test_a_search_whose_final_shows_nothing_chooses_the_default(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_FINAL", "as fast")
    folder, said = tuned()
    rows = tuning.read(folder)

    assert {one["knobs"]["steps"] for one in launches(folder)} == {"a"}
    assert all(0.99 < one.ratio_low < one.ratio_high < 1.01 for one in rows if one.knobs["steps"] != "a")
    assert "no difference seen: the default, steps=a" in said


def test_a_search_left_undecided_by_disturbance_is_not_used_again(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_FINAL", "stolen")
    folder, said = tuned()
    monkeypatch.delenv("FAKE_FINAL")
    second, _ = tuned()

    assert "no difference seen, 3 rounds were disturbed: the default" in said
    assert {one["knobs"]["steps"] for one in launches(folder)} == {"a"}
    assert {one.searched_in for one in tuning.read(second)} == {second.name}


def test_a_candidate_that_fails_in_its_turn_leaves_the_others_to_the_final(tuned, monkeypatch):
    monkeypatch.setenv("FAKE_TUNE", "torch:killed in turn")
    folder, said = tuned()
    rows = [one for one in tuning.read(folder) if one.case.backend == "torch"]

    assert [(one.knobs["steps"], one.status, one.chosen) for one in rows] == [
        ("a", "ok", False),
        ("b", "failed", False),
        ("c", "ok", True),
    ]
    assert "steps=b, malloc=default failed in its turn: killed by signal 9" in said


def test_a_search_of_an_earlier_version_is_replaced(tuned):
    folder, _ = tuned()
    columns = [name for name in tuning.TUNING_COLUMNS if not name.startswith(("ratio", "rounds", "disturbed"))]
    path = folder / tuning.FILE
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)

    assert tuning.read(folder) == []
    second, said = tuned()
    assert "knobs as run" not in said
    tuning._append(path, tuning.read(second))
    assert tuning.read(folder) == tuning.read(second)


def test_a_search_says_how_far_it_is(tuned, monkeypatch):
    monkeypatch.setattr(console, "SOON_SECONDS", 0.0)
    _, said = tuned()

    title = "mlp torch cpu loop batch 128"
    assert f"{title}: searching for the best knobs: configuration 2 of about 3, steps=b" in said
    assert f"{title}: 3 configurations take turns: round 1, steps=a, malloc=default" in said


def test_a_search_serves_other_samples_and_epochs_but_no_other_batch_size():
    tried = {"knobs": {}, "status": "ok", "reason": "", "step_seconds": 1.0, "chosen": True, "steps": 8}
    tried |= {**dict.fromkeys(("ratio", "ratio_low", "ratio_high")), "rounds": 0, "disturbed": 0}
    rows = [TuningRow(case=CASE, **tried, circumstances="now", searched_in="earlier")]

    def found(now="now", **changes):
        return tuning.reusable(rows, replace(CASE, **changes), now)

    assert found(samples=60_000, epochs=10) == rows
    assert found(batch_size=32) == []
    assert found(now="another machine") == []


@pytest.mark.parametrize("content", ["", "workload,knobs\nmlp,{", "\x00"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, content):
    (tmp_path / tuning.FILE).write_text(content)

    assert tuning.read(tmp_path) == []
