"""Covers and cliques of conflicts that linear rows imply: rows for the prices, found by themselves."""

from __future__ import annotations

import numpy as np

from coinfer.solver.certificate.boxes import Cut
from coinfer.solver.monotonic.program import FloatArray, IntArray, MonotonicProgram

MOST = 32
"""Cuts of one search; each costs time in every box."""


class Cuts:
    """The cuts so far, and their block of rows.

    Parameters
    ----------
    program
        The program. Only variables with two levels, and rows that can hold at all, take part.
    """

    def __init__(self, program: MonotonicProgram) -> None:
        rows = program.rows
        self.start = program.lower
        self._two = program.upper - program.lower == 1
        self._coefficients = np.where(self._two & (rows.coefficients > 0.0), rows.coefficients, 0.0)
        least = np.maximum(rows.coefficients, 0.0) @ program.lower + np.minimum(rows.coefficients, 0.0) @ program.upper
        self._room = program.row_limits - least
        self.found: list[Cut] = []
        self.matrix: FloatArray = np.zeros((0, program.variables))
        self.limits: FloatArray = np.zeros(0)
        self._add_cliques()

    def add_cover(self, row: int, first: IntArray) -> bool:
        """Add a cover of ``row`` made of the columns that stand first in ``first``; True when it is new.

        It is made minimal, and then extended by all columns that take at least as much as each of its own.
        """
        takes = self._coefficients[row]
        order = [int(j) for j in first if takes[j] > 0.0]
        total = np.cumsum(takes[order])
        if self._room[row] < 0.0 or len(order) < 2 or not total[-1] > self._room[row]:
            return False
        cover = order[: int(np.argmax(total > self._room[row])) + 1]
        sum_of = float(takes[cover].sum())
        for j in reversed(cover[:-1]):
            if sum_of - takes[j] > self._room[row]:
                cover.remove(j)
                sum_of -= float(takes[j])
        if len(cover) < 2:  # the column alone does not fit: a reduction finds that
            return False
        extended = set(cover) | set(np.flatnonzero(takes >= takes[cover].max()).tolist())
        return self._add(Cut(columns=tuple(sorted(extended)), limit=len(cover) - 1, row=row))

    def forget(self) -> None:
        """Drop the newest cut, which no leaf may name yet."""
        self.found.pop()
        self.matrix, self.limits = self.matrix[:-1], self.limits[:-1]

    def _add_cliques(self) -> None:
        """Add maximal sets of columns of which any two break a row, largest degree first."""
        count = self._coefficients.shape[1]
        conflict = np.zeros((count, count), dtype=bool)
        for takes, room in zip(self._coefficients, self._room, strict=True):
            pair = (takes[:, None] + takes[None, :] > room) & (takes[:, None] > 0.0) & (takes[None, :] > 0.0)
            conflict |= pair & bool(room >= 0.0)
        np.fill_diagonal(conflict, False)
        order = np.argsort(-conflict.sum(axis=1), kind="stable")
        covered = np.zeros_like(conflict)
        for start in order.tolist():
            clique = [start]
            common = conflict[start].copy()
            for j in order.tolist():
                if common[j]:
                    clique.append(j)
                    common &= conflict[j]
            block = np.ix_(clique, clique)
            if len(clique) >= 2 and not covered[block].all() and not self._is_row(clique):
                self._add(Cut(columns=tuple(sorted(clique)), limit=1))
            covered[block] = True

    def _is_row(self, clique: list[int]) -> bool:
        """Whether one linear row says as much as the clique."""
        part = self._coefficients[:, clique]
        return bool(((part > 0.0).all(axis=1) & (part.min(axis=1) >= self._room * (1.0 - 1e-9))).any())

    def _add(self, cut: Cut) -> bool:
        if cut in self.found or len(self.found) >= MOST:
            return False
        row = np.zeros((1, len(self.start)))
        row[0, list(cut.columns)] = 1.0
        self.found.append(cut)
        self.matrix = np.concatenate([self.matrix, row])
        self.limits = np.append(self.limits, float(cut.limit + self.start[list(cut.columns)].sum()))
        return True
