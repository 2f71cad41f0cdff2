"""What a proof says of the problem, in the user's sense; used by planner and checker alike, free of any solver."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coinfer.models.problem import Problem
from coinfer.planner.rounding import objective_margin, widened
from coinfer.solver.certificate.tree import BoundProof, check_bound
from coinfer.solver.program import MixedIntegerProgram

TOLERANCE = 1e-9
"""Difference, relative to the scale of the quality, below which a value and a bound count as equal."""


def scale_of(problem: Problem) -> float:
    """Return the largest quality in absolute value: what a difference of values is compared with."""
    return float(np.abs(problem.quality.array).max(initial=0.0)) or 1.0


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
