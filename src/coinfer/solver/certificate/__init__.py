"""Checkers of proofs: numpy, fractions and exact integers only, never a solver."""
