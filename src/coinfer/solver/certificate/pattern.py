"""Bounds on the rate of pipelines of replicated stages, re-derived from their proofs without a solver."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from coinfer.errors import CertificateError
from coinfer.records import Record
from coinfer.solver.certificate.tree import BoundProof, check_bound
from coinfer.solver.pattern.program import PatternProgram, patterns
from coinfer.solver.pattern.target import target_program
from coinfer.solver.program import FloatArray


class AnyLineBound(Record, frozen=True, kw_only=True):
    """No line of these units, aligned in stages or not, carries ``rate`` or more.

    Attributes
    ----------
    rate
        The bound.
    price
        Of each stage, in steps; 0 where stages are not limited (:mod:`coinfer.solver.pattern.bound`).
    """

    rate: float
    price: float


class StagesBound(Record, frozen=True, kw_only=True):
    """No line of aligned stages, none wider than the program allows, carries more than ``rate``.

    Attributes
    ----------
    rate
        The bound: the largest rate below ``refuted`` that any stage can have.
    refuted
        The next rate that a stage can have, which no line reaches; ``None`` where no stage is faster.
    proof
        Shows that the program of ``refuted``, with the row that the line be covered, has no point: at its root the
        multipliers are prices of units at which every pattern of stages costs too much. ``None`` without ``refuted``.
    """

    rate: float
    refuted: float | None
    proof: BoundProof | None


def check_any_line(program: PatternProgram, bound: AnyLineBound, *, raises: bool = True) -> Fraction:
    """Evaluate the inequality of :mod:`coinfer.solver.pattern.bound` exactly; below 0 it proves the bound.

    Raises
    ------
    CertificateError
        Where ``raises`` and the inequality holds, so that nothing is proven; always for numbers that are none.
    """
    if not (math.isfinite(bound.rate) and bound.rate > 0.0 and math.isfinite(bound.price) and bound.price >= 0.0):
        raise CertificateError("a bound needs a finite rate above 0 and a finite price of at least 0")
    if bound.price > 0.0 and program.stage_limit is None:
        raise CertificateError("a price of stages shows nothing where stages are not limited")
    rate, price = Fraction(bound.rate), Fraction(bound.price)
    total = Fraction(0)
    for kind, count in enumerate(program.units.sum(axis=0).tolist()):
        gains = [
            max(held - price, Fraction(0)) * min(Fraction(number), rate)
            for held, number in enumerate(program.rate[kind].tolist(), start=1)
        ]
        total += count * max(gains)
    slack = total - rate * (program.steps - price * (program.stage_limit or 0))
    if raises and slack >= 0:
        raise CertificateError(f"the units could carry {bound.rate:g}: the bound is not proven")
    return slack


def check_stages(program: PatternProgram, bound: StagesBound) -> None:
    """Build the program of the refuted rate anew and check the proof that it has no point.

    Raises
    ------
    CertificateError
        If a stage can have a rate between the two, or the proof does not show what it claims.
    """
    above = stage_rates(program)
    above = above[above > bound.rate]
    if bound.refuted is None or bound.proof is None:
        if len(above):
            raise CertificateError(f"stages can have rates above {bound.rate:g}")
        return
    if not bound.rate < bound.refuted:
        raise CertificateError("a refuted rate must lie above the bound")
    if (above < bound.refuted).any():
        raise CertificateError(f"stages can have rates between {bound.rate:g} and {bound.refuted:g}")
    target = target_program(program, bound.refuted)
    if check_bound(target.program, bound.proof) != math.inf:
        raise CertificateError(f"the proof leaves lines that carry {bound.refuted:g}")


def stage_rates(program: PatternProgram) -> FloatArray:
    """Return every rate that decides which stages can be used, ascending: the rates of stages and of their passages."""
    found = [np.zeros(1)]
    regions = len(program.units)
    links = np.unique(program.link[~np.eye(regions, dtype=bool)])
    links = links[np.isfinite(links) & (links > 0.0)]
    widths = np.unique(np.multiply.outer(np.arange(1, program.widest + 1), np.arange(1, program.widest + 1)))
    for region in range(regions):
        use = patterns(program, region)
        able = (use @ (program.rate <= 0.0)) == 0
        found.append(np.unique((use @ program.rate)[able]))
        for link in links.tolist():
            others = range(1, program.widest + 1)
            found += [np.unique((use @ np.minimum(program.rate, other * link))[able]) for other in others]
    found.append(np.multiply.outer(widths, links).ravel())
    return np.unique(np.concatenate(found))
