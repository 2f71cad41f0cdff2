r"""A lower bound for parts with room for one item of each layer, from prices of the items.

What two layers keep together is then the weight of a matching of their items. For any prices :math:`u, v` of the items
of both layers

.. math:: \sum_{(e,f) \in M} w_{ef} \le \sum_e u_e + \sum_f v_f
   + \min\Big(\sum_e \max_f r_{ef}, \sum_f \max_e r_{ef}\Big), \quad r_{ef} = w_{ef} - u_e - v_f,

for every perfect matching, and any matching is part of a perfect one that weighs no less. Separated weight costs at
least the smallest distance between two parts, and each item at least its cheapest place.
"""

from __future__ import annotations

import math

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Matrix, Record
from coinfer.solver.assignment.program import LayeredAssignment

EPSILON = float(np.finfo(np.float64).eps)
SUMS = 4096.0
"""Rounding of sums, in units of the machine epsilon times the sum of absolute values: far above what numpy needs."""
EXACT_BELOW = 2.0**51


class MatchingProof(Record, frozen=True, kw_only=True, tag_field="method", tag="matching"):
    """Prices of the items, for each pair of consecutive layers; any numbers show something true.

    Attributes
    ----------
    first, second
        (layers - 1, items): prices of the items of the first and of the second layer of each pair, in units of weight.
    """

    first: Matrix
    second: Matrix


def check_matching(program: LayeredAssignment, proof: MatchingProof) -> float:
    """Return the lower bound that ``proof`` shows on the objective of any feasible assignment.

    Exact where all numbers are whole, else lowered by what rounding can have added.

    Raises
    ------
    CertificateError
        If a part has room for two items, or the prices are not those of the program's items.
    """
    if program.capacity.max(initial=0) > 1:
        raise CertificateError("proof: a matching needs parts with room for one item; found room for more")
    shape = (program.layers - 1, program.items)
    for name, prices in (("first", proof.first), ("second", proof.second)):
        if prices.shape != shape:
            raise CertificateError(f"proof.{name}: expected shape {shape}; found {prices.shape}")
    first, second = proof.first.array, proof.second.array
    left = program.weights - first[:, :, None] - second[:, None, :]
    most = np.minimum(left.max(axis=2).sum(axis=1), left.max(axis=1).sum(axis=1))
    kept = first.sum(axis=1) + second.sum(axis=1) + most
    away = program.distance[~np.eye(program.parts, dtype=bool)]
    apart = float(away.min(initial=math.inf)) if away.size else 0.0
    separated = apart * float(np.maximum(program.weights.sum(axis=(1, 2)) - kept, 0.0).sum())
    placing = 0.0
    if program.cost is not None:
        cost = program.cost if program.allowed is None else np.where(program.allowed, program.cost, math.inf)
        placing = float(cost.min(axis=2).sum())
    return separated + placing - _margin(program, proof, apart)


def _margin(program: LayeredAssignment, proof: MatchingProof, apart: float) -> float:
    """Return the most by which rounding can have raised the bound; 0 where all numbers are whole and not too large."""
    numbers = (program.weights, proof.first.array, proof.second.array)
    size = apart * sum(float(np.abs(part).sum()) for part in numbers) * (1 + program.items)
    size += 0.0 if program.cost is None else float(program.cost.sum())
    known = (*numbers, program.cost, np.array([apart]))
    whole = not any(part is not None and (part % 1.0).any() for part in known)
    return 0.0 if whole and size < EXACT_BELOW else SUMS * EPSILON * size / (1 + program.items)
