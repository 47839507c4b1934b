"""See `Exact`."""

import numpy as np

PATCHED = []


def patch_float64():
    PATCHED.append("float64")


def compiled(function):
    return function


def word(value):
    return np.uint32(value)
