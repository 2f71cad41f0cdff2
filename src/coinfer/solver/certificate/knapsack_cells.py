"""The cells of :mod:`coinfer.solver.certificate.knapsack_lattice`, and which of their counts are solved for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from coinfer.solver.certificate.knapsack_open import OpenRow
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An option that copies of a row can take in place of the best one.

    Attributes
    ----------
    row, place
        Place of its row, and its own in it.
    most
        Copies that can take it without losing more than is allowed.
    loss, gain, cost
        Of one copy, against the best option; of each resource with a limit.
    """

    row: int
    place: int
    most: int
    loss: Fraction
    gain: Fraction
    cost: tuple[Fraction, ...]


def unit_of(numbers: list[Fraction]) -> Fraction:
    """Return a power of two near to the largest of the numbers, so that floats of the others are in range."""
    largest = max(map(abs, numbers), default=Fraction(0))
    return Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length())


def cells_of(rows: list[OpenRow], kept: list[int], allowed: Fraction) -> list[Cell]:
    """Return the options besides the best that a copy can take without losing more than is allowed."""
    cells = []
    for number, row in enumerate(rows):
        best = row.loss.index(Fraction(0))
        for place, loss in enumerate(row.loss):
            most = row.copies if loss == 0 else min(row.copies, int(allowed / loss))
            if place != best and most > 0:
                cost = tuple(row.cost[place][r] for r in kept)
                cells.append(Cell(row=number, place=place, most=most, loss=loss, gain=row.gain[place], cost=cost))
    return cells


def solved_for(cells: list[Cell], prices: list[Fraction]) -> tuple[list[Cell], IntArray, FloatArray]:
    """Return the cells whose counts are solved for, the budgets that they are solved from, and the inverse.

    Those of least loss whose priced costs are independent, by elimination in exact arithmetic.
    """
    priced = [r for r, price in enumerate(prices) if price > 0]
    taken: list[Cell] = []
    axes: list[int] = []
    reduced: list[tuple[int, list[Fraction]]] = []
    for cell in sorted(cells, key=lambda own: (own.loss, -own.most)):
        if len(taken) == len(priced) or cell.most < 2:
            break
        column = [prices[r] * cell.cost[r] for r in priced]
        for pivot, other in reduced:
            factor = column[pivot] / other[pivot]
            column = [own - factor * old for own, old in zip(column, other, strict=True)]
        pivot = max(range(len(priced)), key=lambda at: abs(column[at]))
        if column[pivot]:
            reduced.append((pivot, column))
            taken.append(cell)
            axes.append(priced[pivot])
    inverse = _inverse([[cell.cost[r] for cell in taken] for r in axes])
    return taken, np.array(axes, dtype=np.int64), np.array(inverse).reshape(len(taken), len(taken))


def _inverse(matrix: list[list[Fraction]]) -> list[list[float]]:
    """Return the inverse of a regular matrix, made in exact arithmetic."""
    size = len(matrix)
    table = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(j for j in range(i, size) if table[j][i])
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [own / table[i][i] for own in table[i]]
        for j in range(size):
            if j != i and table[j][i]:
                table[j] = [own - table[j][i] * up for own, up in zip(table[j], table[i], strict=True)]
    return [[float(own) for own in row[size:]] for row in table]
