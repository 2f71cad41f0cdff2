"""The steps of :mod:`coinfer.solver.assignment.replicas.anneal_steps`, compiled by numba.

Optional: ``pip install coinfer[fast]``. Importing this module imports numba; the first call compiles, and the result is
kept on disk where that is possible.
"""

from __future__ import annotations

from numba import njit

from coinfer.solver.assignment.replicas import anneal_steps as plain

anneal_steps = njit(cache=True, nogil=True)(plain.anneal_steps)
