"""Track `native`: the same."""

from bench.worker.backends.numpy.loop import KNOBS, make

__all__ = ["KNOBS", "make"]
