"""A training script of the user's own: run as it is, one of its fits looked at or timed."""
