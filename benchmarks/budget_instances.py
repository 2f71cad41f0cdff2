"""Menus for the budget benchmarks: prompts by options, from recipes like those of real test-time budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.solver.knapsack.program import Block, FormulaMenus, Menus, MultipleChoiceKnapsack, StoredMenus

Floats = NDArray[np.float64]
NAMES = ("bon", "vote", "rand", "strong")
HARDER = ("cumulated", "skip")
PIECE = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A program of one budget."""

    name: str
    program: MultipleChoiceKnapsack


def family(name: str, rows: int, options: int, seed: int = 0) -> Family:
    """Return an instance.

    ``bon``
        Best of n by two models, a weak and a strong one: chance of success from a Beta law, log-normal tokens.
    ``vote``
        Majority of n by two models: curves that rise or fall with n, and are not concave.
    ``rand``
        Whole numbers drawn alike, values and costs apart.
    ``strong``
        Value is cost plus a constant, in whole numbers.
    ``cumulated``
        Pisinger's strongly correlated menus: sums of items whose value is cost plus a constant.
    ``skip``
        As ``strong``, with an option that takes and gains nothing.
    ``formula``
        As ``bon``, never stored.
    """
    if name == "formula":
        menus: Menus = FormulaMenus(rows=rows, options=options, resources=1, formula=Formula(options, seed))
        return Family(name=name, program=_with_budget(menus, 0.4))
    value, cost = np.empty((rows, options)), np.empty((1, rows, options))
    generator = np.random.default_rng(seed)
    for start in range(0, rows, PIECE):  # by pieces, so that the making takes no memory to speak of
        stop = min(start + PIECE, rows)
        value[start:stop], cost[0, start:stop] = MAKERS[name](generator, stop - start, options)
    return Family(name=name, program=_with_budget(StoredMenus(value=value, cost=cost), 0.1 if name == "skip" else 0.4))


def best_of_n(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return values and costs of one to many samples of a weak and of a strong model."""
    half = options // 2
    success = generator.beta(0.6, 1.4, (rows, 1))
    strong = 1.0 - (1.0 - success) ** generator.uniform(1.2, 3.0, (rows, 1))
    tokens = generator.lognormal(5.5, 0.7, (rows, 1))
    return best_of_n_curves(success, strong, tokens, half, options - half)


def best_of_n_curves(
    weak: Floats, strong: Floats, tokens: Floats, weak_count: int, strong_count: int
) -> tuple[Floats, Floats]:
    """Return 1 - (1 - p)^k and k samples' tokens, times ten for the strong model."""
    few, many = np.arange(weak_count, dtype=np.float64), np.arange(1.0, strong_count + 1.0)
    value = np.concatenate([1.0 - (1.0 - weak) ** few, 1.0 - (1.0 - strong) ** many], axis=1)
    return value, np.concatenate([few * tokens, 10.0 * many * tokens], axis=1)


def votes(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return logistic curves around 1/2 in the number of votes, with a ripple for its parity."""
    half = options // 2
    tokens = generator.lognormal(5.5, 0.7, (rows, 1))
    parts = []
    for count, lift in ((half, 0.0), (options - half, 0.15)):
        votes_cast = np.arange(1.0, count + 1.0)
        margin = generator.normal(0.1 + lift, 0.35, (rows, 1))
        ripple = 0.01 * generator.standard_normal((rows, count))
        value = 1.0 / (1.0 + np.exp(-3.0 * margin * np.sqrt(votes_cast))) + ripple
        parts.append((value, votes_cast * tokens * (1.0 if lift == 0.0 else 6.0)))
    return np.concatenate([own[0] for own in parts], axis=1), np.concatenate([own[1] for own in parts], axis=1)


def uniform_integers(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return values and costs from 1 to 1,000."""
    shape = (rows, options)
    return generator.integers(1, 1001, shape).astype(float), generator.integers(1, 1001, shape).astype(float)


def strongly_correlated(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return costs from 1 to 1,000 and values 100 above."""
    cost = generator.integers(1, 1001, (rows, options)).astype(float)
    return cost + 100.0, cost


def cumulated(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return sums of strongly correlated items, in order of their cost."""
    cost = np.sort(generator.integers(1, 1001, (rows, options)), axis=1).astype(float)
    return np.cumsum(cost + 100.0, axis=1), np.cumsum(cost, axis=1)


def with_skip(generator: np.random.Generator, rows: int, options: int) -> tuple[Floats, Floats]:
    """Return strongly correlated menus whose first option takes and gains nothing."""
    value, cost = strongly_correlated(generator, rows, options)
    value[:, 0] = cost[:, 0] = 0.0
    return value, cost


MAKERS = {
    "bon": best_of_n,
    "vote": votes,
    "rand": uniform_integers,
    "strong": strongly_correlated,
    "cumulated": cumulated,
    "skip": with_skip,
}


class Formula:
    """``bon`` from a hash of the row's number: any block, in any order, without memory."""

    def __init__(self, options: int, seed: int) -> None:
        self.half = options // 2
        self.rest = options - self.half
        self.seed = np.uint64(seed)

    def __call__(self, start: int, stop: int) -> Block:
        """Return the block."""
        row = np.arange(start, stop, dtype=np.uint64)[:, None]
        weak = self._uniform(row, 1) ** 2
        strong = 1.0 - (1.0 - weak) ** (1.2 + 1.8 * self._uniform(row, 2))
        tokens = np.exp(5.5 + 1.4 * (self._uniform(row, 3) + self._uniform(row, 4) - 1.0))
        value, cost = best_of_n_curves(weak, strong, tokens, self.half, self.rest)
        return Block(value=value, cost=cost[None], copies=np.ones(stop - start, dtype=np.int64))

    def _uniform(self, row: NDArray[np.uint64], salt: int) -> Floats:
        """Mix the bits of the row's number (splitmix64); return a number from 0 to 1."""
        bits = row * np.uint64(4) + np.uint64(salt) + (self.seed << np.uint64(40))
        bits = bits * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Floats = ((bits ^ (bits >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return mixed


def _with_budget(menus: Menus, share: float) -> MultipleChoiceKnapsack:
    """Return the program whose budget is a share of the way from the cheapest to the best choice of a few rows."""
    rows = min(menus.rows, 4096)
    block = menus.block(0, rows)
    least = block.cost[0].min(axis=1).sum()
    best = np.take_along_axis(block.cost[0], block.value.argmax(axis=1)[:, None], axis=1).sum()
    budget = np.floor((least + share * (best - least)) * menus.rows / rows)
    return MultipleChoiceKnapsack(menus=menus, budget=np.array([budget]))
