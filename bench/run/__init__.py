"""A run: prepare, prove, tune, launch after launch, each leaving its record."""
