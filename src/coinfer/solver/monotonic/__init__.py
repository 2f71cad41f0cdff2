"""Discrete monotonic optimization: branch-reduce-and-bound over integer boxes, with a certificate of leaves."""
