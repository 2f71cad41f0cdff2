"""What a proof says of the problem, in the user's sense; used by planner and checker alike, free of any solver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.errors import CertificateError
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.formulate import formulate
from coinfer.models.selection.monotonic import monotonic_program, why_not_monotonic
from coinfer.models.selection.values import values
from coinfer.planner.rounding import objective_margin, value_margin, widened, widened_rows
from coinfer.planner.selection.document import Certificate
from coinfer.solver.certificate.boxes import BoxProof
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.certificate.tree import BoundProof, check_bound
from coinfer.solver.program import MixedIntegerProgram

TOLERANCE = 1e-9
"""Difference, relative to the scale of the values, below which a value and a bound count as equal."""


def scale_of(problem: SelectionProblem) -> float:
    """Return the largest value in absolute value: what a difference of values is compared with."""
    table = np.abs(values(problem))
    return float(table.max(initial=0.0, where=np.isfinite(table))) or 1.0  # absent figures have no value


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the evidence of a certificate shows.

    Attributes
    ----------
    bound
        No decision is worth more.
    leaves
        How many leaves were re-computed.
    where
        Which leaf sets the bound, in words; empty for proofs that do not say.
    """

    bound: float
    leaves: int
    where: str


def shown_by(problem: SelectionProblem, certificate: Certificate) -> Shown | None:
    """Return what the evidence in ``certificate`` shows without a solver; ``None`` without evidence.

    Raises
    ------
    CertificateError
        If it does not hold, or if there are two; the sentence names the leaf.
    """
    if certificate.proof is not None and certificate.leaves is not None:
        raise CertificateError("certificate: expected one proof; found two")
    if certificate.leaves is not None:
        return searched(problem, certificate.leaves)
    if certificate.proof is not None:
        proof = certificate.proof
        return Shown(bound=proven_value(formulate(problem), proof), leaves=len(proof.leaves), where="")
    return None


def searched(problem: SelectionProblem, leaves: BoxProof) -> Shown:
    """Return what the leaves of a monotonic search show.

    Raises
    ------
    CertificateError
        If they do not hold; the sentence names the leaf.
    """
    reason = why_not_monotonic(problem)
    if reason is not None:
        raise CertificateError(f"certificate.leaves: the problem has no monotonic program: {reason}")
    program = widened_rows(monotonic_program(problem))
    with np.errstate(over="ignore", invalid="ignore"):  # absurd prices: what is no number shows nothing
        found = check_boxes(program, leaves)
    bound = math.nextafter(found.bound, math.inf) + value_margin(program)
    where = "" if found.leaf is None else f", at leaf {found.leaf}"
    return Shown(bound=bound, leaves=len(leaves.leaves), where=where)


def proven_value(program: MixedIntegerProgram, proof: BoundProof) -> float:
    """Return the largest value any decision can have, as ``proof`` shows it without a solver.

    Raises
    ------
    CertificateError
        If the proof does not hold; the sentence names the leaf.
    """
    return upper_limit(program, check_bound(widened(program), proof))


def upper_limit(program: MixedIntegerProgram, bound: Fraction | float) -> float:
    """Return a proven lower bound of the widened ``program`` as the largest value of a decision, rounded upwards."""
    try:
        number = float(-bound)
    except OverflowError:  # a true bound, and a useless one
        number = math.inf if bound < 0 else -math.inf
    return math.nextafter(number, math.inf) + objective_margin(program)


def closes(value: float, bound: float, scale: float) -> bool:
    """Return True when ``value`` is optimal given the upper limit ``bound``, within :data:`TOLERANCE` of the scale."""
    return bound - value <= TOLERANCE * scale
