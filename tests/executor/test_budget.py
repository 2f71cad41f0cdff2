"""Caps are never passed, however many calls run at once and however they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import RequestError
from coinfer.executor.budget import Amount, Caps, Ledger

calls = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=25
)  # tokens feared, tokens spent at most that, turns of the loop taken


@given(calls=calls, tokens=st.integers(0, 40), requests=st.integers(0, 20), seed=st.integers(0, 9))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_no_interleaving_passes_a_cap(calls: list[tuple[int, int, int]], tokens: int, requests: int, seed: int) -> None:
    """At every moment what is spent and set aside is within the caps, and a refusal means that it could not fit."""
    caps = Caps(tokens=tokens, requests=requests, usd=1.0)

    async def main() -> None:
        ledger = Ledger(caps, spent=Amount(), elapsed_s=0.0, clock=lambda: 0.0)

        async def call(number: int, feared: int, spent: int, turns: int) -> None:
            need = Amount(calls=1, tokens=feared, usd=0.125)
            if not await ledger.reserve(number, need):
                total = ledger.spent.plus(need)
                assert total.tokens > tokens or total.calls > requests or total.usd > 1.0
                return
            for _ in range(turns):
                await asyncio.sleep(0)
                assert ledger._fits(ledger.spent.plus(ledger._held))
            await ledger.settle(number, Amount(calls=1, tokens=min(spent, feared), usd=0.125))
            assert ledger.spent.tokens <= tokens
            assert ledger.spent.calls <= requests
            assert ledger.spent.usd <= 1.0

        order = sorted(range(len(calls)), key=lambda number: hash((number, seed)))
        await asyncio.gather(*(call(number, *calls[number]) for number in order))

    asyncio.run(main())


def test_a_call_waits_for_what_others_leave() -> None:
    """A call that fits only once another turns out cheaper is made, not refused."""

    async def main() -> list[bool]:
        ledger = Ledger(Caps(tokens=10), spent=Amount(), elapsed_s=0.0, clock=lambda: 0.0)
        assert await ledger.reserve(0, Amount(tokens=8))
        second = asyncio.create_task(ledger.reserve(1, Amount(tokens=8)))
        third = asyncio.create_task(ledger.reserve(2, Amount(tokens=11)))
        await asyncio.sleep(0)
        assert not second.done()
        await ledger.settle(0, Amount(tokens=1))
        return [await second, await third]

    assert asyncio.run(main()) == [True, False]


def test_time_is_a_cap_over_all_parts() -> None:
    """Time of earlier parts counts, and when none is left nothing is sent."""
    now_s = [100.0]

    async def main() -> list[bool]:
        ledger = Ledger(Caps(seconds=10.0), spent=Amount(), elapsed_s=6.0, clock=lambda: now_s[0])
        first = await ledger.reserve(0, Amount(calls=1))
        now_s[0] += 4.0
        assert ledger.remaining_s() == 0.0
        return [first, await ledger.reserve(1, Amount(calls=1))]

    assert asyncio.run(main()) == [True, False]


@pytest.mark.parametrize("cap", [{"tokens": -1}, {"seconds": float("nan")}, {"usd": float("inf")}])
def test_a_cap_that_limits_nothing_is_refused(cap: dict[str, Any]) -> None:
    """Negative, infinite and undefined caps are sentences."""
    with pytest.raises(RequestError, match=rf"caps\.{next(iter(cap))}"):
        Caps(**cap)
