"""Optimisation only: knows no expert, no GPU, no token."""
