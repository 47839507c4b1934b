"""The final of a search for knobs: the default and what looked best take turns, and an interval decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.contract.tuning import LEAST_ROUNDS, changed_knobs
from bench.contract.tuning_rows import Knobs, Tried

GAIN = 1.03  # for a smaller gain a knob stays at its default
CANDIDATES = 2  # beside the default
ROUNDS, MOST_ROUNDS = 5, 8  # undisturbed that are wanted, and in all
RESTLESS_ROUNDS = 3  # disturbed from the first on: a machine on which nothing can be decided now
LOOKS = ROUNDS - LEAST_ROUNDS + 1  # at the ratios: a final ends as soon as they are clear
ENOUGH_SECONDS = 120.0  # of the turns: beyond it the least number of rounds will do


class Turn(NamedTuple):
    """What one process measured of a configuration, and the wall seconds that it took."""

    tried: Tried
    wall_seconds: float


class Round(NamedTuple):
    """Seconds of a step of each finalist, the default first, and why the round counts as disturbed (empty: no)."""

    seconds: tuple[float, ...]
    disturbed: str


class Standing(NamedTuple):
    """A finalist: of the default, `ratio` and its limits are None; of a candidate where nothing could be said, too."""

    knobs: Knobs
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


class Final(NamedTuple):
    """How the final ended: who stands where, the default first, the rounds that decided and those disturbed besides.

    `failed` is the finalist that failed when its turn came, which ends a final, and decides for the default.
    """

    standings: tuple[Standing, ...]
    winner: Knobs
    rounds: int
    disturbed: int
    failed: Tried | None = None


def choose(rows: Sequence[Tried]) -> Tried | None:
    """The fastest configuration, or one within 3 % of it that turns fewer knobs; None where none worked."""
    good = [row for row in rows if row.status == "ok"]
    if not good:
        return None
    default, fastest = rows[0].knobs, min(row.seconds for row in good)
    near = [row for row in good if row.seconds <= GAIN * fastest]
    return min(near, key=lambda row: (len(changed_knobs(row.knobs, default)), row.seconds))


def finalists(rows: Sequence[Tried]) -> list[Knobs]:
    """The default and what looked best; nothing where the default, the first row, fails or nothing seems to gain."""
    default, best = rows[0], choose(rows)
    gaining = [row for row in rows if GAIN * row.seconds < default.seconds < math.inf]
    if best is None or best not in gaining:
        return []
    others = sorted((row for row in gaining if row is not best), key=lambda row: row.seconds)
    return [row.knobs for row in (default, best, *others)][: CANDIDATES + 1]


def hold(taking_part: Sequence[Knobs], take_turn: Callable[[int, Knobs], Turn]) -> Final:
    """Let the finalists take turns, each in a process of its own, and decide.

    Every round has all of them, in another order each time; `take_turn` is given the round's number. A disturbed round
    is measured anew.
    """
    rounds: list[Round] = []
    spent = 0.0
    while _goes_on(rounds, spent) and not _is_clear(taking_part, rounds):
        turns: dict[int, Tried] = {}
        for place in _order(len(taking_part), len(rounds)):
            turns[place], seconds = take_turn(len(rounds) + 1, taking_part[place])
            spent += seconds
            if turns[place].step_seconds is None:
                standings = tuple(map(Standing, taking_part))
                return Final(standings, taking_part[0], 0, len(rounds) + 1, turns[place])
        reasons = [one.disturbed for one in turns.values() if one.disturbed]
        seconds_of = tuple(turns[place].seconds for place in range(len(taking_part)))
        rounds.append(Round(seconds_of, reasons[0] if reasons else ""))
    return decide(taking_part, rounds)


def _goes_on(rounds: Sequence[Round], spent: float) -> bool:
    """Whether another round is wanted: not where all that may follow would be too few, or the machine is not quiet."""
    good, left = _undisturbed(rounds), MOST_ROUNDS - len(rounds)
    if len(rounds) >= RESTLESS_ROUNDS and not good:
        return False
    wanted = LEAST_ROUNDS if spent > ENOUGH_SECONDS else ROUNDS
    return len(good) < wanted and left > 0 and len(good) + left >= LEAST_ROUNDS


def _is_clear(taking_part: Sequence[Knobs], rounds: Sequence[Round]) -> bool:
    """Whether more rounds would change nothing: each candidate gains enough by its whole interval, or does not."""
    candidates = decide(taking_part, rounds).standings[1:]
    return all(
        one.low is not None and one.high is not None and (one.high * GAIN < 1 or one.low * GAIN > 1)
        for one in candidates
    )


def _order(count: int, number: int) -> list[int]:
    """Who is when in turn: another one begins each time, and every other round is turned round."""
    places = [(place + number // 2) % count for place in range(count)]
    return places[::-1] if number % 2 else places


def decide(taking_part: Sequence[Knobs], rounds: Sequence[Round]) -> Final:
    """A candidate wins where its whole interval lies beyond the gain that is asked for; else the default does.

    Of several the fastest wins, or one within 3 % of it that turns fewer knobs. Only undisturbed rounds count.
    """
    from bench.analysis.tuning import ratios  # pandas and scipy: only between launches

    default, good = taking_part[0], _undisturbed(rounds)
    enough = len(good) >= LEAST_ROUNDS
    found = ratios([one.seconds for one in good], LOOKS) if enough else [None] * (len(taking_part) - 1)
    standings = [Standing(default)]
    for knobs, interval in zip(taking_part[1:], found, strict=True):
        limited = interval is not None and all(map(math.isfinite, interval))
        standings.append(Standing(knobs, *interval) if interval is not None and limited else Standing(knobs))
    winner = _winner([one for one in standings if one.high is not None and one.high * GAIN < 1], default)
    return Final(tuple(standings), winner, len(good), len(rounds) - len(good))


def _winner(better: Sequence[Standing], default: Knobs) -> Knobs:
    if not better:
        return default
    fastest = min(one.ratio or math.inf for one in better)
    near = [one for one in better if (one.ratio or math.inf) <= GAIN * fastest]
    return min(near, key=lambda one: (len(changed_knobs(one.knobs, default)), one.ratio or math.inf)).knobs


def _undisturbed(rounds: Sequence[Round]) -> list[Round]:
    return [one for one in rounds if not one.disturbed]
