"""The clock, and what is read beside it."""
