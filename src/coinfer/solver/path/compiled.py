"""The steps of :mod:`coinfer.solver.path.steps`, compiled by numba: the same answers, faster.

Optional: ``pip install coinfer[fast]``. Importing this module imports numba; the first call compiles, and the result is
kept on disk where that is possible.
"""

from __future__ import annotations

from numba import njit

from coinfer.solver.path import steps

_compiled = njit(cache=True, nogil=True)

backward = _compiled(steps.backward)
forward = _compiled(steps.forward)
complete = _compiled(steps.complete)
improve = _compiled(steps.improve)
extend = _compiled(steps.extend)
settle = _compiled(steps.settle)
