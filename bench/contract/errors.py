"""What ends a command in one line."""

from __future__ import annotations


class BundleError(Exception):
    """The archive cannot be written; the message says why and how to mend it."""


class UsageError(Exception):
    """The user asked for something that cannot be: one line with what was passed, what is known, how to mend it."""


class RunError(Exception):
    """A run cannot go on; the message says why in one line."""


class OwnModelError(Exception):
    """A model of the user's own cannot be used: one line with what it is, what was expected and how to mend it."""
