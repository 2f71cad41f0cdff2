r"""A lower bound on the cost of any layered assignment, from a number of each state of each layer.

For any numbers :math:`\varphi` (potentials) and any path :math:`s_0, s_1, \dots` of states, with cost :math:`n_l` of a
state and :math:`a_l` of an arc,

.. math:: \sum_l n_l(s_l) + \sum_l a_l(s_l, s_{l+1}) = [n_0(s_0) - \varphi_0(s_0)] + \varphi_L(s_L)
   + \sum_l [\varphi_l(s_l) + a_l(s_l, s_{l+1}) + n_{l+1}(s_{l+1}) - \varphi_{l+1}(s_{l+1})],

which is at least the sum of the least values of the brackets. With the least costs of reaching each state as potentials
no bracket of an arc is negative, and the bound is the optimum.
"""

from __future__ import annotations

import math

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Matrix, Record
from coinfer.solver.assignment.program import BoolArray, LayeredAssignment
from coinfer.solver.certificate.chain_arcs import Arcs
from coinfer.solver.program import FloatArray, IntArray

EPSILON = float(np.finfo(np.float64).eps)
SUMS = 4096.0
"""Rounding of sums, in units of the machine epsilon times the sum of absolute values: far above what numpy needs."""
ROUNDING = 1e-9
"""Share of a cap by which a load of a feasible assignment may exceed it."""
EXACT_BELOW = 2.0**51


class ChainProof(Record, frozen=True, kw_only=True, tag_field="method", tag="chain"):
    """Potentials of the states; any numbers show something true.

    Attributes
    ----------
    potentials
        (layers, states): the states are all ways to put the items of a layer into parts within the capacities, in
        lexicographic order of the parts of their items. Where the parts are interchangeable, only those in which each
        part's first item comes after those of all parts with lower numbers. States that break a limit of their layer
        count for nothing.
    multiplier
        Price of a unit of imbalance of a layer, at least 0; absent: 0.
    """

    potentials: Matrix
    multiplier: float | None = None


def check_chain(program: LayeredAssignment, proof: ChainProof) -> float:
    """Return the lower bound that ``proof`` shows on the objective of any feasible assignment; ``inf`` without any.

    Exact where weights, distances, costs and potentials are whole numbers and there is no multiplier; else lowered by
    :func:`rounding_margin`.

    Raises
    ------
    CertificateError
        If the potentials are not those of the program's states, or the multiplier is no price of its cap.
    """
    potentials = proof.potentials.array
    multiplier = 0.0 if proof.multiplier is None else proof.multiplier
    if not 0.0 <= multiplier < math.inf or (multiplier and program.mean_imbalance_cap is None):
        raise CertificateError("proof.multiplier: expected a price, at least 0, of a cap on the mean imbalance")
    rows = _states(program, most=potentials.shape[1])
    if potentials.shape != (program.layers, len(rows)):
        expected = f"{program.layers} layers and the states of one layer"
        raise CertificateError(f"proof.potentials: expected {expected}; found {potentials.shape}")
    kept = [np.flatnonzero(_kept(program, layer, rows)) for layer in range(program.layers)]
    if not all(len(own) for own in kept):
        return math.inf
    nodes = [_node_costs(program, layer, rows[own], multiplier) for layer, own in enumerate(kept)]
    levels = [row[own] for row, own in zip(potentials, kept, strict=True)]
    arcs = Arcs(program, rows)
    terms = [float((nodes[0] - levels[0]).min()), float(levels[-1].min())]
    for pair in range(program.layers - 1):
        excess = levels[pair + 1] - nodes[pair + 1]
        terms.append(-arcs.largest_excess(pair, kept[pair], kept[pair + 1], levels[pair], excess))
    if multiplier and program.mean_imbalance_cap is not None:
        terms.append(-multiplier * program.mean_imbalance_cap * (1.0 + ROUNDING) * program.layers)
    return math.fsum(terms) - rounding_margin(program, proof)


def rounding_margin(program: LayeredAssignment, proof: ChainProof) -> float:
    """Return the most by which rounding can have raised the bound; 0 where all numbers are whole and not too large."""
    potentials = proof.potentials.array
    weights = program.weights.sum(axis=(1, 2)) * program.distance.max(initial=0.0)
    costs = np.zeros(1) if program.cost is None else program.cost.max(axis=(1, 2)) * program.items
    size = float(weights.sum() + costs.sum() + np.abs(potentials).max(axis=1, initial=0.0).sum())
    whole = not any(
        part is not None and (part % 1.0).any()
        for part in (program.weights, program.distance, program.cost, potentials)
    )
    if whole and not proof.multiplier and size < EXACT_BELOW:
        return 0.0
    uneven = (proof.multiplier or 0.0) * program.layers * (program.parts + (program.mean_imbalance_cap or 0.0))
    return SUMS * EPSILON * (size + uneven)


def _states(program: LayeredAssignment, *, most: int) -> IntArray:
    """List the states, (states, items); growing one by one, so that a wrong count is noticed before it is too large."""
    rows = np.zeros((1, 0), dtype=np.int64)
    for item in range(program.items):
        choices = []
        for part in range(program.parts):
            fits = (rows == part).sum(axis=1) < program.capacity[part]
            if program.interchangeable:
                fits &= rows.max(axis=1, initial=-1) >= part - 1
            choices.append(fits)
        parent, part_of = np.nonzero(np.stack(choices, axis=1))
        rows = np.concatenate([rows[parent], part_of[:, None]], axis=1)
        if len(rows) > most:
            raise CertificateError(f"proof.potentials: expected more states than {most} for {item + 1} items")
    return rows


def _kept(program: LayeredAssignment, layer: int, rows: IntArray) -> BoolArray:
    """Return which states keep the limits of a layer."""
    kept = np.ones(len(rows), dtype=bool)
    if program.allowed is not None:
        for item in range(program.items):
            kept &= program.allowed[layer, item][rows[:, item]]
    if program.load_caps is not None:
        kept &= _largest_load(program, layer, rows) <= program.load_caps[layer] * (1.0 + ROUNDING)
    return kept


def _node_costs(program: LayeredAssignment, layer: int, rows: IntArray, multiplier: float) -> FloatArray:
    """Return what each state costs by itself."""
    costs = np.zeros(len(rows))
    if program.cost is not None:
        for item in range(program.items):
            costs += program.cost[layer, item][rows[:, item]]
    if multiplier and program.loads is not None:
        mean = float(program.loads[layer].sum()) / program.parts
        costs += multiplier * (_largest_load(program, layer, rows) / mean if mean > 0.0 else 1.0)
    return costs


def _largest_load(program: LayeredAssignment, layer: int, rows: IntArray) -> FloatArray:
    """Return the load of the fullest part in each state."""
    if program.loads is None:
        return np.zeros(len(rows))
    loads = [(rows == part) @ program.loads[layer] for part in range(program.parts)]
    return np.asarray(np.max(loads, axis=0), dtype=np.float64)
