"""The steps of :mod:`coinfer.solver.assignment.fan_out.steps`, compiled by numba.

Optional: ``pip install coinfer[fast]``. Importing this module imports numba; the first call compiles, and the result is
kept on disk where that is possible.
"""

from __future__ import annotations

from numba import njit

from coinfer.solver.assignment.fan_out import steps as plain

pair_steps = njit(cache=True, nogil=True)(plain.pair_steps)
set_steps = njit(cache=True, nogil=True)(plain.set_steps)
