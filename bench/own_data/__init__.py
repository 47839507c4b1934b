"""Data of a user's own that are no `.npz` file, read into one before a run."""
