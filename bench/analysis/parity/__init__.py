"""Parity's comparing half: recorded ladders to the first rung that failed."""
