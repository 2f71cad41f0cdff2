"""Rows: the online price against the offline optimum of the same stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from benchmarks.common import Row, options, show
from coinfer.planner.budget.online.dual import best_options, prices_for
from coinfer.planner.budget.online.price import OnlinePrice
from coinfer.solver.program import FloatArray

DRAWS = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160])
PILOT = 1000


def menus(rows: int, seed: int, *, drift: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Return best-of-k menus of two models, 50 options; the second resource is the number of requests."""
    random = np.random.default_rng(seed)
    weak = random.beta(0.3, 1.5, (rows, 1))
    strong = np.clip(1.8 * weak, 0.0, 0.99)
    tokens = np.exp(random.normal(0.0, 0.6, (rows, 1))) * np.linspace(1.0, 1.0 + drift, rows)[:, None]
    values = np.concatenate([1.0 - (1.0 - weak) ** DRAWS, 1.0 - (1.0 - strong) ** DRAWS], axis=1)
    money = np.concatenate([tokens * DRAWS, 5.0 * tokens * DRAWS], axis=1)
    requests = np.broadcast_to(np.concatenate([DRAWS, DRAWS]).astype(np.float64), values.shape)
    return values, np.stack([money, requests])


def rows(quick: bool) -> list[Row]:
    """Return the rows of all streams."""
    prompts = 40_000 if quick else 200_000
    values, costs = menus(prompts, 0)
    drifting = menus(prompts, 1, drift=1.0)
    order = np.argsort(values[:, 1])
    error = np.random.default_rng(2).uniform(0.7, 1.3, 50)
    made = _stream("random order", values, costs[:1], np.array([20.0]))
    made += _stream("random order, small budget", values, costs[:1], np.array([3.0]))
    made += _stream("two budgets", values, costs, np.array([20.0, 8.0]))
    made += _stream("cost means 30 % wrong, noisy", values, costs[:1], np.array([20.0]), error=error)
    made += _stream("costs double, unforeseen", drifting[0], drifting[1][:1], np.array([20.0]))
    for name, rank in (("easiest last", order), ("easiest first", order[::-1])):
        made += _stream(name, values[rank], costs[:1, rank], np.array([20.0]), order="any")
    return made


def _stream(
    name: str,
    values: FloatArray,
    costs: FloatArray,
    each: FloatArray,
    *,
    error: FloatArray | None = None,
    order: Literal["random", "any"] = "random",
    batch: int = 50,
) -> list[Row]:
    """Serve one stream; the offline optimum knows all menus and the true mean costs."""
    prompts, limits = len(values), each * len(values)
    true = costs if error is None else costs * error
    prices = prices_for(values, true, each, np.zeros(len(each)))
    best = best_options(values, true, prices)
    optimum = float(values[np.arange(prompts), best].sum())
    pilot = menus(PILOT, 9)
    price = OnlinePrice(values=pilot[0], costs=pilot[1][: len(each)], limits=limits, prompts=prompts, order=order)
    random, value, passed, began = np.random.default_rng(3), 0.0, False, time.process_time()
    taken = _taker(random, error)
    for start in range(0, prompts, batch):
        own, part = values[start : start + batch], costs[:, start : start + batch]
        choices = price.choose_many(own, part, None if error is None else 4.0 * part)
        given = choices.option >= 0
        value += float(own[given, choices.option[given]].sum())
        price.finish(choices, taken(choices.expected, choices.option))
        passed |= bool((price.spent > limits).any())
    seconds = time.process_time() - began
    tight = prices > 0.0
    off = float(np.abs(price.spent[tight] / limits[tight] - 1.0).max()) if tight.any() else 0.0
    loss = 1.0 - value / optimum

    def row(claim: str, figure: float, target: float) -> Row:
        return Row(
            claim=claim,
            instance=name,
            figure=figure,
            unit="%",
            target=target,
            holds=figure <= target,
            peer="offline optimum",
            seconds=seconds,
        )

    return [
        row("online: budget left or passed at the end", 100.0 * off, 0.1),
        row("online: value below offline", 100.0 * loss, 0.01),
        row("online: streams that passed their cap", 100.0 * passed, 0.0),
    ]


def _taker(random: np.random.Generator, error: FloatArray | None) -> Callable[[FloatArray, np.ndarray], FloatArray]:
    """Return what prompts really take: as expected, or noisy around a wrong mean, and at most four times the menu."""

    def taken(expected: FloatArray, option: np.ndarray) -> FloatArray:
        if error is None:
            return expected
        return expected * error[option] * random.uniform(0.0, 2.0, expected.shape)

    return taken


if __name__ == "__main__":
    arguments = options(__doc__ or "")
    show(rows(arguments.quick), arguments.json)
