"""The machine: its environments, its devices, its description."""
