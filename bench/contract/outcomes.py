"""What a version can be found to be in a search over versions; any other word says why it is neither."""

from __future__ import annotations

GOOD, BAD = "good", "bad"
