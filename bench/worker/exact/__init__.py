"""Exact mode: float64 from end to end, and random draws that are alike."""
