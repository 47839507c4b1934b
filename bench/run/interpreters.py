"""Which interpreter runs a backend in which variant, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contract.errors import UsageError
from bench.machine import environments
from bench.machine import variants as of_variants
from bench.plan.selection import Selection
from bench.plan.variants import AT, Variant


def interpreters(options: Selection, variant: Variant) -> dict[str, Path | None]:
    """The interpreter of each backend in a variant; None where its environment is not there."""
    found: dict[str, Path | None] = {}
    for backend in options.backends:
        if variant.pythons:
            found[backend] = variant.pythons.get(backend)
        elif variant.pins and backend not in options.python:
            built = of_variants.complete(backend, options.packages, variant.pins)
            python = of_variants.environment_python(backend, options.packages, variant.pins)
            found[backend] = python if built else None
        else:
            found[backend] = environments.interpreter(backend, options.python, options.packages)
    return found


def variants_missing(
    options: Selection, variants: Sequence[Variant], found: Mapping[str, Mapping[str, Path | None]]
) -> dict[tuple[str, str], str]:
    """Why variants cannot be had, by backend and variant; `found` are the interpreters of each."""
    missing: dict[tuple[str, str], str] = {}
    for variant in variants:
        for backend in options.backends:
            if found[variant.name][backend] is not None:
                continue
            if variant.pythons:
                missing[backend, variant.name] = f"no --python {backend}{AT}{variant.name}"
            elif variant.pins:
                missing[backend, variant.name] = of_variants.missing_reason(backend, options.packages, variant.pins)
    return missing


def check_given(options: Selection) -> None:
    """Refuse an interpreter of the user's whose environment lacks Keras or the backend."""
    for label, python in options.python.items():
        if label.partition(AT)[0] not in options.backends:
            continue
        missing = environments.lacking(python, label.partition(AT)[0])
        if missing:
            raise UsageError(
                f"--python {label}={python}: this environment lacks {' and '.join(missing)}; install "
                f"{'it' if len(missing) == 1 else 'them'} there with its pip, or name another environment"
            )
