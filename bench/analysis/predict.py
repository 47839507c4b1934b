"""Inference: what a launch's calls come to, and whether the backends give the same outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.contract.agreement import disagreement
from bench.contract.case import CALLING, CASE_COLUMNS, case_key, title
from bench.contract.launch_record import Called, Generated

ENOUGH_FOR_P99 = 100  # values, below which a quantile of 99 % is little more than the slowest


def launch_values(launch: Called) -> dict[str, object]:
    """The columns of an ok launch of inference that those of training take from epochs.

    A launch counts with its median call, which is what a user waits for and steady over hundreds of calls; the fastest
    call is luck. Of task generate the calls are tokens, each of as many sequences as the batch has.
    """
    calls = launch.calls
    first_tokens = launch.first_token_seconds if isinstance(launch, Generated) else ()
    return {
        "epoch_seconds": float(np.median(calls.seconds)),
        "cold_epoch_seconds": calls.first_seconds,
        "samples_per_epoch": launch.case.batch_size,
        "epochs_seconds": calls.first_seconds + launch.series_seconds,
        "call_seconds": calls.seconds,
        "first_token_seconds": float(np.median(first_tokens)) if first_tokens else None,
        "outputs": launch.outputs,
    }


def quantiles(seconds: Any) -> dict[str, float]:
    """`p50_seconds`, `p90_seconds` and, where there are a hundred values, `p99_seconds`."""
    shares = {"p50_seconds": 0.5, "p90_seconds": 0.9}
    shares |= {"p99_seconds": 0.99} if len(seconds) >= ENOUGH_FOR_P99 else {}
    return {name: float(np.quantile(np.asarray(seconds, dtype=float), share)) for name, share in shares.items()}


def differing(launches: pd.DataFrame, reference: str) -> Iterator[str]:
    """The cases of inference, in words, that give other outputs than the reference backend from the same weights.

    Of each case the first seed that both have; `launches` are the counted ones.
    """
    calls = launches[launches["task"].isin(CALLING)]
    groups = {key: group.set_index("seed")["outputs"] for key, group in calls.groupby(list(CASE_COLUMNS), sort=False)}
    for key, ours in groups.items():
        case = dict(zip(CASE_COLUMNS, key, strict=True))
        theirs = groups.get(case_key({**case, "backend": reference}))
        if theirs is None or case["backend"] == reference:
            continue
        both = ours.index.intersection(theirs.index)
        apart = disagreement(ours[both[0]], theirs[both[0]], str(case["numerics"])) if len(both) else ""
        if apart:
            yield f"{title(case)} gives other outputs than {reference}: {apart}"
