r"""Lower bounds on the objective of a layered path, re-derived from prices of its resources.

For any prices :math:`p \ge 0` of the resources, the least priced cost :math:`h` of going on to the end from a place
(its potential) is found by looking at every arc once. A path that has used :math:`u` so far, is worth less than
:math:`V` in the end and keeps its budgets :math:`B` has

.. math:: p \cdot u + h \le p_0 V + \sum_{r \ge 1} p_r B_r,

so a beginning that breaks this for one row of prices leads to no path that is better than :math:`V`. The checker lists
the beginnings that are left, longest last. One that ends at the same place as another and uses no less of anything is
left out: whatever completes it completes the other. When the list runs empty, :math:`V` is a lower bound. With the best
prices of a Lagrangian bound the list is empty at once; the rest of the gap takes a longer list.

For the bottleneck, pieces and jumps with busy time :math:`V` or more are closed instead.
"""

from __future__ import annotations

import math

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Record
from coinfer.solver.certificate.path_labels import exhausted
from coinfer.solver.certificate.path_places import Places
from coinfer.solver.path.program import LayeredPath

MARGIN = 1e-10
"""Share of the claimed bound that rounding may cost."""
MOST_LABELS = 200_000
"""Beginnings that the checker lists before it gives up."""


class PathProof(Record, frozen=True, kw_only=True):
    """Prices from which :func:`check_path` shows a bound; any prices show something true.

    Attributes
    ----------
    bound
        The bound claimed; absent: no path is feasible.
    prices
        Rows of prices, one for each resource; a row of 1 for each single resource need not be given.
    carrier_prices
        For each row a price for each carrier: of its memory where modes may be mixed, of its use where the order is
        free. Empty: all 0.
    """

    bound: float | None = None
    prices: tuple[tuple[float, ...], ...] = ()
    carrier_prices: tuple[tuple[float, ...], ...] = ()


def check_path(program: LayeredPath, proof: PathProof, *, most_labels: int = MOST_LABELS) -> float:
    """Return the lower bound that ``proof`` shows on the objective of any feasible path; ``inf`` where there is none.

    It is the bound claimed, lowered by :data:`MARGIN` for rounding.

    Raises
    ------
    CertificateError
        If the proof is not one of this program, or does not show what it claims within ``most_labels`` beginnings.
    """
    claimed = math.inf if proof.bound is None else proof.bound
    if not claimed >= 0.0:
        raise CertificateError("proof.bound: expected a number of at least 0")
    prices, carrier_prices = _rows(program, proof)
    if claimed == 0.0:
        return 0.0  # nothing that a path uses is negative
    shown = claimed * (1.0 - MARGIN)
    below = shown if program.objective == "bottleneck" else math.inf
    most = program.budget / (1.0 - 1e-9) * (1.0 + 1e-12)
    if program.objective == "sum":
        most[0] = min(most[0], shown)
    places = Places(program, prices=prices, carrier_prices=carrier_prices, most=most, below=below)
    if not exhausted(places, most_labels=most_labels):
        raise CertificateError(f"proof.bound: {claimed:g} is not shown by its prices")
    return shown


def _rows(program: LayeredPath, proof: PathProof) -> tuple[np.ndarray, np.ndarray]:
    """Return the given rows, with a row for each resource that is limited before them."""
    own = np.eye(program.resources)[np.isfinite(program.budget) | (np.arange(program.resources) == 0)]
    count = len(proof.prices)
    shapes = [(proof.prices, program.resources), (proof.carrier_prices, program.carriers)]
    for name, (rows, width) in zip(("prices", "carrier_prices"), shapes, strict=True):
        if any(len(row) != width for row in rows) or (rows and len(rows) != count):
            raise CertificateError(f"proof.{name}: expected {count} rows of {width} prices")
        if any(not 0.0 <= price < math.inf for row in rows for price in row):
            raise CertificateError(f"proof.{name}: expected finite prices of at least 0")
    given = np.array(proof.prices, dtype=np.float64).reshape(count, program.resources)
    carriers = np.zeros((len(own) + count, program.carriers))
    if proof.carrier_prices:
        carriers[len(own) :] = proof.carrier_prices
    return np.concatenate([own, given]), carriers
