"""Tests over many examples that Hypothesis draws: few of them wherever the tests run, many with `-m long`.

BENCH_EXAMPLES multiplies how many are drawn; what is drawn is the same in every run.
"""

import functools
import inspect
import os

import pytest
from hypothesis import HealthCheck, given, seed, settings

TIMES = int(os.environ.get("BENCH_EXAMPLES", "1"))


def drawn(few, many, **strategies):
    """Make a test of one example one of `few`, and a long one of `many`; what is not drawn are fixtures."""

    def decorate(test):
        numbers = [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.long)]

        @pytest.mark.parametrize("examples", numbers)
        @functools.wraps(test)
        def over_examples(examples, **fixtures):
            def one(**values):
                test(**fixtures, **values)

            one.__name__ = one.__qualname__ = test.__name__
            limits = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
            settings(max_examples=examples * TIMES, derandomize=True, **limits)(given(**strategies)(seed(0)(one)))()

        given_by_pytest = [name for name in inspect.signature(test).parameters if name not in strategies]
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in (*given_by_pytest, "examples")
        ]
        over_examples.__signature__ = inspect.Signature(parameters)
        return over_examples

    return decorate
