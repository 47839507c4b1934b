"""A training script of the user's own: run as it is, its first fit looked at or timed."""
