"""Oracles as the search sees them: counted, cached by point, and silent once their calls are used up.

An answer that is not there, because the limit of calls is reached, is NaN. Every test of the search is written so
that NaN proves nothing: no box is closed by it, no point is accepted by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.monotonic.program import FloatArray, IncrementalOracle, IntArray, Oracle, PairOracle

MAX_CACHED = 2**20
"""Answers kept per oracle; later ones are computed anew."""


@dataclass(slots=True)
class Calls:
    """Points at which an oracle was evaluated, by all oracles of one search.

    Attributes
    ----------
    limit
        Most points; ``None`` without a limit.
    made
        Points so far; never more than the limit.
    exhausted
        True as soon as an answer was asked for and not given.
    """

    limit: int | None = None
    made: int = 0
    exhausted: bool = False

    def grant(self, wanted: int) -> int:
        """Return how many of ``wanted`` evaluations may be made, and count them."""
        granted = wanted if self.limit is None else max(0, min(wanted, self.limit - self.made))
        self.made += granted
        self.exhausted = self.exhausted or granted < wanted
        return granted


class Counted:
    """An oracle with a count and a cache.

    Parameters
    ----------
    oracle
        The function.
    calls
        The shared count.
    where
        Name for messages.
    finite
        Whether infinite answers are refused too (they are in an objective).
    """

    def __init__(self, oracle: Oracle, calls: Calls, where: str, *, finite: bool = False) -> None:
        self._oracle, self._calls, self._where, self._finite = oracle, calls, where, finite
        self._steps = oracle if isinstance(oracle, IncrementalOracle) else None
        self._known: dict[bytes, float] = {}
        self.largest = 0.0

    @property
    def incremental(self) -> bool:
        """Whether the oracle knows single steps itself."""
        return self._steps is not None

    def values(self, points: IntArray) -> FloatArray:
        """Return the value of each row of ``points`` (count, variables); NaN beyond the limit of calls.

        Raises
        ------
        InputError
            If the oracle returns anything but one number per point.
        """
        keys = [point.tobytes() for point in points]
        new = list({key: i for i, key in enumerate(keys) if key not in self._known}.values())
        fresh: dict[bytes, float] = {}
        granted = new[: self._calls.grant(len(new))]
        if granted:
            answers = self._checked(self._oracle.values(points[granted]), len(granted))
            fresh = dict(zip((keys[i] for i in granted), answers.tolist(), strict=True))
        found = np.array([fresh[key] if key in fresh else self._known.get(key, np.nan) for key in keys])
        if len(self._known) < MAX_CACHED:
            self._known.update(fresh)
        return found

    def added(self, point: IntArray, which: IntArray) -> FloatArray:
        """Return the value of ``point + e_i`` for each ``i`` of ``which``."""
        return self._stepped(point, which, 1)

    def removed(self, point: IntArray, which: IntArray) -> FloatArray:
        """Return the value of ``point - e_i`` for each ``i`` of ``which``."""
        return self._stepped(point, which, -1)

    def _stepped(self, point: IntArray, which: IntArray, step: int) -> FloatArray:
        if len(which) == 0:
            return np.zeros(0)
        if self._steps is None:
            points = np.repeat(point[None, :], len(which), axis=0)
            points[np.arange(len(which)), which] += step
            return self.values(points)
        here = self.values(point[None, :])[0]
        if self._calls.grant(len(point)) < len(point):
            return np.full(len(which), np.nan)
        steps = self._steps.gains(point) if step > 0 else self._steps.losses(point)
        stepped: FloatArray = here + step * self._checked(np.asarray(steps, dtype=np.float64)[which], len(which))
        return stepped

    def _checked(self, answers: FloatArray, count: int) -> FloatArray:
        numbers = np.asarray(answers, dtype=np.float64)
        if numbers.shape != (count,):
            shape = Plain(f"an array of shape {numbers.shape}")
            raise InputError(self._where, expected=f"an oracle that returns {count} numbers", found=shape)
        bad = ~np.isfinite(numbers) if self._finite else np.isnan(numbers)
        if bad.any():
            expected = f"an oracle that returns {'finite numbers' if self._finite else 'numbers'}"
            raise InputError(self._where, expected=expected, found=float(numbers[bad][0]))
        sizes = np.abs(numbers[np.isfinite(numbers)])
        self.largest = max(self.largest, float(sizes.max(initial=0.0)))
        return numbers


class CountedPair:
    """A pair oracle with a count and a cache; see :class:`Counted`."""

    def __init__(self, oracle: PairOracle, calls: Calls, where: str, *, variables: int, finite: bool = False) -> None:
        self._single = Counted(_Joined(oracle, variables), calls, where, finite=finite)

    @property
    def largest(self) -> float:
        """Largest finite answer so far, in size."""
        return self._single.largest

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows; NaN beyond the limit of calls."""
        return self._single.values(np.concatenate([rising, falling], axis=1))


@dataclass(frozen=True, slots=True)
class _Joined:
    """A pair oracle as an oracle of both points side by side."""

    oracle: PairOracle
    variables: int

    def values(self, points: IntArray) -> FloatArray:
        return self.oracle.values(points[:, : self.variables], points[:, self.variables :])
