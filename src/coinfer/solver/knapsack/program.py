"""The multiple-choice knapsack: one option for every copy of every row, within one or several budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """The menus of consecutive rows.

    Attributes
    ----------
    value
        (rows, options): what one copy of the row gains by the option; ``-inf`` where the row does not have the option.
        Never NaN or ``inf``.
    cost
        (resources, rows, options): what the option takes of each resource, of any sign, finite wherever the option is
        there.
    copies
        (rows,): how many copies each row stands for, at least 1; each of them takes an option of its own.
    """

    value: FloatArray
    cost: FloatArray
    copies: IntArray


class Menus(Protocol):
    """Where menus come from. Rows are asked for in blocks, as often as an algorithm needs them, in any order."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def options(self) -> int:
        """Width of every menu, options that are not there included."""

    @property
    def resources(self) -> int:
        """Number of budgets."""

    def block(self, start: int, stop: int) -> Block:
        """Return rows ``start`` to ``stop``; the same numbers each time. The arrays are not written to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredMenus:
    """Menus that stand in memory; the arrays are kept, not copied.

    Attributes
    ----------
    value, cost, copies
        As in :class:`Block`, for all rows; copies absent: one of each.
    """

    value: FloatArray
    cost: FloatArray
    copies: IntArray | None = None

    def __post_init__(self) -> None:
        if self.value.ndim != 2 or self.cost.ndim != 3 or self.cost.shape[1:] != self.value.shape:
            found = Plain(f"value {self.value.shape} and cost {self.cost.shape}")
            raise InputError("menus", expected="value (rows, options) and cost (resources, rows, options)", found=found)
        if self.copies is not None and self.copies.shape != self.value.shape[:1]:
            raise InputError("menus.copies", expected="one number for each row", found=Plain(f"{self.copies.shape}"))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.value)

    @property
    def options(self) -> int:
        """Width of every menu."""
        return int(self.value.shape[1])

    @property
    def resources(self) -> int:
        """Number of budgets."""
        return len(self.cost)

    def block(self, start: int, stop: int) -> Block:
        """Return rows ``start`` to ``stop``, as views."""
        value = self.value[start:stop]
        copies = np.ones(len(value), dtype=np.int64) if self.copies is None else self.copies[start:stop]
        return Block(value=value, cost=self.cost[:, start:stop], copies=copies)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FormulaMenus:
    """Menus that are computed when asked for and never stored.

    Attributes
    ----------
    rows, options, resources
        The shape.
    formula
        Returns the block of rows ``start`` to ``stop``.
    """

    rows: int
    options: int
    resources: int
    formula: Callable[[int, int], Block]

    def block(self, start: int, stop: int) -> Block:
        """Return rows ``start`` to ``stop``, computed anew."""
        return self.formula(start, stop)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MultipleChoiceKnapsack:
    r"""Maximise :math:`\sum_i v_{i j(i)}` with :math:`\sum_i c_{r i j(i)} \le B_r` for every resource r.

    A row with several copies is that many rows with one menu. A problem of least cost is the same program: its value is
    the negated cost, its resource the negated value, its budget the negated floor.

    Attributes
    ----------
    menus
        The rows.
    budget
        (resources,): most that may be taken of each; ``inf`` for no limit.
    """

    menus: Menus
    budget: FloatArray

    def __post_init__(self) -> None:
        if self.budget.shape != (self.menus.resources,) or np.isnan(self.budget).any():
            expected = f"{self.menus.resources} number(s), one for each resource"
            raise InputError("budget", expected=expected, found=self.budget)
        if self.menus.rows < 1 or self.menus.options < 1:
            found = Plain(f"{self.menus.rows} row(s) of {self.menus.options} option(s)")
            raise InputError("menus", expected="at least one row with one option", found=found)


def check_shape(block: Block, menus: Menus, start: int, stop: int) -> None:
    """Refuse a block whose arrays are not of the rows that were asked for.

    Raises
    ------
    InputError
        For arrays of other shapes, or copies that are no whole numbers.
    """
    table = (stop - start, menus.options)
    shapes = block.value.shape, block.cost.shape, block.copies.shape
    if shapes != (table, (menus.resources, *table), table[:1]):
        expected = f"value {table}, cost {(menus.resources, *table)} and copies {table[:1]}"
        found = Plain(f"value {shapes[0]}, cost {shapes[1]} and copies {shapes[2]}")
        raise InputError(f"menus[{start}:{stop}]", expected=expected, found=found)
    if block.copies.dtype.kind not in "iu":
        raise InputError("menus.copies", expected="whole numbers", found=Plain(f"{block.copies.dtype}"))


def check_block(block: Block, start: int) -> None:
    """Refuse a block that is not what :class:`Block` says, naming the first row that is wrong.

    Raises
    ------
    InputError
        For NaN, an infinite gain, an infinite cost of an option that is there, a row without any option, or copies
        below 1.
    """
    present = block.value > -np.inf  # False for NaN too
    bad = np.isnan(block.value) | (block.value == np.inf)
    if bad.any():
        row, option = np.argwhere(bad)[0]
        raise InputError(
            f"menus.value[{start + row}][{option}]", expected="a number", found=float(block.value[row, option])
        )
    bad = ~np.isfinite(block.cost) & present
    if bad.any():
        resource, row, option = np.argwhere(bad)[0]
        where = f"menus.cost[{resource}][{start + row}][{option}]"
        raise InputError(where, expected="a finite number", found=float(block.cost[resource, row, option]))
    if not present.any(axis=1).all():
        row = int(np.argmin(present.any(axis=1)))
        raise InputError(f"menus.value[{start + row}]", expected="at least one option", found=Plain("none"))
    if (block.copies < 1).any():
        row = int(np.argmax(block.copies < 1))
        raise InputError(f"menus.copies[{start + row}]", expected="at least 1", found=int(block.copies[row]))
