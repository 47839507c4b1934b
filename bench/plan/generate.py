"""The cases of task generate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.contract.case import Case, stem
from bench.contract.errors import UsageError
from bench.contract.generation import GENERATIONS, prompt_of
from bench.plan.options import RunOptions
from bench.plan.planned import (
    OVERHEAD_SECONDS,
    Limits,
    PlannedCase,
    reason_to_skip,
    tracks_of,
)
from bench.plan.predict import CALL_SECONDS, FORWARD, called_cases, check_batch_sizes

if TYPE_CHECKING:  # which needs a library that the noxfile, which reads these modules, may lack
    from bench.contract.run_json import Workload

TOKENS = {"quick": 16, "default": 32, "full": 128}  # of a generation, or as many as the context has room for
USUAL_TRACKS = ("fit", "own")  # a call for each token, and what a model that keeps keys and values has of its own
FEWEST_TOKENS = 2  # of a generation: the first is told apart


def generate_cases(
    options: RunOptions, descriptions: Sequence[Workload], devices: Sequence[str], limits: Limits
) -> Iterator[PlannedCase]:
    """The cases of task generate: `samples` are the tokens that a launch generates, of all sequences together.

    A workload that is no decoder is skipped, and left out where other tasks are asked for too. UsageError where the
    run has no decoder and no other task.
    """
    decoders = [one for one in descriptions if not _refusal(one)]
    alone = options.tasks == ("generate",)
    if alone and descriptions and not decoders:
        raise UsageError(f"--tasks generate: {stem(descriptions[0].workload)}: {_refusal(descriptions[0])}")
    for description, device in itertools.product(descriptions if alone else decoders, devices):
        tracks = tracks_of(options, device, "generate", USUAL_TRACKS)
        tracks, sizes = tracks[:1] if _refusal(description) else tracks, options.batch_sizes or (1,)
        check_batch_sizes(description, sizes)
        tokens = tokens_of(options, description)

        def calls_of(_size: int, tokens: int = tokens) -> int:
            return GENERATIONS * tokens

        for case in called_cases(options, description, device, "generate", tracks, sizes, calls_of):
            step = FORWARD * (description.step_seconds or 0.0) * case.batch_size / description.batch_size
            expected = OVERHEAD_SECONDS + (GENERATIONS + 1) * tokens * (CALL_SECONDS + step)
            skip = reason_to_skip(case, description, limits) or _reason_to_skip(case, description, options)
            yield PlannedCase(case, skip, False, expected, options.launches)


def tokens_of(options: RunOptions, description: Workload) -> int:
    """How many tokens a generation has: those of the profile, or as many as there is room for after the prompt."""
    context = description.context or 0
    return max(FEWEST_TOKENS, min(TOKENS[options.profile], context - prompt_of(context)))


def _refusal(description: Workload) -> str | None:
    """Why a workload is no decoder; None where it is one."""
    if description.without_generate or description.context is None:
        return description.without_generate or "nothing is known of its tokens"
    room = description.context - prompt_of(description.context)
    return None if room >= FEWEST_TOKENS else f"a context of {description.context} tokens has no room to generate"


def _reason_to_skip(case: Case, description: Workload, options: RunOptions) -> str | None:
    if _refusal(description) or case.track != "own":
        return _refusal(description)
    idle = case.backend not in options.training
    lacking = f"own: Keras on {case.backend} cannot run a loop over tokens"
    return description.without_own_generate or (lacking if idle else None)
