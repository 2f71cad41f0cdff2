"""The steps of :mod:`coinfer.solver.assignment.search.anneal`, compiled; importing this module imports numba."""

from __future__ import annotations

from numba import njit

from coinfer.solver.assignment.search import anneal

steps = njit(cache=True, nogil=True)(anneal.steps)
