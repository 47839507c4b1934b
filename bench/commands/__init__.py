"""One file a command: `python -m bench NAME` calls `main` of the file of that name."""
