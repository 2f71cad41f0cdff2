"""Hard caps of a run: what a call may cost at worst is set aside before it is made."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from coinfer.errors import RequestError
from coinfer.records import Record


class Amount(Record, frozen=True, kw_only=True):
    """What calls cost.

    Attributes
    ----------
    calls
        Calls sent, retries among them.
    tokens
        Tokens generated.
    prompt_tokens
        Tokens read, as endpoints count them; where one does not say, what was set aside.
    energy_j, usd
        Energy and money.
    """

    calls: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    energy_j: float = 0.0
    usd: float = 0.0

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            energy_j=self.energy_j + other.energy_j,
            usd=self.usd + other.usd,
        )

    def less(self, other: Amount) -> Amount:
        """Return the difference."""
        return Amount(
            calls=self.calls - other.calls,
            tokens=self.tokens - other.tokens,
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            energy_j=self.energy_j - other.energy_j,
            usd=self.usd - other.usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits that a run never passes, over all its resumptions; ``None`` means no limit.

    Attributes
    ----------
    requests
        Most calls sent to endpoints, retries among them.
    tokens
        Most tokens generated.
    energy_j, usd
        Most energy and money.
    seconds
        Most wall-clock time; calls in flight are ended there.
    """

    requests: int | None = None
    tokens: int | None = None
    energy_j: float | None = None
    seconds: float | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests", "tokens", "energy_j", "seconds", "usd"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise RequestError(f"caps.{name}", expected="a finite number, at least 0", found=value)


class Ledger:
    """Keeps what was spent and what is set aside within the caps, however many calls run at once.

    Parameters
    ----------
    caps
        The limits.
    spent
        What earlier parts of the same run spent.
    elapsed_s
        Wall-clock time they took, seconds.
    clock
        Monotonic seconds.
    """

    def __init__(self, caps: Caps, *, spent: Amount, elapsed_s: float, clock: Callable[[], float]) -> None:
        self._caps, self._clock = caps, clock
        self._started_s = clock() - elapsed_s
        self.spent = spent
        self._aside: dict[int, Amount] = {}
        self._held = Amount()  # the sum of what is set aside, kept so that a thousand calls at once stay cheap
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def elapsed_s(self) -> float:
        """Wall-clock time of the run so far, earlier parts included, seconds."""
        return self._clock() - self._started_s

    def remaining_s(self) -> float:
        """Wall-clock time left under the caps, seconds."""
        return math.inf if self._caps.seconds is None else self._caps.seconds - self.elapsed_s

    async def reserve(self, number: int, need: Amount) -> bool:
        """Set ``need`` aside for call ``number``, waiting while calls in flight may turn out cheaper than feared.

        Returns
        -------
        bool
            False if the call could pass a cap even when nothing else is in flight: it must not be made.
        """
        while True:
            if self.remaining_s() <= 0.0 or not self._fits(self.spent.plus(need)):
                return False
            if self._fits(self.spent.plus(self._held).plus(need)):
                self._aside[number] = need
                self._held = self._held.plus(need)
                return True
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(changed)
            await changed

    def aside(self, number: int) -> Amount:
        """Return what is set aside for a call."""
        return self._aside[number]

    def widen(self, number: int, need: Amount) -> None:
        """Set another amount aside for a call in flight, which turns out to be able to cost more than was known."""
        self._held = self._held.less(self._aside[number]).plus(need)
        self._aside[number] = need

    async def settle(self, number: int, actual: Amount) -> None:
        """Replace what was set aside for a call by what it cost; it never waits, so that nothing can cancel it."""
        held = self._held.less(self._aside.pop(number))
        self._held = held if self._aside else Amount()  # no rounding is carried on
        self.spent = self.spent.plus(actual)
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():  # its call may have been cancelled
                changed.set_result(None)

    def _fits(self, total: Amount) -> bool:
        pairs = (
            (total.calls, self._caps.requests),
            (total.tokens, self._caps.tokens),
            (total.energy_j, self._caps.energy_j),
            (total.usd, self._caps.usd),
        )
        return all(cap is None or value <= cap for value, cap in pairs)
