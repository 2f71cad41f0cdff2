"""What an online price gives prompts, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.planner.budget.online.ledger import Ledger, fitting, floats, less
from coinfer.planner.budget.online.sample import Sample
from coinfer.solver.program import FloatArray, IntArray

Given = tuple[IntArray, FloatArray, FloatArray]
"""Options, expected amounts and reserved amounts of prompts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """What prompts were given, until they report what they took.

    Attributes
    ----------
    option
        (prompts,): the option, or -1 where none fits what is left: the prompt is refused.
    expected, reserved
        (resources, prompts): what the option takes by its menu, and at most. Read only.
    owner, number
        The price that gave them, and their number there: they are finished once, and there.
    """

    option: IntArray
    expected: FloatArray
    reserved: FloatArray
    owner: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an online price stands.

    Attributes
    ----------
    limits, spent, reserved
        Of each resource: the cap, what finished prompts took, and the most that prompts in flight can still take.
    passed
        How much more than the cap is spent; 0 where the cap holds.
    excess, exceeding
        What finished prompts took above what was said to be the most, where there is a cap, and how many did.
    drift
        At the first prices, what recent prompts take over what the pilot's do, less 1: the largest that was notable
        (by 5 %, and by four standard errors), else the last.
    noticed
        Whether it was notable.
    foreseen
        Whether the order may be any, so that recent prompts may well differ from the pilot's.
    """

    limits: tuple[float, ...]
    spent: tuple[float, ...]
    reserved: tuple[float, ...]
    passed: tuple[float, ...]
    excess: tuple[float, ...]
    exceeding: int
    drift: tuple[float, ...]
    noticed: tuple[bool, ...]
    foreseen: bool

    def sentences(self, resources: Sequence[str]) -> tuple[str, ...]:
        """Return what a person should know, with the names of the resources; nothing where all is well."""
        told = []
        for name, more, over in zip(resources, self.passed, self.excess, strict=True):
            if over > 0.0:
                held = f"the cap is passed by {more:.6g}" if more > 0.0 else "the cap holds"
                told.append(f"{name}: prompts took {over:.6g} more than was said to be their most; {held}")
        for name, drift, noticed in zip(resources, self.drift, self.noticed, strict=True):
            if noticed and not self.foreseen:
                told.append(
                    f"{name}: at the first price, a part of the prompts takes {_share(drift)} than the pilot's. "
                    "They did not come in random order, or the pilot is none of theirs: value may be lost "
                    "(order 'any' is for that, with a pilot of all prompts)"
                )
        return tuple(told)


def standing(ledger: Ledger, sample: Sample, *, foreseen: bool) -> Standing:
    """Return how a price with this ledger and sample stands."""
    sums = (ledger.limits, ledger.spent, ledger.reserved, ledger.passed(), ledger.excess)
    limits, spent, reserved, passed, excess = (tuple(floats(each).tolist()) for each in sums)
    return Standing(
        limits=limits,
        spent=spent,
        reserved=reserved,
        passed=passed,
        excess=excess,
        exceeding=ledger.exceeding,
        drift=tuple(sample.drift.tolist()),
        noticed=tuple(sample.noticed.tolist()),
        foreseen=foreseen,
    )


def together(parts: Sequence[Given], resources: int, *, owner: str, number: int) -> Choices:
    """Return the choices of prompts that arrived together; nobody can change them."""
    options, expected, reserved = [np.empty(0, dtype=np.int64)], [np.empty((resources, 0))], [np.empty((resources, 0))]
    for part in parts:
        options.append(part[0])
        expected.append(part[1])
        reserved.append(part[2])
    made = Choices(
        option=np.concatenate(options),
        expected=np.concatenate(expected, axis=1),
        reserved=np.concatenate(reserved, axis=1),
        owner=owner,
        number=number,
    )
    made.expected.flags.writeable = made.reserved.flags.writeable = False
    return made


def one_by_one(net: FloatArray, worst: FloatArray, room: list[Decimal], option: IntArray) -> FloatArray:
    """Choose prompt by prompt among the options that still fit, writing into ``option``; return the most taken."""
    left, taken = room, np.zeros((len(room), len(net)))
    for row in range(len(net)):
        mine = np.where(fitting(worst[:, row], left), net[row], -np.inf)
        best = int(mine.argmax())
        option[row] = best if mine[best] > -np.inf else -1
        if option[row] >= 0:
            taken[:, row] = worst[:, row, best]
            left = less(left, taken[:, row])
    return taken


def check_menus(values: FloatArray, costs: FloatArray) -> None:
    """Refuse values that are NaN or ``inf``, and costs that are not finite or below 0, with an InputError."""
    bad = np.isnan(values) | (values == np.inf)
    if bad.any() or not np.isfinite(costs).all() or (costs < 0.0).any():
        raise InputError("menu", expected="values that are numbers, and costs of at least 0", found=Plain("others"))


def _share(drift: float) -> str:
    if drift == np.inf:
        return "more (those take nothing)"
    return f"{abs(drift):.0%} {'more' if drift > 0.0 else 'less'}"
