"""How the workloads are measured. What the worlds share needs the standard library only.

From Python `bench.compare` and `bench.parity` do what the commands of these names do; see bench/api.py.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`compare` and `parity`, found late: what they need is in the parent's environment alone."""
    if name in ("compare", "parity"):
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
