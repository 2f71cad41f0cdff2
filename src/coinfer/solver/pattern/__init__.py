"""Pipelines of replicated stages over interchangeable units: the pattern integer program, its bounds, real flows."""
