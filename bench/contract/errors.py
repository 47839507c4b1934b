"""What ends a command in one line."""

from __future__ import annotations


class BundleError(Exception):
    """The archive cannot be written; the message says why and how to fix it."""


class UsageError(Exception):
    """A mistake in the user's input. One line: what was given, what is allowed, how to fix it."""


class RunError(Exception):
    """A run cannot go on; the message says why in one line."""


class OwnModelError(Exception):
    """A model of the user's cannot be used. One line: what it is, what was expected, how to fix it."""
