"""A user's own model: a file of theirs becomes a workload."""
