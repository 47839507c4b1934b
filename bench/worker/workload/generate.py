"""Task generate: prompts continued token by token, always by the likeliest; its time, whether the tokens are right."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from bench.contract.agreement import disagreement
from bench.contract.case import Case
from bench.contract.generation import GENERATIONS, prompt_of
from bench.worker.backends import Array, Call
from bench.worker.errors import StartError
from bench.worker.timing import gauges
from bench.worker.timing.gauges import Counters
from bench.worker.timing.nvml import Gpu, nothing
from bench.worker.workload.predict import OWN, gauged

SPAN_SECONDS, MOST_REPEATS = 0.2, 50  # how long a model's own method is called, or how often at most


class Size(NamedTuple):
    """How many tokens: that a model takes, of a prompt, and that each generation has."""

    context: int
    prompt: int
    tokens: int

    @property
    def whole(self) -> int:
        """The tokens of a sequence in the end."""
        return self.prompt + self.tokens


class Generation(NamedTuple):
    """A batch of sequences, (batch, prompt and tokens), the seconds to their first token, and of each other one.

    One call tells no other one: where there was one for all, `whole_seconds` are its.
    """

    ids: Array
    first_seconds: float
    others: list[float]
    whole_seconds: float | None = None


Generator = Callable[[Array], Generation]  # continues prompts of shape (batch, prompt)


def size_of(case: Case, given: Sequence[Array]) -> Size:
    """The tokens of a case; StartError where they do not fit the model's context."""
    context, steps = given[0].shape[1], case.samples // case.batch_size
    size = Size(context, prompt_of(context), steps // GENERATIONS)
    if size.tokens < 2 or size.whole > context or steps % GENERATIONS:
        raise StartError(
            f"{case.samples} tokens of {case.batch_size} sequences are no {GENERATIONS} generations of 2 to "
            f"{context - size.prompt} tokens"
        )
    return size


def generator(case: Case, model: keras.Model, called: Call, size: Size) -> Generator:
    """What a case's track generates with: the model's own method, or `called` on the whole context for each token."""
    if case.track == OWN:
        return lambda prompts: by_own_method(model, prompts, size)
    return lambda prompts: by_calls(called, prompts, size)


def by_calls(called: Call, prompts: Array, size: Size, now: Callable[[], float] = time.perf_counter) -> Generation:
    """One call for each token, on the context as far as it is known and padded with zeros."""
    ids = np.zeros((len(prompts), size.context), prompts.dtype)
    ids[:, : size.prompt] = prompts
    seconds = []
    for place in range(size.prompt, size.whole):
        began = now()
        ids[:, place] = np.argmax(called(ids)[:, place - 1], axis=-1)
        seconds.append(now() - began)
    return Generation(ids[:, : size.whole], seconds[0], seconds[1:])


def by_own_method(model: Any, prompts: Array, size: Size, now: Callable[[], float] = time.perf_counter) -> Generation:
    """Two calls of the model's `generate`: to the first token, and to all. TypeError where it gives something else."""
    _, first = _typical(lambda: model.generate(prompts, size.prompt + 1), now)
    found, whole = _typical(lambda: model.generate(prompts, size.whole), now)
    ids = np.asarray(keras.ops.convert_to_numpy(found))
    if ids.shape != (len(prompts), size.whole) or not np.array_equal(ids[:, : size.prompt], prompts):
        raise TypeError(
            f"generate(prompts, {size.whole}) gives an array of shape {ids.shape}, expected whole numbers of shape "
            f"{(len(prompts), size.whole)} that begin with the prompts"
        )
    return Generation(ids, first, [], whole)


def _typical(work: Callable[[], Any], now: Callable[[], float]) -> tuple[Any, float]:
    """What some work gives, and its median time where it is short and repeated: two such times are subtracted."""
    seconds: list[float] = []
    while sum(seconds) < SPAN_SECONDS and len(seconds) < MOST_REPEATS:
        began = now()
        result = work()
        seconds.append(now() - began)
    return result, statistics.median(seconds)


def measure(
    generate: Generator,
    given: Sequence[Array],
    size: Size,
    now: Callable[[], float] = time.perf_counter,
    counters: Callable[[], Counters] = gauges.counters,
    probe: Callable[[], float] = gauges.probe,
    gpu: Callable[[], Gpu] = nothing,
) -> tuple[dict[str, Any], list[Generation]]:
    """A record's entries of some generations in a row, and these; one before, which is cold, is not among them.

    `given` are batches of sequences, whose beginnings are the prompts. The first call's seconds are those to the first
    token of the cold generation, in which everything is compiled. ArithmeticError where whole generations take no
    longer than first tokens.
    """
    prompts = [given[number % len(given)][:, : size.prompt] for number in range(GENERATIONS)]
    cold = generate(prompts[0])
    generations, series = gauged(lambda: [generate(one) for one in prompts], now, counters, probe, gpu)
    first_token_seconds = [one.first_seconds for one in generations]
    calls = {"first_seconds": cold.first_seconds, "seconds": token_seconds(generations, size), "series": series}
    entries = {"calls": calls, "first_token_seconds": first_token_seconds}
    return {**entries, "prompt_tokens": size.prompt, "tokens": size.tokens}, generations


def token_seconds(generations: Sequence[Generation], size: Size) -> list[float]:
    """Seconds of each token after the first; of a whole generation by one call their mean.

    The median time to a first token is taken off, since each is as noisy as a whole generation.
    """
    first = statistics.median(one.first_seconds for one in generations)
    found = []
    for one in generations:
        found += one.others if one.whole_seconds is None else [(one.whole_seconds - first) / (size.tokens - 1)]
    if min(found) <= 0:
        raise ArithmeticError(f"generating {size.tokens} tokens takes no longer than one: a token's time is not seen")
    return found


def check(generations: Sequence[Generation], model: keras.Model, size: Size, case: Case) -> None:
    """Raise ArithmeticError where a generated token is not the likeliest by `model.predict`, within rounding.

    A decoder's logits depend on nothing later, so one pass over a whole sequence tells those of every token in it.
    """
    for one in generations:
        context = np.pad(one.ids, [(0, 0), (0, size.context - size.whole)])
        logits = model.predict(context, batch_size=case.batch_size, verbose=0)
        for row, place in np.ndindex(len(context), size.tokens):
            wrong = _unlikely(logits[row, size.prompt + place - 1], int(one.ids[row, size.prompt + place]), case)
            if wrong:
                raise ArithmeticError(f"track {case.track}: {wrong}, at token {place + 1} of a generation")


def _unlikely(logits: Array, token: int, case: Case) -> str:
    """What speaks against a token where these logits, of every class, are right; empty where nothing does."""
    if not 0 <= token < len(logits):
        return f"generates {token}, of {len(logits)} classes"
    best, largest = int(np.argmax(logits)), float(np.abs(logits).max())  # the largest is the scale of both
    apart = disagreement([float(logits[token]), largest], [float(logits[best]), largest], case.numerics)
    return f"generates {token}, where model.predict has {best} as the likeliest: {apart}" if apart else ""
