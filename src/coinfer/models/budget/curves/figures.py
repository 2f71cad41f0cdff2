"""Unit figures of an endpoint, what a strategy uses of it, and the bill of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PerToken:
    """What a token of each kind takes of one resource; ``None`` where nobody measured or quoted it.

    Attributes
    ----------
    input
        Per prompt token that is read for the first time.
    cached_input
        Per prompt token whose state is cached; where absent a cached token takes what any other does.
    output
        Per token written.
    scored
        Per token read by the reward model.
    call
        Per request, beside its tokens; absent where nothing is charged per request.
    """

    input: float | None = None
    cached_input: float | None = None
    output: float | None = None
    scored: float | None = None
    call: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFigures:
    """Unit figures of an endpoint and its reward model.

    Attributes
    ----------
    usd, seconds, joules
        Money, busy time and energy per token. The seconds are those one request waits for its token; money and
        joules are the share of one request where several are batched.
    """

    usd: PerToken = PerToken()
    seconds: PerToken = PerToken()
    joules: PerToken = PerToken()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """Numbers of tokens and requests, (..., options) each; the names are those of :class:`PerToken`."""

    input: FloatArray
    cached_input: FloatArray
    output: FloatArray
    scored: FloatArray
    call: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usage:
    """What a strategy takes.

    Attributes
    ----------
    total
        Of all requests together.
    path
        Of the requests that follow one another on the longest way: what the answer has to wait for.
    """

    total: Tokens
    path: Tokens


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StrategyUsage:
    """Expected usage, and the worst there can be: every request and every answer as long as its cap allows."""

    expected: Usage
    worst: Usage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bill:
    """What a strategy costs, (..., options) each; ``None`` where a figure that it needs is absent.

    Attributes
    ----------
    tokens
        Tokens read, written and scored.
    usd, joules
        Money and energy.
    busy_s
        Seconds summed over all requests, parallel or not.
    latency_s
        Seconds until the answer is there.
    """

    tokens: FloatArray
    usd: FloatArray | None
    joules: FloatArray | None
    busy_s: FloatArray | None
    latency_s: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StrategyBill:
    """Expected cost and hard cap of a strategy."""

    expected: Bill
    worst: Bill


def bill(usage: StrategyUsage, figures: UnitFigures) -> StrategyBill:
    """Return what a usage costs at the unit figures."""
    return StrategyBill(expected=_bill(usage.expected, figures), worst=_bill(usage.worst, figures))


def cascade(stages: Sequence[StrategyBill], reach: ArrayLike) -> StrategyBill:
    """Return the cost of stages tried one after another until one is good enough.

    Parameters
    ----------
    stages
        Bill of each stage, each with figures of its own.
    reach
        Chance that a stage is reached, (stages, ...), 1 for the first and never rising; its further axes are broadcast
        with those of the bills.

    Returns
    -------
    StrategyBill
        Expected: the sum of reach times cost, latency too, as the stages follow one another. Worst: the plain sum.

    Notes
    -----
    Chen et al. 2305.05176 (FrugalGPT), section 3.
    """
    chance = np.asarray(reach, dtype=np.float64)
    falls = chance.ndim and len(chance) == len(stages) > 0 and (chance[0] == 1).all() and (chance[-1] >= 0).all()
    if not falls or (np.diff(chance, axis=0) > 0).any():
        raise InputError("reach", expected="chances from 1 downwards, one per stage", found=chance.tolist())
    return StrategyBill(
        expected=_added([each.expected for each in stages], list(chance)),
        worst=_added([each.worst for each in stages], [np.ones(())] * len(stages)),
    )


def _bill(usage: Usage, figures: UnitFigures) -> Bill:
    total = usage.total
    return Bill(
        tokens=total.input + total.cached_input + total.output + total.scored,
        usd=_priced(total, figures.usd),
        joules=_priced(total, figures.joules),
        busy_s=_priced(total, figures.seconds),
        latency_s=_priced(usage.path, figures.seconds),
    )


def _priced(tokens: Tokens, figure: PerToken) -> FloatArray | None:
    """Return tokens times figures, or nothing where a figure for tokens that are used is absent."""
    made = np.zeros(tokens.output.shape)
    for kind in ("input", "cached_input", "output", "scored", "call"):
        amount: FloatArray = getattr(tokens, kind)
        each: float | None = getattr(figure, kind)
        if each is None and kind == "cached_input":
            each = figure.input
        if each is None and kind != "call" and amount.any():
            return None
        made = made + amount * (each or 0.0)
    return made if any(getattr(figure, each.name) is not None for each in fields(figure)) else None


def _added(bills: list[Bill], weights: list[FloatArray]) -> Bill:
    def total(name: str) -> FloatArray | None:
        parts = [getattr(each, name) for each in bills]
        if any(part is None for part in parts):
            return None
        made: FloatArray = sum((part * weight for part, weight in zip(parts, weights, strict=True)), np.zeros(()))
        return made

    tokens = sum((each.tokens * weight for each, weight in zip(bills, weights, strict=True)), np.zeros(()))
    return Bill(
        tokens=tokens, usd=total("usd"), joules=total("joules"), busy_s=total("busy_s"), latency_s=total("latency_s")
    )
