"""What strategies take, against request-by-request accounts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from coinfer.errors import InputError
from coinfer.models.budget.curves.costs import (
    Request,
    chain_shapes,
    debate,
    independent,
    revision_chains,
    until_success,
)
from coinfer.models.budget.curves.coverage import samples_until_success
from coinfer.models.budget.curves.figures import StrategyUsage, Tokens
from coinfer.models.budget.curves.search import beam_search

P, A, CAP = 100.0, 30.0, 50.0
SIMPLE = Request(prompt_tokens=P, answer_tokens=A, answer_cap_tokens=CAP, answer_log_deviation=0.0)


def amounts(tokens: Tokens) -> list[float]:
    """Return input, cached, output, scored, calls of the one option."""
    kinds = (tokens.input, tokens.cached_input, tokens.output, tokens.scored, tokens.call)
    return [float(each.ravel()[0]) for each in kinds]


def account(requests: list[tuple[float, float, float]], scored: float = 0.0) -> list[float]:
    """Return the sums over requests of (read afresh, read from cache, written)."""
    fresh, cached, written = (sum(each[i] for each in requests) for i in range(3))
    return [fresh, cached, written, scored, float(len(requests))]


def both(usage: StrategyUsage, make: Callable[[float], list[float]]) -> None:
    """Compare expected and worst totals with an account made with mean and longest answers."""
    assert amounts(usage.expected.total) == pytest.approx(make(A))
    assert amounts(usage.worst.total) == pytest.approx(make(CAP))


def test_independent_samples() -> None:
    """Every sample reads its prompt, afresh, from the cache or not at all, as billed; the reward model reads all."""
    both(independent(SIMPLE, 5), lambda answer: account([(P, 0, answer)] * 5))
    both(
        independent(SIMPLE, 5, prompt="cached"),
        lambda answer: account([(P, 0, answer)] + [(0, P, answer)] * 4),
    )
    both(independent(SIMPLE, 5, prompt="once"), lambda answer: account([(P, 0, 5 * answer)]))
    both(independent(SIMPLE, 5, scored=True), lambda answer: account([(P, 0, answer)] * 5, 5 * (P + answer)))
    assert amounts(independent(SIMPLE, 5).expected.path) == [P, 0, A, 0, 1]


def test_no_samples_take_nothing() -> None:
    """The option of no samples has neither tokens nor a way."""
    usage = independent(SIMPLE, 0, prompt="once", scored=True)
    for each in (usage.expected, usage.worst):
        assert amounts(each.total) == amounts(each.path) == [0] * 5


@pytest.mark.parametrize("kept", [None, 1, 2, 10])
@pytest.mark.parametrize("cached", [False, True])
def test_revision_chains(kept: int | None, cached: bool) -> None:
    """Every request of every chain reads the prompt and the answers kept, each with its instruction."""
    chains, length, instruction = 3, 5, 8.0

    def make(answer: float) -> list[float]:
        requests = []
        for i in range(length):
            held = i if kept is None else min(i, kept)
            prompt = P + held * (answer + instruction)
            before = P if i else 0.0
            if i and (kept is None or i <= kept):
                before = prompt - (answer + instruction)  # nothing was dropped: only the newest answer is new
            requests.append((prompt - before, before, answer) if cached else (prompt, 0, answer))
        return account(requests * chains, chains * length * (P + answer))

    usage = revision_chains(
        SIMPLE, chains, length, instruction_tokens=instruction, kept_answers=kept, cached=cached, scored=True
    )
    both(usage, make)
    way = amounts(usage.expected.path)
    assert [3 * each for each in way] == pytest.approx(make(A))


@pytest.mark.parametrize("transcript", ["all", "last"])
def test_debate(transcript: str) -> None:
    """Every agent reads in every round what all agents said before, or in the round before."""
    agents, rounds = 3, 4

    def make(answer: float) -> list[float]:
        seen = [r if transcript == "all" else min(r, 1) for r in range(rounds)]
        return account([(P + each * agents * answer, 0, answer) for each in seen for _ in range(agents)])

    usage = debate(SIMPLE, agents, rounds, transcript=transcript)  # type: ignore[arg-type]
    both(usage, make)
    assert [3 * each for each in amounts(usage.worst.path)] == pytest.approx(make(CAP))


@pytest.mark.parametrize("lookahead", [0, 2])
@pytest.mark.parametrize("cached", [False, True])
def test_beam_search(lookahead: int, cached: bool) -> None:
    """Every round writes N steps, rolls each further, and has every prefix read by the reward model."""
    candidates, rounds = 8, 6

    def make(step: float, depth: int) -> list[float]:
        requests, scored, first = [], 0.0, True
        for d in range(depth):
            for _ in range(candidates):
                prefix = P + d * step
                fresh = prefix if not cached else (P if first else 0.0)
                first = False
                requests.append((fresh, prefix - fresh, step))
                if lookahead:
                    rolled = prefix + step
                    requests.append((0, rolled, lookahead * step) if cached else (rolled, 0, lookahead * step))
                whole = prefix + (1 + lookahead) * step
                scored += (1 + lookahead) * step + (P if d == 0 else 0.0) if cached else whole
        return account(requests, scored)

    usage = beam_search(SIMPLE, candidates, 4, steps=rounds, steps_cap=10, lookahead_steps=lookahead, cached=cached)
    assert amounts(usage.expected.total) == pytest.approx(make(A, rounds))
    assert amounts(usage.worst.total) == pytest.approx(make(CAP, 10))
    assert amounts(usage.expected.path)[2] == pytest.approx(rounds * (1 + lookahead) * A)


def test_until_success() -> None:
    """Samples one after another are charged as often as they are expected to be drawn, at worst all of them."""
    expected = samples_until_success([1.0, 3.0], [1.0, 1.0], [1, 4])
    usage = until_success(SIMPLE, expected, [1, 4])
    np.testing.assert_allclose(usage.expected.total.output, A * expected)
    assert usage.worst.total.output.tolist() == [CAP, 4 * CAP]
    np.testing.assert_allclose(usage.expected.path.output, A * expected)
    with pytest.raises(InputError):
        until_success(SIMPLE, [2.0], [1])


def test_slowest_answer_is_between_the_mean_and_the_cap() -> None:
    """With spread the way is longer than the mean answer, rises with the samples, and ends at the cap."""
    spread = Request(prompt_tokens=P, answer_tokens=A, answer_cap_tokens=CAP, answer_log_deviation=0.6)
    way = independent(spread, [1, 2, 3, 1000]).expected.path.output
    assert way[0] == A
    assert (np.diff(way) > 0).all()
    assert way[-1] == CAP
    parallel, sequential = (revision_chains(spread, *shape).expected.path.output[0] for shape in ((8, 1), (1, 8)))
    assert parallel < sequential == pytest.approx(8 * A)


def test_prompts_and_options_make_a_table() -> None:
    """Numbers per prompt and sizes per option give (prompts, options) for every strategy, and worst is never less."""
    many = Request(
        prompt_tokens=[10.0, 20.0, 30.0],
        answer_tokens=[5.0, 6.0, 7.0],
        answer_cap_tokens=[50.0, 60.0, 70.0],
        answer_log_deviation=[0.1, 0.5, 1.0],
    )
    usages = [
        independent(many, [1, 4], scored=True, prompt="cached"),
        revision_chains(many, [1, 4], [4, 2], cached=True, scored=True),
        debate(many, [2, 3], [2, 2]),
        beam_search(many, [4, 16], [2, 4], steps=[3.0, 4.5, 5.0], lookahead_steps=1),
        until_success(many, np.ones((3, 2)), [1, 4]),
    ]
    for usage in usages:
        for part in ("total", "path"):
            low, high = getattr(usage.expected, part), getattr(usage.worst, part)
            for kind in ("input", "cached_input", "output", "scored", "call"):
                assert getattr(low, kind).shape == getattr(high, kind).shape == (3, 2) or part == "path"
                assert (getattr(low, kind) <= getattr(high, kind)).all()


def test_chain_shapes() -> None:
    """All shapes have the product; the nearest to a ratio is nearest in logarithm."""
    assert all(chains * length == 48 for chains, length in chain_shapes(48))
    assert len(chain_shapes(48)) == 10
    assert chain_shapes(64, ratio=1.0) == [(8, 8)]
    assert chain_shapes(7, ratio=0.2) == [(7, 1)]
    with pytest.raises(InputError):
        chain_shapes(0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: beam_search(SIMPLE, 8, 3, steps=4),
        lambda: beam_search(SIMPLE, 8, 4, steps=50),
        lambda: beam_search(SIMPLE, 8, 4, steps=4, lookahead_steps=-1),
        lambda: revision_chains(SIMPLE, 0, 4),
        lambda: revision_chains(SIMPLE, 1, 4, kept_answers=0),
        lambda: independent(SIMPLE, 1.5),
        lambda: independent(Request(prompt_tokens=1, answer_tokens=3, answer_cap_tokens=2, answer_log_deviation=0), 1),
        lambda: independent(Request(prompt_tokens=-1, answer_tokens=1, answer_cap_tokens=2, answer_log_deviation=0), 1),
    ],
)
def test_sizes_are_checked(make: Callable[[], StrategyUsage]) -> None:
    """Sizes that no strategy has, and caps below the mean, are refused."""
    with pytest.raises(InputError):
        make()
