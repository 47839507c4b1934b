"""What an explanation needs of JAX."""

from typing import Any

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"
_seen: list[str] = []


def _note(event: str, _duration: float, **_more: Any) -> None:
    if event == COMPILED:
        _seen.append(event)


jax.monitoring.register_event_duration_secs_listener(_note)


def compilations(model: Any) -> int:  # noqa: ARG001 - JAX tells of the whole process
    """See `backends.Explain`."""
    return len(_seen)


def tries_jit(on: bool) -> bool:  # noqa: ARG001
    """See `backends.Explain`. Without compilation JAX computes one operation after the other."""
    return False
