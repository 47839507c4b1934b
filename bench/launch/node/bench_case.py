"""pytest-benchmark: one case, each steady epoch of its training, or each call of its inference, a round."""

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.launch.node.replay import ReplayClock

REPLAY = ReplayClock()


@pytest.mark.benchmark(timer=REPLAY, disable_gc=False)
def bench_case(measured: dict[str, Any], benchmark: BenchmarkFixture) -> None:
    """Give what the worker timed to pytest-benchmark, whose timer is the recording itself."""
    rounds = measured["rounds"]
    benchmark.group, benchmark.name = rounds["group"], rounds["name"]
    benchmark.extra_info |= rounds["extra_info"]
    REPLAY.load(rounds["seconds"])
    benchmark.pedantic(REPLAY.advance, rounds=len(rounds["seconds"]))  # type: ignore[no-untyped-call]
