"""The monotonic engine by itself: a matrix, then a black box, each with leaves that are re-checked without the search.

Run: python examples/monotonic_engine.py
"""

from __future__ import annotations

import numpy as np

from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.explore import best_points, sweep
from coinfer.solver.monotonic.maximise import maximise
from coinfer.solver.monotonic.program import FacilityLocation, IntArray, LinearRows, Monotone, MonotonicProgram


class Coverage:
    """How many of 40 topics a mix of shelves covers; each shelf has five levels, and only single values are offered."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._topics = rng.random((40, 6)) < 0.25

    def values(self, points: IntArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return the value of each row of ``points``."""
        reached = 1.0 - (0.6 ** (points[:, None, :] * self._topics[None])).prod(axis=2)
        return reached.sum(axis=1)


def main() -> None:
    """Solve both, and ask around the optimum."""
    rng = np.random.default_rng(0)
    quality, energy_j = rng.random((200, 12)), rng.uniform(1.0, 5.0, 12)
    budget = LinearRows(coefficients=energy_j[None], limits=np.array([10.0]), names=("energy",))
    experts = MonotonicProgram(
        lower=np.zeros(12, dtype=np.int64),
        upper=np.ones(12, dtype=np.int64),
        objective=FacilityLocation(values=quality, weights=np.full(200, 1 / 200)),
        constraints=(budget,),
    )
    found = maximise(experts)
    assert found.incumbent is not None
    assert found.proof is not None
    shown = check_boxes(experts, found.proof)
    print(f"experts {np.flatnonzero(found.incumbent).tolist()}: {found.value:.4f}, {found.status.value}")
    print(f"  {len(found.proof.leaves)} leaves, re-evaluated without the search: nothing is above {shown.bound:.4f}")
    print("  next best:", ", ".join(f"{value:.4f}" for value in best_points(experts, count=4).values[1:]))
    front = sweep(experts, row=0, budgets=[6.0, 8.0, 10.0, 12.0])
    print("  by budget:", ", ".join(f"{point.limit:g} J {point.value:.4f}" for point in front))

    shelves = MonotonicProgram(
        lower=np.zeros(6, dtype=np.int64),
        upper=np.full(6, 4),
        objective=Monotone(oracle=Coverage(rng)),
        constraints=(LinearRows(coefficients=np.ones((1, 6)), limits=np.array([7.0]), names=("budget",)),),
    )
    for limits in (Limits(nodes=5), Limits()):
        found = maximise(shelves, limits=limits)
        assert found.incumbent is not None
        print(f"levels {found.incumbent.tolist()}: {found.value:.4f}, at most {found.bound:.4f} ({found.status.value})")
    print(f"  {found.nodes} boxes, {found.oracle_calls} points evaluated")


if __name__ == "__main__":
    main()
