"""A workload in a worker: loaded, checked, built, trained, called."""
