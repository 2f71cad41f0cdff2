"""What is set aside after an excess, and ledgers that keep caps whatever is cancelled."""

from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from coinfer.executor.budget import Amount, Caps, Ledger
from coinfer.executor.strategies.allowance import Allowance

WORST = Amount(calls=1, tokens=100, prompt_tokens=50, energy_j=2.0, usd=0.5)


def test_nothing_is_widened_while_limits_are_kept() -> None:
    """A call at its worst case is no excess."""
    allowance = Allowance()
    assert not allowance.seen(WORST, WORST)
    assert allowance.of(WORST) == WORST


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_what_is_set_aside_covers_the_worst_seen_with_a_margin(taken: list[int]) -> None:
    """After any excess, calls are set aside at no less than the worst seen; other resources stay as they were."""
    allowance = Allowance()
    for tokens in taken:
        allowance.seen(WORST, Amount(calls=1, tokens=tokens))
    most = max(taken)
    aside = allowance.of(WORST)
    assert aside.tokens >= max(100, most)
    first = next((each for each in taken if each > 100), 100)
    assert aside.tokens >= 100 + 2 * (first - 100) - 1
    assert (aside.prompt_tokens, aside.energy_j, aside.usd) == (50, 2.0, 0.5)
    assert allowance.of(Amount(calls=1, tokens=10)).tokens >= 10 * max(100, most) // 100


def test_an_amount_in_flight_can_be_widened_and_then_blocks_others() -> None:
    """What was widened is held until it is settled; waiting calls go on then, cancelled ones leave nothing."""

    async def main() -> None:
        ledger = Ledger(Caps(tokens=100), spent=Amount(), elapsed_s=0.0, clock=time.monotonic)
        assert await ledger.reserve(1, Amount(calls=1, tokens=40))
        ledger.widen(1, Amount(calls=1, tokens=90))
        assert ledger.aside(1).tokens == 90
        waiting = [asyncio.create_task(ledger.reserve(i, Amount(calls=1, tokens=40))) for i in (2, 3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        await ledger.settle(1, Amount(calls=1, tokens=70))
        assert not await waiting[1]  # 70 spent: 40 more can never fit
        assert waiting[0].cancelled()
        assert await ledger.reserve(4, Amount(calls=1, tokens=30))
        assert ledger.spent.tokens == 70

    asyncio.run(main())


def test_settling_cannot_be_cancelled_half_way() -> None:
    """A task that is cancelled while it settles has settled: with many calls waiting, nothing stays set aside."""

    async def main() -> None:
        ledger = Ledger(Caps(tokens=10), spent=Amount(), elapsed_s=0.0, clock=time.monotonic)

        async def one(number: int) -> None:
            if await ledger.reserve(number, Amount(calls=1, tokens=10)):
                try:
                    await asyncio.sleep(0)
                finally:
                    await ledger.settle(number, Amount(calls=1))

        tasks = [asyncio.create_task(one(i)) for i in range(50)]
        for i in range(0, 50, 2):
            await asyncio.sleep(0)
            tasks[i].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5.0)
        assert await ledger.reserve(99, Amount(calls=1, tokens=10))

    asyncio.run(main())
