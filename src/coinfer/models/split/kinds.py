r"""Types of interchangeable units, and how passes are told from measured rates.

A rate table says how many tokens a second one unit passes when it holds :math:`k` layers. More layers leave less room
for the cache, so fewer requests are in flight and batches are smaller: the table falls faster than :math:`1/k`. With
passes of :math:`k (a + n b)` seconds over :math:`n` tokens and batches in proportion to the room :math:`K(k)`,

.. math:: \frac{1}{k\,\mathrm{rate}(k)} = b + \frac{a}{n(k)}, \qquad n(k) \propto K(k),

which least squares fits; the misfit is reported. The time :math:`a` to read a layer's weights must be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coinfer.errors import ProblemError


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitKind:
    """A type of unit.

    Attributes
    ----------
    name
        Of the type.
    rate
        Tokens per second through one unit that holds 1, 2, ... layers; 0 where it cannot hold so many.
    read_s
        Seconds to read the weights of one layer: what a pass takes per layer, however small the batch.
    token_s
        Seconds that one token adds to a pass, per layer.
    cache_tokens
        Tokens whose keys and values fit beside 1, 2, ... layers.
    """

    name: str
    rate: tuple[float, ...]
    read_s: float
    token_s: float
    cache_tokens: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rate) != len(self.cache_tokens) or not self.rate:
            sizes = (len(self.rate), len(self.cache_tokens))
            raise ProblemError(f"kind {self.name}", expected="as many rates as rooms, at least one", found=sizes)
        for field, numbers in (("rate", self.rate), ("cache_tokens", self.cache_tokens)):
            if not all(0.0 <= number < math.inf for number in numbers):
                raise ProblemError(f"kind {self.name}.{field}", expected="finite numbers, at least 0", found=numbers)
        if not (0.0 <= self.read_s < math.inf and 0.0 < self.token_s < math.inf):
            found = (self.read_s, self.token_s)
            raise ProblemError(
                f"kind {self.name}", expected="times of reading (>= 0) and of a token (> 0)", found=found
            )

    def batch_tokens(self, layers: int) -> int:
        """Return the batch at which passes of so many layers give the measured rate; at least 1, at most 65536."""
        slack = 1.0 / (layers * self.rate[layers - 1]) - self.token_s
        most = 1 << 16
        return most if slack * most <= self.read_s else max(1, round(self.read_s / slack))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedKind:
    """A type whose passes were told from its rates.

    Attributes
    ----------
    kind
        The type.
    misfit
        Largest relative error of the fitted time of a token.
    """

    kind: UnitKind
    misfit: float


def fit_kind(name: str, *, rate: tuple[float, ...], cache_tokens: tuple[float, ...], read_s: float) -> FittedKind:
    """Tell the time of a token from a rate table.

    Parameters
    ----------
    name
        Of the type.
    rate, cache_tokens
        With 1, 2, ... layers; at least two rates above 0.
    read_s
        Seconds to read the weights of one layer.

    Raises
    ------
    ProblemError
        If there are fewer than two rates, or no room beside the layers of one of them, or the fitted time of a token
        is not above 0.
    """
    held = np.array([k for k, number in enumerate(rate, start=1) if number > 0.0], dtype=np.float64)
    if len(held) < 2 or any(cache_tokens[int(k) - 1] <= 0.0 for k in held):
        expected = "at least two rates above 0, with room for a cache beside the layers of each"
        raise ProblemError(f"kind {name}", expected=expected, found=(rate, cache_tokens))
    index = held.astype(int) - 1
    token = 1.0 / (held * np.array(rate)[index])
    sides = np.stack([np.ones(len(held)), 1.0 / np.array(cache_tokens)[index]], axis=1) / token[:, None]
    fitted = np.linalg.lstsq(sides, np.ones(len(held)), rcond=None)[0]
    if not fitted[0] > 0.0:
        raise ProblemError(f"kind {name}.rate", expected="rates that leave a time above 0 for a token", found=rate)
    kind = UnitKind(name=name, rate=rate, read_s=read_s, token_s=float(fitted[0]), cache_tokens=cache_tokens)
    return FittedKind(kind=kind, misfit=float(np.abs(sides @ fitted - 1.0).max()))
