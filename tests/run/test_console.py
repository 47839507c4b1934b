"""Nothing is silent for more than 15 s: what is under way gives signs of life, on a terminal and without one."""

import io

import pytest

from bench.plan.parse import parse_run
from bench.run import workflow
from bench.run.console import RunConsole
from bench.run.workflow import Run


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def console(clock):
    return RunConsole(file=io.StringIO(), width=100, now=clock)


def lines(console):
    return console.file.getvalue().splitlines()


def test_what_takes_long_gives_a_sign_before_fifteen_seconds(clock, console):
    with console.showing("drawing weights"):
        for clock.seconds in range(31):
            console.signs.sign()

    assert lines(console) == ["drawing weights … 14 s", "drawing weights … 28 s"]


def test_what_is_said_meanwhile_is_a_sign_too(clock, console):
    with console.showing("drawing weights"):
        clock.seconds = 10
        console.say("something else")
        for clock.seconds in range(11, 25):
            console.signs.sign()

    assert lines(console) == ["something else", "drawing weights … 24 s"]


def test_without_a_terminal_news_is_told_from_time_to_time(clock, console):
    with console.showing("searching") as show:
        for clock.seconds in range(25):
            show(f"configuration {clock.seconds}")

    assert lines(console) == ["configuration 10", "configuration 20"]


def test_what_began_last_is_shown_until_it_is_over(clock, console):
    with console.showing("search knobs"):
        with console.showing("configuration 1"):
            clock.seconds = 14
            console.signs.sign()
        clock.seconds = 28
        console.signs.sign()

    assert lines(console) == ["configuration 1 … 14 s", "search knobs … 28 s"]


def test_nothing_is_shown_once_it_is_over(clock, console):
    with console.showing("searching"):
        pass
    clock.seconds = 60
    console.signs.sign()

    assert lines(console) == []


def test_a_terminals_line_is_redrawn_with_all_news(clock):
    console = RunConsole(file=io.StringIO(), width=100, force_terminal=True, now=clock)
    with console.showing("searching") as show:
        show("configuration 1")
        clock.seconds = 14
        console.signs.sign()
    shown = console.file.getvalue()

    assert all(text in shown for text in ("searching", "configuration 1", "configuration 1 … 14 s"))


def test_every_step_of_a_run_gives_signs(clock, console, tmp_path):
    def draw_all_weights(run):
        clock.seconds += 20
        console.signs.sign()
        return run

    given = Run(options=parse_run(["--workloads=mlp"]), console=console, began=0.0, folder=tmp_path)
    workflow.prepare_run(given, [draw_all_weights])

    assert lines(console) == ["draw all weights … 20 s"]


def test_signs_are_not_kept_in_the_runs_log(clock, console, tmp_path):
    console.log_to(tmp_path / "run.log")
    with console.showing("searching"):
        clock.seconds = 14
        console.signs.sign()
    console.say("found")

    assert "searching" not in (tmp_path / "run.log").read_text()
