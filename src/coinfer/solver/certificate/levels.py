r"""A lower bound for any distance between parts: a sum of bounds for partitions of the parts.

Where :math:`\sum_k w_k [\,g \text{ and } h \text{ in different groups of level } k\,] \le d_{gh}` for all parts, with
:math:`w_k \ge 0`, the objective is at least :math:`\sum_k w_k` times the weight that any assignment separates at level
:math:`k`, plus the least placement costs. For two levels, devices and nodes, nothing is lost where the distances are an
ultrametric.
"""

from __future__ import annotations

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Record
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.semidefinite import EPSILON, SUMS, Parts, SemidefiniteProof, kept_at_most


class Level(Record, frozen=True, kw_only=True):
    """One partition of the parts.

    Attributes
    ----------
    groups
        (parts,): group of each part, 0, 1, 2 ...
    weight
        What separation at this level counts, at least 0.
    multipliers
        What bounds the weight kept together at this level.
    """

    groups: tuple[int, ...]
    weight: float
    multipliers: SemidefiniteProof


class LevelProof(Record, frozen=True, kw_only=True, tag_field="method", tag="levels"):
    """Levels whose weighted separations add up to no more than the distances."""

    levels: tuple[Level, ...]


def check_levels(program: LayeredAssignment, proof: LevelProof) -> float:
    """Return the lower bound that ``proof`` shows on the objective of any feasible assignment.

    It also holds where items have several copies in different parts, with shares that add up to 1, as long as no part
    has a share in more items of a layer than its capacity; the shares must not depend on where the weight comes from.

    Raises
    ------
    CertificateError
        With one sentence, if the proof is malformed or its levels cost more than the distances.
    """
    if not len(proof.levels) <= program.parts * program.parts:
        raise CertificateError(f"proof.levels: expected at most {program.parts**2}; found {len(proof.levels)}")
    claimed = np.zeros_like(program.distance)
    for i, level in enumerate(proof.levels):
        groups = np.array(level.groups, dtype=np.int64)
        if groups.shape != (program.parts,) or groups.min() < 0 or groups.max() >= program.parts:
            raise CertificateError(f"proof.levels[{i}].groups: expected {program.parts} groups; found others")
        if not 0.0 <= level.weight < np.inf:
            raise CertificateError(f"proof.levels[{i}].weight: expected a number, at least 0; found {level.weight}")
        claimed += level.weight * (groups[:, None] != groups[None, :])
    if (claimed > program.distance * (1.0 + 8.0 * EPSILON)).any():
        raise CertificateError("proof.levels: they cost more than the distances")
    total = float(program.weights.sum())
    bound = 0.0
    for level in proof.levels:
        kept = kept_at_most(program.weights, known_parts(program, level.groups), level.multipliers)
        bound += level.weight * max(0.0, total * (1.0 - SUMS * EPSILON) - kept)
    return (bound + least_cost(program)) * (1.0 - (64.0 + 4.0 * len(proof.levels)) * EPSILON)


def known_parts(program: LayeredAssignment, groups: tuple[int, ...]) -> Parts:
    """Return what is known of groups of parts: room for the items of all their parts, and load for as many caps."""
    sizes = np.bincount(np.array(groups))
    capacity = np.bincount(np.array(groups), weights=program.capacity).astype(np.int64)
    capped = program.load_caps is not None
    return Parts(
        capacity=np.minimum(capacity, program.items),
        single=int(program.capacity.sum()) == program.items,  # else an item may have copies
        loads=program.loads if capped else None,
        load_caps=None if program.load_caps is None else program.load_caps * float(sizes.max()) * (1.0 + 1e-9),
    )


def least_cost(program: LayeredAssignment) -> float:
    """Return the sum over all items of their cheapest allowed place."""
    if program.cost is None:
        return 0.0
    cost = program.cost
    if program.allowed is not None:
        cost = np.where(program.allowed, cost, np.inf)
    least = cost.min(axis=2)
    return float(np.where(np.isfinite(least), least, 0.0).sum())
