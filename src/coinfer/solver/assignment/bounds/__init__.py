"""Lower bounds of layered assignments, each with the multipliers that show it."""
