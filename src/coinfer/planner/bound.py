"""What a proof says of the problem, in the user's sense; used by planner and checker alike, free of any solver."""

from __future__ import annotations

from coinfer.planner.rounding import objective_margin, widened
from coinfer.solver.certificate.tree import BoundProof, check_bound
from coinfer.solver.program import MixedIntegerProgram

TOLERANCE = 1e-9
"""Difference, relative to ``max(1, |value|)``, below which a value and a bound count as equal."""


def proven_value(program: MixedIntegerProgram, proof: BoundProof) -> float:
    """Return the largest value any decision can have, as ``proof`` shows it without a solver.

    Raises
    ------
    CertificateError
        If the proof does not hold; the sentence names the leaf.
    """
    bound = check_bound(widened(program), proof)
    return -float(bound) + objective_margin(program)


def closes(value: float, bound: float) -> bool:
    """Return True when ``value`` is optimal given the upper limit ``bound``, within :data:`TOLERANCE`."""
    return bound - value <= TOLERANCE * max(1.0, abs(value))
