"""One file a page: which tables and sentences stand on it."""
