"""Two quick bounds, as multipliers of the same form: singular values, and transportation problems."""

from __future__ import annotations

from typing import Any

import numpy as np

from coinfer.records import Matrix
from coinfer.solver.assignment.bounds.levels import Bounded, nested
from coinfer.solver.assignment.bounds.splitting import Splitting
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.levels import Level, LevelProof, check_levels, known_parts
from coinfer.solver.certificate.semidefinite import SemidefiniteProof
from coinfer.solver.program import FloatArray


def bound_spectral(program: LayeredAssignment) -> Bounded:
    r"""Bound by the largest singular values of each matrix of weights: all multipliers in the block that keeps it.

    With equal full parts this is :math:`\frac1G \sum W + C \sum_{i<G} \sigma_i(PWP)` for each pair of layers.
    """
    levels = []
    for groups, weight in nested(program.distance):
        known = known_parts(program, tuple(groups.tolist()))
        proof = Splitting(program.weights, known).proof()
        levels.append(Level(groups=tuple(groups.tolist()), weight=weight, multipliers=proof))
    return _checked(program, levels)


def bound_transport(program: LayeredAssignment) -> Bounded:
    """Bound each pair of layers by a transportation problem: an item has at most one full part in common with others.

    The multipliers are the prices of its rows and columns; entries of the co-membership are at most 1.
    """
    levels = []
    for groups, weight in nested(program.distance):
        room = float(known_parts(program, tuple(groups.tolist())).capacity.max())
        prices = np.zeros((program.layers, 3, program.items))
        for pair, weights in enumerate(program.weights):
            after, before = _prices(weights, room)
            prices[pair, 1], prices[pair + 1, 2] = after, before
        empty = Matrix(np.zeros(((program.layers - 1) * program.items, program.items)))
        proof = SemidefiniteProof(
            cross=empty, first=empty, second=empty, count_rows=Matrix(prices.reshape(-1, program.items))
        )
        levels.append(Level(groups=tuple(groups.tolist()), weight=weight, multipliers=proof))
    return _checked(program, levels)


def _prices(weights: FloatArray, room: float) -> tuple[FloatArray, FloatArray]:
    """Return the prices of rows and columns of ``max <W, X>`` with row and column sums of at most ``room``."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    items = len(weights)
    row, column = (index.ravel() for index in np.indices(weights.shape))
    entry = np.arange(items * items)
    ends = np.concatenate([row, items + column])
    sums = coo_array((np.ones(2 * len(entry)), (ends, np.tile(entry, 2))))
    solve: Any = linprog  # its stubs, where they are installed, know no sparse matrices
    found = solve(-weights.ravel(), A_ub=sums.tocsr(), b_ub=np.full(2 * items, room), bounds=(0.0, 1.0))
    prices: FloatArray = np.maximum(0.0, -np.asarray(found.ineqlin.marginals))
    return prices[:items], prices[items:]


def _checked(program: LayeredAssignment, levels: list[Level]) -> Bounded:
    proof = LevelProof(levels=tuple(levels))
    return Bounded(value=check_levels(program, proof), proof=proof, guides=())
