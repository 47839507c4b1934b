"""NVML's package for a process whose path of modules begins with this folder: the cards that FAKE_CARDS names.

A card's name may end in `:busy`, where another process computes on it.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import fake_nvml


def _card(words):
    name, _, busy = words.partition(":")
    return {**getattr(fake_nvml, name), "processes": (4321,) if busy else ()}


globals().update(vars(fake_nvml.library(*map(_card, filter(None, os.environ["FAKE_CARDS"].split(","))))))
