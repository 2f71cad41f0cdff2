"""Stop rules for votes, replayed on recorded answers in random order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedVotes:
    """Stop after a fixed number of votes (self-consistency, 2203.11171)."""

    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnanimousWindow:
    """Stop when all votes of a window are equal; windows do not overlap (ESC, Li et al. 2401.10480, algorithm 1)."""

    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaLeader:
    """Stop when the leader stays ahead of the second with at least this chance (Aggarwal et al. 2305.11860).

    With v1 and v2 votes the chance is 1 - I_0.5(v1 + 1, v2 + 1), the upper half of Beta(v1 + 1, v2 + 1).
    """

    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """Go on while further votes are worth more than they cost at a price.

    The share of the leader among the first two answers has a Beta(prior + v1, prior + v2) posterior; the value of a
    state is the chance that its leader has the larger share. A vote costs ``vote_cost`` times ``price``. The rule is
    the optimum of stopping then: it goes on exactly where some number of further votes, stopped as cleverly, gains more
    than it costs. One vote alone would not do as a measure: at a lead of two it can change nothing.

    Attributes
    ----------
    price
        Value per unit of cost, the price of the budget.
    vote_cost
        What one vote costs, in the units of the budget.
    prior
        Pseudo-votes of each of the two answers.
    """

    price: float
    vote_cost: float = 1.0
    prior: float = 1.0


StopRule = FixedVotes | UnanimousWindow | BetaLeader | PriceRule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoppingResult:
    """What a rule gives, the mean over orders of the recorded votes.

    Attributes
    ----------
    accuracy
        Chance that the most frequent answer at the stop is right, ties split evenly.
    standard_error
        Of ``accuracy`` over questions; the orders of one question are no new evidence. ``None`` for one question.
    mean_samples
        Votes counted.
    mean_paid_samples
        Votes paid for: with those that were in flight at the stop and are thrown away.
    question_accuracy, question_paid_samples
        The same per question, (questions,).
    """

    accuracy: float
    standard_error: float | None
    mean_samples: float
    mean_paid_samples: float
    question_accuracy: FloatArray
    question_paid_samples: FloatArray


def replay(
    votes: ArrayLike,
    right: ArrayLike,
    rule: StopRule,
    *,
    shuffles: int = 20,
    in_flight: int = 1,
    seed: int = 0,
) -> StoppingResult:
    """Replay a rule on recorded votes.

    Parameters
    ----------
    votes
        Answer of each vote, (questions, n), numbered from 0 within its question.
    right
        The right answer of each question, (questions,); -1 where no vote has it.
    rule
        When to stop; at the latest after all n votes.
    shuffles, seed
        Random orders of the votes per question, and the seed: equal seeds give every rule the same orders.
    in_flight
        Requests kept running at once. All but the one whose vote stopped it are paid for and thrown away; n means that
        all are fired at the start.

    Raises
    ------
    InputError
        If a vote is below 0, or the rule cannot be used with n votes.
    """
    table, column = np.asarray(votes, dtype=np.int64), np.asarray(right, dtype=np.int64)
    if table.ndim != 2 or not table.size or column.shape != table.shape[:1] or (table < 0).any():
        raise InputError("votes", expected="one row of answers, numbered from 0, per question", found=table.shape)
    if shuffles < 1 or in_flight < 1:
        raise InputError("in_flight", expected="at least one shuffle and one request", found=(shuffles, in_flight))
    questions, most = table.shape
    stops = _rule(rule, most)
    generator = np.random.default_rng(seed)
    orders = generator.permuted(np.repeat(table, shuffles, axis=0), axis=1)
    share, samples = _run(orders, np.repeat(column, shuffles), stops)
    paid = np.minimum(samples + in_flight - 1, most)
    accuracy = share.reshape(questions, shuffles).mean(axis=1)
    error = float(accuracy.std(ddof=1) / np.sqrt(questions)) if questions > 1 else None
    return StoppingResult(
        accuracy=float(accuracy.mean()),
        standard_error=error,
        mean_samples=float(samples.mean()),
        mean_paid_samples=float(paid.mean()),
        question_accuracy=accuracy,
        question_paid_samples=paid.reshape(questions, shuffles).mean(axis=1),
    )


@dataclass(slots=True)
class _Race:
    """The standing after some votes of every row: the leader's votes, the second's, and the length of the last run."""

    drawn: int
    leader: IntArray
    first: IntArray
    second: IntArray
    run: IntArray


def _run(orders: IntArray, right: IntArray, stops: Callable[[_Race], NDArray[np.bool_]]) -> tuple[FloatArray, IntArray]:
    """Return the right answer's share of the win and the votes counted, of every row."""
    rows, most = orders.shape
    counts = np.zeros((rows, int(orders.max()) + 1), dtype=np.int64)
    share, samples = np.zeros(rows), np.full(rows, most, dtype=np.int64)
    alive, zero = np.arange(rows), np.zeros(rows, dtype=np.int64)
    race = _Race(drawn=0, leader=zero - 1, first=zero.copy(), second=zero.copy(), run=zero.copy())
    for step in range(most):
        vote = orders[alive, step]
        counts[alive, vote] += 1
        _advance(race, vote, counts[alive, vote], orders[alive, step - 1] if step else None)
        stopped = stops(race) if step < most - 1 else np.ones(len(alive), dtype=np.bool_)
        if not stopped.any():
            continue
        done = alive[stopped]
        ahead = counts[done] == race.first[stopped][:, None]
        mine = np.where(right[done] >= 0, right[done], 0)
        known = (right[done] >= 0) & (mine < counts.shape[1])
        wins = ahead[np.arange(len(done)), np.minimum(mine, counts.shape[1] - 1)] & known
        share[done], samples[done] = wins / ahead.sum(axis=1), step + 1
        kept = ~stopped
        alive = alive[kept]
        race.leader, race.first, race.second, race.run = (
            each[kept] for each in (race.leader, race.first, race.second, race.run)
        )
    return share, samples


