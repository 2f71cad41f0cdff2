"""Measured facts: rows of measurements, and the estimates fitted to them. Knows nothing of optimisation."""
