"""Canonical programs, always minimised.

Arrays, not expression objects: one array operation per constraint family, which is 10 to 80 times cheaper to
build than an object per term.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedIntegerProgram:
    r"""A mixed-integer linear program in compressed sparse row form.

    .. math:: \min_x\ c^\top x + c_0 \quad \text{s.t. } a \le A x \le b,\ l \le x \le u,\ x_j \in \mathbb{Z}\ (j \in I)

    Attributes
    ----------
    cost
        :math:`c`, (variables,).
    offset
        :math:`c_0`.
    lower, upper
        :math:`l, u`, (variables,); may be infinite for continuous variables.
    integer
        True where :math:`j \in I`, (variables,).
    row_start
        (rows + 1,): row ``i`` has the entries ``row_start[i]:row_start[i + 1]`` of ``column`` and ``coefficient``.
    column, coefficient
        (entries,): :math:`A`; columns ascend within a row, and no coefficient is 0.
    row_lower, row_upper
        :math:`a, b`, (rows,); infinite where one-sided.
    variable_blocks, row_blocks
        Name of each family and the slice of indices it owns, in order.
    """

    cost: FloatArray
    offset: float
    lower: FloatArray
    upper: FloatArray
    integer: NDArray[np.bool_]
    row_start: IntArray
    column: IntArray
    coefficient: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    variable_blocks: MappingProxyType[str, slice]
    row_blocks: MappingProxyType[str, slice]

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self.cost)

    @property
    def rows(self) -> int:
        """Number of constraint rows."""
        return len(self.row_lower)

    @property
    def row_of_entry(self) -> IntArray:
        """Row index of every entry, (entries,)."""
        return np.repeat(np.arange(self.rows), np.diff(self.row_start))

    def activity(self, point: FloatArray) -> FloatArray:
        """Return :math:`A x`, (rows,)."""
        product = self.coefficient * point[self.column]
        return np.bincount(self.row_of_entry, weights=product, minlength=self.rows).astype(np.float64)

    def value(self, point: FloatArray) -> float:
        """Return the objective of ``point``."""
        return float(self.cost @ point) + self.offset

    def violation(self, point: FloatArray) -> float:
        """Return the largest amount by which ``point`` breaks a row, a bound or integrality; 0 when feasible."""
        activity = self.activity(point)
        parts = [
            self.row_lower - activity,
            activity - self.row_upper,
            self.lower - point,
            point - self.upper,
            np.abs(point - np.round(point))[self.integer],
        ]
        return max((float(part.max()) for part in parts if len(part)), default=0.0)


class _Variables(NamedTuple):
    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: NDArray[np.bool_]


class _Rows(NamedTuple):
    row: IntArray
    column: IntArray
    coefficient: FloatArray
    lower: FloatArray
    upper: FloatArray


class ProgramBuilder:
    """Collects variables and rows, family by family, and makes a :class:`MixedIntegerProgram`.

    >>> builder = ProgramBuilder()
    >>> x = builder.variables("x", 3, cost=[-3.0, -2.0, -2.0], upper=1.0, integer=True)
    >>> builder.rows("budget", row=[0, 0, 0], column=x, coefficient=[2.0, 1.0, 1.0], upper=2.0)
    >>> program = builder.build()
    >>> program.value(np.array([0.0, 1.0, 1.0])), program.rows
    (-4.0, 1)
    """

    def __init__(self) -> None:
        self._variables: dict[str, _Variables] = {}
        self._rows: dict[str, _Rows] = {}
        self._variable_count = 0
        self._row_count = 0
        self.offset = 0.0

    def variables(
        self,
        name: str,
        count: int,
        *,
        cost: ArrayLike = 0.0,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        integer: bool = False,
    ) -> IntArray:
        """Add ``count`` variables and return their indices, (count,)."""
        if name in self._variables:
            raise InputError("variables", expected="a new block name", found=name)

        def full(number: ArrayLike) -> FloatArray:
            return np.broadcast_to(np.asarray(number, dtype=np.float64), (count,)).copy()

        self._variables[name] = _Variables(full(cost), full(lower), full(upper), np.full(count, bool(integer)))
        self._variable_count += count
        return np.arange(self._variable_count - count, self._variable_count)

    def rows(
        self,
        name: str,
        *,
        row: ArrayLike,
        column: ArrayLike,
        coefficient: ArrayLike,
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
        count: int | None = None,
    ) -> None:
        """Add a family of rows from coordinate triples.

        Parameters
        ----------
        name
            Family name, new in this program.
        row, column, coefficient
            (entries,) each: row within the family, variable index, number. Scalars are repeated; entries of one
            place are added up.
        lower, upper
            Scalar or (count,).
        count
            Rows of the family; by default one more than the largest ``row``.
        """
        if name in self._rows:
            raise InputError("rows", expected="a new family name", found=name)
        triples = np.broadcast_arrays(np.asarray(row), np.asarray(column), np.asarray(coefficient, dtype=np.float64))
        row_index, column_index, number = (part.ravel() for part in triples)
        size = count if count is not None else (int(row_index.max()) + 1 if len(row_index) else 0)
        low, high = (np.broadcast_to(np.asarray(side, dtype=np.float64), (size,)).copy() for side in (lower, upper))
        shifted = row_index.astype(np.int64) + self._row_count
        self._rows[name] = _Rows(shifted, column_index.astype(np.int64), number.copy(), low, high)
        self._row_count += size

    def build(self) -> MixedIntegerProgram:
        """Check the parts and return the program.

        Raises
        ------
        InputError
            For NaN, an infinite coefficient or cost, a column out of range, or an infinite bound on an integer.
        """
        none = np.zeros(0)
        cost, lower, upper, integer = (
            np.concatenate(parts)
            for parts in zip(_Variables(none, none, none, none > 0), *self._variables.values(), strict=True)
        )
        index = np.zeros(0, dtype=np.int64)
        row, column, number, row_lower, row_upper = (
            np.concatenate(parts)
            for parts in zip(_Rows(index, index, none, none, none), *self._rows.values(), strict=True)
        )
        if len(column) and not 0 <= column.min() <= column.max() < self._variable_count:
            raise InputError("column", expected=f"variable indices below {self._variable_count}", found=column.max())
        # One key per place: sorts by row, then column, and adds up duplicates.
        places, inverse = np.unique(row * max(self._variable_count, 1) + column, return_inverse=True)
        merged = np.bincount(inverse, weights=number, minlength=len(places)) if len(places) else number
        places, merged = places[merged != 0.0], merged[merged != 0.0]
        row, column = np.divmod(places, max(self._variable_count, 1))
        program = MixedIntegerProgram(
            cost=cost,
            offset=float(self.offset),
            lower=lower,
            upper=upper,
            integer=integer,
            row_start=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self._row_count))]).astype(np.int64),
            column=column,
            coefficient=merged,
            row_lower=row_lower,
            row_upper=row_upper,
            variable_blocks=_blocks({name: len(block.cost) for name, block in self._variables.items()}),
            row_blocks=_blocks({name: len(block.lower) for name, block in self._rows.items()}),
        )
        _check(program)
        return program


def _blocks(sizes: dict[str, int]) -> MappingProxyType[str, slice]:
    blocks, start = {}, 0
    for name, size in sizes.items():
        blocks[name] = slice(start, start + size)
        start += size
    return MappingProxyType(blocks)


def _check(program: MixedIntegerProgram) -> None:
    for name in ("cost", "coefficient"):
        if not np.isfinite(getattr(program, name)).all():
            raise InputError(f"program.{name}", expected="finite numbers", found=getattr(program, name))
    for name in ("lower", "upper", "row_lower", "row_upper"):
        if np.isnan(getattr(program, name)).any():
            raise InputError(f"program.{name}", expected="no NaN", found=getattr(program, name))
    bounds = np.concatenate([program.lower[program.integer], program.upper[program.integer]])
    if not np.isfinite(bounds).all():
        raise InputError("program.integer", expected="finite bounds on every integer variable", found=bounds)
    for part in (program.cost, program.lower, program.upper, program.coefficient, program.row_lower, program.row_upper):
        part.flags.writeable = False
