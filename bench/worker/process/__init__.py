"""The worker as a process: its settings, its line to the parent."""