def _advance(race: _Race, vote: IntArray, count: IntArray, before: IntArray | None) -> None:
    """Count one more vote of every row; ``count`` is what its answer has now."""
    race.drawn += 1
    leads = vote == race.leader
    passes = ~leads & (count > race.first)  # it was level with the leader, who is second now
    race.second = np.where(passes, race.first, np.where(leads, race.second, np.maximum(race.second, count)))
    race.leader = np.where(passes, vote, race.leader)
    race.first = np.where(leads | passes, count, race.first)
    race.run = np.ones(len(vote), dtype=np.int64) if before is None else np.where(vote == before, race.run + 1, 1)


def _rule(rule: StopRule, most: int) -> Callable[[_Race], NDArray[np.bool_]]:
    """Return the test that says for every row whether to stop now."""
    if isinstance(rule, FixedVotes):
        if not 1 <= rule.samples <= most:
            raise InputError("samples", expected=f"from 1 to {most}, the recorded votes", found=rule.samples)
        return lambda race: np.full(len(race.first), race.drawn >= rule.samples)
    if isinstance(rule, UnanimousWindow):
        if rule.window < 2:
            raise InputError("window", expected="at least 2 votes", found=rule.window)
        return lambda race: (race.run >= rule.window) & (race.drawn % rule.window == 0)
    if isinstance(rule, BetaLeader):
        if not 0.5 < rule.threshold <= 1:
            raise InputError("threshold", expected="above 0.5, at most 1", found=rule.threshold)
        table = leader_chance(most) >= rule.threshold
    else:
        table = price_stops(rule, most)
    return lambda race: table[race.first, race.second]


def leader_chance(most: int, *, prior: float = 1.0) -> FloatArray:
    """Return the chance that an answer with i votes has a larger share than one with j, (most + 1, most + 1)."""
    from scipy.special import betainc

    votes = np.arange(most + 1, dtype=np.float64)
    return np.asarray(betainc(votes[None, :] + prior, votes[:, None] + prior, 0.5), dtype=np.float64)


def price_stops(rule: PriceRule, most: int) -> NDArray[np.bool_]:
    """Return for every (votes of the first, votes of the second) whether the rule stops, (most + 1, most + 1).

    Backwards over the number of votes of the two; a vote for the first has chance (prior + v1) / (2 prior + v1 + v2).
    """
    if not (rule.price >= 0 and rule.vote_cost >= 0 and rule.prior > 0):
        raise InputError("price", expected="a price and a cost from 0 and a prior above 0", found=rule)
    chance = leader_chance(most, prior=rule.prior)
    now: FloatArray = np.maximum(chance, chance.T)
    value, stops = now.copy(), np.ones((most + 1, most + 1), dtype=np.bool_)
    for total in range(most - 1, -1, -1):
        first = np.arange(total + 1)
        second = total - first
        up = (rule.prior + first) / (2 * rule.prior + total)
        later = up * value[first + 1, second] + (1 - up) * value[first, second + 1] - rule.price * rule.vote_cost
        stops[first, second] = now[first, second] >= later
        value[first, second] = np.maximum(now[first, second], later)
    return stops
