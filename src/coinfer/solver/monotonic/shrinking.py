"""Bound and reduction of a box by gains that shrink: the lower corner, plus priced single steps from there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.audit import Witness
from coinfer.solver.monotonic.cuts import Cuts
from coinfer.solver.monotonic.feasible import Feasibility
from coinfer.solver.monotonic.ledger import Box, Ledger
from coinfer.solver.monotonic.oracles import Counted
from coinfer.solver.monotonic.pricing import Priced, priced
from coinfer.solver.monotonic.program import FloatArray, IntArray

ROUNDS = 4
"""Most covers that are looked for in one box."""
USEFUL = 0.01
"""A cover is kept when it takes at least this share of what is left between bound and incumbent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gained:
    """What the gains of a box show.

    Attributes
    ----------
    which
        Variables with more than one level.
    gains
        Gain of one step of each from the lower corner, (which,).
    priced
        Their bound.
    leaf
        The same as evidence.
    """

    which: IntArray
    gains: FloatArray
    priced: Priced
    leaf: BoxLeaf


def gained(
    box: Box, oracle: Counted, feasibility: Feasibility, cuts: Cuts, *, target: float, separate: bool, witness: Witness
) -> Gained | None:
    """Return the bound of the box by its gains; ``None`` where the oracle no longer answers.

    Parameters
    ----------
    box
        A box that no row shows to be empty.
    oracle
        The objective.
    feasibility, cuts
        The rows.
    target
        A bound of at most this is low enough.
    separate
        Whether to look for covers that lower the bound.
    witness
        Told of gains below 0.
    """
    which = np.flatnonzero(box.lower < box.upper)
    here = float(oracle.values(box.lower[None, :])[0])
    values = oracle.added(box.lower, which)
    if math.isnan(here) or np.isnan(values).any():
        return None
    raised = np.repeat(box.lower[None, :], len(which), axis=0)
    raised[np.arange(len(which)), which] += 1
    witness.ordered(
        "objective",
        "the objective is monotone",
        (box.lower, np.full(len(which), here)),
        (raised, values),
        oracle.largest,
    )
    gains, widths = values - here, (box.upper - box.lower)[which].astype(np.float64)
    shown = _priced(box, here, gains, widths, which, feasibility, cuts, target)
    for _ in range(ROUNDS if separate else 0):
        if shown.bound <= target or not _separate(shown, box, which, feasibility, cuts):
            break
        lower = _priced(box, here, gains, widths, which, feasibility, cuts, target)
        if not shown.bound - lower.bound > USEFUL * (shown.bound - max(target, here)):
            cuts.forget()
            break
        shown = lower
    rows = np.flatnonzero(shown.prices)
    leaf = BoxLeaf(
        method="gains",
        bound=shown.bound,
        rows=tuple(rows.tolist()),
        row_prices=tuple(shown.prices[rows].tolist()),
    )
    return Gained(which=which, gains=gains, priced=shown, leaf=leaf)


def by_gains(box: Box, found: Gained, cutoff: float, ledger: Ledger) -> bool:
    """Cut levels whose reduced gains show that they are worth no more than ``cutoff``; True when some were cut."""
    excess = found.priced.bound - cutoff
    if not math.isfinite(excess):
        return False
    changed = False
    for i, step in zip(found.which.tolist(), found.priced.reduced.tolist(), strict=True):
        width = int(box.upper[i] - box.lower[i])
        if step == 0.0 or abs(step) * width < excess:
            continue
        least = math.ceil(excess / abs(step))  # steps that cost at least the excess
        if abs(step) * least < excess:
            least += 1
        if not 1 <= least <= width:
            continue
        shown = found.priced.bound - abs(step) * least
        leaf = BoxLeaf(method="gains", bound=shown, rows=found.leaf.rows, row_prices=found.leaf.row_prices)
        if shown > cutoff:
            continue
        if step > 0.0:
            ledger.raise_lower(box, i, int(box.upper[i]) - least + 1, leaf)
        else:
            ledger.drop_upper(box, i, int(box.lower[i]) + least - 1, leaf)
        changed = True
    return changed


def _priced(
    box: Box,
    here: float,
    gains: FloatArray,
    widths: FloatArray,
    which: IntArray,
    feasibility: Feasibility,
    cuts: Cuts,
    target: float,
) -> Priced:
    """Return the bound by rows and cuts."""
    matrix = np.concatenate([feasibility.matrix, cuts.matrix])
    room: FloatArray = np.concatenate([feasibility.limits, cuts.limits]) - matrix @ box.lower
    return priced(here, gains, widths, matrix[:, which], room, target)


def _separate(shown: Priced, box: Box, which: IntArray, feasibility: Feasibility, cuts: Cuts) -> bool:
    """Add a cover of the row with the highest price: what is raised already, then the best of what is not."""
    count = len(feasibility.limits)
    if not shown.prices[:count].any():
        return False
    used = shown.prices[:count] * np.abs(feasibility.matrix).max(axis=1, initial=0.0)
    free = which[np.argsort(-shown.reduced, kind="stable")]
    fixed = np.flatnonzero((box.lower == box.upper) & (box.lower > cuts.start))
    return cuts.add_cover(int(np.argmax(used)), np.concatenate([fixed, free]))
