"""Reduction: cut from a box what cannot be feasible, or cannot be better, without losing a point that could be both.

Whatever is cut is written to the ledger as a branch with a finished leaf on one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.certificate.boxes import BoxLeaf
from coinfer.solver.monotonic.audit import Witness
from coinfer.solver.monotonic.feasible import Feasibility, OracleTest
from coinfer.solver.monotonic.goal import Goal
from coinfer.solver.monotonic.ledger import Box, Ledger
from coinfer.solver.monotonic.program import FloatArray, IntArray

Side = Literal["lower", "upper"]
Emptiness = Callable[[IntArray, IntArray], FloatArray]
"""A number per box that can only grow as the box shrinks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probed:
    """What single variables of a box were found to lose.

    Attributes
    ----------
    levels
        (variables probed,) new upper levels where the upper corner was probed from above the lower one, or new lower
        levels; the old one where nothing is cut.
    shown
        (variables probed,) the emptiness of what is cut.
    halves
        (variables probed,) the emptiness of the half of the box that a bisection of the variable would leave.
    """

    levels: IntArray
    shown: FloatArray
    halves: FloatArray


def probe(
    box: Box, which: IntArray, side: Side, emptiness: Emptiness, closes: Callable[[FloatArray], NDArray[np.bool_]]
) -> Probed:
    """Find by bisection of its levels how much of each variable can be cut.

    Parameters
    ----------
    box
        The box.
    which
        Variables with more than one level.
    side
        ``upper``: cut from below, by the emptiness of boxes whose upper corner is lower; the new lower levels are
        found. ``lower``: the other way round.
    emptiness, closes
        The measure, and from which number on a box is finished.
    """
    away = side == "lower"
    known = (box.upper + 1 if away else box.lower - 1)[which]
    open_ = (box.lower if away else box.upper)[which].copy()
    shown, halves = np.full(len(which), np.nan), np.full(len(which), np.nan)
    first = True
    while True:
        active = np.flatnonzero(np.abs(open_ - known) > 1)
        if len(active) == 0:
            levels = known - 1 if away else known + 1
            return Probed(levels=levels, shown=shown, halves=halves)
        middle = (known + open_)[active] // 2
        lowers = np.repeat(box.lower[None, :], len(active), axis=0)
        uppers = np.repeat(box.upper[None, :], len(active), axis=0)
        (lowers if away else uppers)[np.arange(len(active)), which[active]] = middle
        found = emptiness(lowers, uppers)
        if first:
            halves, first = found, False
        closed = closes(found)
        shown[active] = np.where(closed, found, shown[active])
        known[active] = np.where(closed, middle, known[active])
        open_[active] = np.where(closed, open_[active], middle)


def by_rows(box: Box, feasibility: Feasibility, ledger: Ledger) -> bool:
    """Cut what no linear row allows, until nothing changes; True when something was cut."""
    matrix, limits = feasibility.matrix, feasibility.limits
    changed = False
    size = np.abs(matrix)
    while len(limits):
        least = feasibility.least(box.lower, box.upper)
        if (least > limits).any():  # the whole box is empty
            return changed
        room = np.divide((limits - least)[:, None], size, out=np.full_like(size, np.inf), where=size > 0.0)
        steps = np.floor(np.minimum(room, 2.0**53))
        steps += least[:, None] + size * (steps + 1.0) <= limits[:, None]  # rounding of the quotient
        fewest = steps.min(axis=0)
        cut = np.flatnonzero(fewest < box.upper - box.lower)
        if len(cut) == 0:
            return changed
        changed = True
        for i in cut.tolist():
            row = int(steps[:, i].argmin())
            leaf, kept = BoxLeaf(method="constraint", constraint=row), int(fewest[i])
            if matrix[row, i] > 0.0:
                ledger.drop_upper(box, i, int(box.lower[i]) + kept, leaf)
            else:
                ledger.raise_lower(box, i, int(box.upper[i]) - kept, leaf)
    return changed


def by_test(box: Box, test: OracleTest, feasibility: Feasibility, ledger: Ledger, witness: Witness) -> bool:
    """Cut what an oracle constraint rules out; True when something was cut."""
    changed = False
    sides: tuple[Side, Side] = ("lower", "upper")
    for side, able in zip(sides, (test.by_lower, test.by_upper), strict=True):
        which = np.flatnonzero(box.lower < box.upper)
        if not able or len(which) == 0:
            continue
        whole = float(test.excess(box.lower[None, :], box.upper[None, :])[0])
        found = probe(box, which, side, test.excess, lambda excess: excess > 0.0)
        audit(
            witness,
            test.constraint.name,
            "the constraint is monotone",
            box,
            which,
            side,
            whole,
            found,
            test.oracle.largest,
        )
        for i, level in zip(which.tolist(), found.levels.tolist(), strict=True):
            if side == "lower" and level < box.upper[i]:
                upper = box.upper.copy()
                ledger.drop_upper(box, i, level, feasibility.leaf(test, upper))
                changed = True
            elif side == "upper" and level > box.lower[i]:
                upper = box.upper.copy()
                upper[i] = level - 1
                ledger.raise_lower(box, i, level, feasibility.leaf(test, upper))
                changed = True
    return changed


def by_goal(
    box: Box, goal: Goal, side: Side, bound: float, cutoff: float, ledger: Ledger, witness: Witness
) -> tuple[bool, FloatArray]:
    """Cut what is worth no more than ``cutoff``; return whether it did, and what halving each variable loses.

    The losses (variables,) are 0 for variables that have one level.
    """
    which = np.flatnonzero(box.lower < box.upper)
    losses = np.zeros(len(box.lower))
    if len(which) == 0:
        return False, losses
    single = goal.single if side == "upper" and (box.upper - box.lower <= 1).all() else None

    def emptiness(lowers: IntArray, uppers: IntArray) -> FloatArray:
        return -(goal.bounds(lowers, uppers) if single is None else single.removed(box.upper, which))

    found = probe(box, which, side, emptiness, lambda emptier: emptier >= -cutoff)
    audit(witness, "objective", "the objective is monotone", box, which, side, -bound, found, goal.largest)
    losses[which] = np.nan_to_num(np.maximum(bound + found.halves, 0.0))
    changed = False
    for i, level, shown in zip(which.tolist(), found.levels.tolist(), found.shown.tolist(), strict=True):
        if side == "upper" and level > box.lower[i]:
            ledger.raise_lower(box, i, level, goal.leaf(-shown))
            changed = True
        elif side == "lower" and level < box.upper[i]:
            ledger.drop_upper(box, i, level, goal.leaf(-shown))
            changed = True
    return changed, losses


def audit(
    witness: Witness,
    where: str,
    what: str,
    box: Box,
    which: IntArray,
    side: Side,
    whole: float,
    found: Probed,
    size: float,
) -> None:
    """Note where half of a box is less empty than the box: for nothing, as the halves are known already."""
    if not (whole - found.halves > 0.0).any():
        return
    corner = box.lower if side == "lower" else box.upper
    probes = np.repeat(corner[None, :], len(which), axis=0)
    middle = (box.lower + box.upper + (1 if side == "lower" else -1)) // 2
    probes[np.arange(len(which)), which] = middle[which]
    before = np.repeat(corner[None, :], len(which), axis=0), np.full(len(which), whole)
    if side == "lower":
        witness.ordered(where, what, before, (probes, found.halves), size)
    else:
        witness.ordered(where, what, (probes, -found.halves), (before[0], -before[1]), size)
