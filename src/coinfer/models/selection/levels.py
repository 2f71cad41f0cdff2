r"""Configuration levels as integer variables: one variable for each model, not one for each configuration.

Experts of one ``group`` are configurations of a model (device, quantisation, batch cap, power mode), and at most one of
them is selected. Here the group is one integer variable: 0 keeps none, level :math:`k` its :math:`k`-th configuration.
What a level gives and takes is no monotone function of it: energy per request falls and rises again with the batch
cap. It is mixed monotone, for any numbers :math:`t_0, \dots, t_L` of the levels:

.. math::

   h(x, y) = \begin{cases} \max_{y \le k \le x} t_k & x \ge y \\ \min_{x \le k \le y} t_k & x < y \end{cases}

is nondecreasing in :math:`x`, nonincreasing in :math:`y`, and :math:`h(x, x) = t_x`: raising :math:`x` first shrinks
the interval of the minimum, then lets that of the maximum grow. Sums and maxima of such functions are mixed monotone
too, so :math:`F(u, l)` takes of each group the best level in the box, and :math:`G(l, u)` the least that it can use.

The binary statement (:mod:`coinfer.models.selection.monotonic`) is the default: its bounds know the prices of the
limits, these do not. Each checks the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import Plain, ProblemError
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.monotonic import monotonic_program
from coinfer.solver.monotonic.program import (
    Constraint,
    FacilityLocation,
    FloatArray,
    IntArray,
    MixedAtMost,
    MixedMonotone,
    MonotonicProgram,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeveledProgram:
    """A selection problem with one integer variable for each model.

    Attributes
    ----------
    program
        Its objective is mixed monotone; variable ``g`` is the level of model ``g``.
    models
        Name of each model: the group, or the expert that is in none.
    levels
        By model, the experts of level 1, 2, ...
    """

    program: MonotonicProgram
    models: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    def selected(self, point: IntArray) -> tuple[str, ...]:
        """Return the names of the experts that a point selects."""
        return tuple(names[level - 1] for names, level in zip(self.levels, point.tolist(), strict=True) if level > 0)


def leveled_program(problem: SelectionProblem) -> LeveledProgram:
    """State ``problem`` with configuration levels, in the order of the problem's experts.

    Raises
    ------
    ProblemError
        If its gate follows scores, or a limit couples the routing.
    """
    if problem.gate not in ("oracle", "category"):
        raise ProblemError("gate", expected="'oracle' or 'category' for levels", found=problem.gate)
    binary = monotonic_program(problem)
    if not isinstance(binary.objective, FacilityLocation):
        raise ProblemError("gate", expected="a facility location", found=Plain("another objective"))
    groups: dict[tuple[bool, str], list[int]] = {}
    for n, expert in enumerate(problem.experts):
        key = (False, expert.name) if expert.group is None else (True, expert.group)
        groups.setdefault(key, []).append(n)
    members = list(groups.values())
    program = _leveled(binary, binary.objective, members)
    names = [expert.name for expert in problem.experts]
    return LeveledProgram(
        program=program,
        models=tuple(name for _, name in groups),
        levels=tuple(tuple(names[n] for n in group) for group in members),
    )


def _leveled(binary: MonotonicProgram, objective: FacilityLocation, members: list[list[int]]) -> MonotonicProgram:
    """Turn a program over experts into one over levels."""
    values = objective.values
    least = np.where(np.isfinite(values), values, np.inf).min(axis=1, initial=np.inf)
    least = np.where(np.isfinite(least), least, 0.0)  # a unit that nobody may answer: never feasible
    worth = [
        np.vstack([least, np.where(np.isfinite(values[:, group]), values[:, group], least[:, None]).T])
        for group in members
    ]
    able = [np.vstack([np.zeros(len(values)), np.isfinite(values[:, group]).T * 1.0]) for group in members]
    barred = (binary.upper < 1).astype(np.float64)
    required = (binary.lower > 0).astype(np.float64)
    constraints: list[Constraint] = [
        MixedAtMost(oracle=_Served(able), limit=-float(len(values)), name="every unit is answered"),
    ]
    rows = binary.rows
    tables = [
        (own, limit, name) for own, limit, name in zip(rows.coefficients, binary.row_limits, rows.names, strict=True)
    ]
    tables += [(barred, 0.0, "barred"), (-required, -float(required.sum()), "required")]
    for own, limit, name in tables:
        if np.any(own != 0.0) or limit < 0.0:
            amounts = [np.concatenate([[0.0], own[group]])[:, None] for group in members]
            constraints.append(MixedAtMost(oracle=_Total(amounts), limit=float(limit), name=name))
    return MonotonicProgram(
        lower=np.zeros(len(members), dtype=np.int64),
        upper=np.array([len(group) for group in members], dtype=np.int64),
        objective=MixedMonotone(oracle=_Best(worth, objective.weights)),
        constraints=tuple(constraints),
    )


class _Levels:
    """The numbers of each model's levels, and :math:`h` of them."""

    def __init__(self, tables: list[FloatArray]) -> None:
        self._tables = tables  # by model: (levels + 1, units)

    def between(self, rising: IntArray, falling: IntArray) -> list[FloatArray]:
        """Return :math:`h(x, y)` of each model, (units,) each."""
        return [
            table[y : x + 1].max(axis=0) if x >= y else table[x : y + 1].min(axis=0)
            for table, x, y in zip(self._tables, rising.tolist(), falling.tolist(), strict=True)
        ]


class _Best(_Levels):
    """The weighted sum over the units of the best model's value."""

    def __init__(self, tables: list[FloatArray], weights: FloatArray) -> None:
        super().__init__(tables)
        self._weights = weights

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        pairs = zip(rising, falling, strict=True)
        return np.array([float(np.max(self.between(x, y), axis=0) @ self._weights) for x, y in pairs])


class _Served(_Levels):
    """Minus the number of units that some model may answer: falls in its first argument, so the two change places."""

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        pairs = zip(rising, falling, strict=True)
        return np.array([-float(np.max(self.between(y, x), axis=0).sum()) for x, y in pairs])


class _Total(_Levels):
    """The sum over the models of what their levels use."""

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        pairs = zip(rising, falling, strict=True)
        return np.array([float(np.sum(self.between(x, y))) for x, y in pairs])
