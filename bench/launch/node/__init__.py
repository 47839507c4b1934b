"""A launch as a pytest node: it hands the case to a bare worker and writes the record as pytest-benchmark does."""
