"""What is set aside for the calls of a role, once its endpoint has taken more than it was allowed to."""

from __future__ import annotations

import math

from coinfer.executor.budget import Amount

FIELDS = ("tokens", "prompt_tokens", "energy_j", "usd")
MARGIN = 2.0
"""How far beyond the largest excess seen the next may lie."""


class Allowance:
    """Widens what calls can cost at most by the largest excess seen.

    An endpoint that ignores ``max_tokens`` has no worst case that could be known beforehand, so no caller can promise
    that its first excess keeps a cap. What can be had: each excess is charged to the token as the endpoint bills it;
    from the first on, calls, those in flight included, are set aside at the worst seen with a margin of twice the
    excess; and no call is made that does not fit so. A cap is then passed only by a call that takes more than any
    before it, by no more than its excess over what was set aside for it, and nothing is sent after that.
    """

    def __init__(self) -> None:
        self._factors = dict.fromkeys(FIELDS, 1.0)

    def of(self, worst: Amount) -> Amount:
        """Return what to set aside for a call that costs ``worst`` at most where its endpoint keeps its limits."""
        if all(factor == 1.0 for factor in self._factors.values()):
            return worst
        return Amount(
            calls=worst.calls,
            tokens=math.ceil(worst.tokens * self._factors["tokens"]),
            prompt_tokens=math.ceil(worst.prompt_tokens * self._factors["prompt_tokens"]),
            energy_j=worst.energy_j * self._factors["energy_j"],
            usd=worst.usd * self._factors["usd"],
        )

    def seen(self, worst: Amount, charged: Amount) -> bool:
        """Note what a call took; return whether more is to be set aside from now on."""
        wider = False
        for name in FIELDS:
            most, taken = getattr(worst, name), getattr(charged, name)
            if most > 0 and taken > most * self._factors[name]:
                self._factors[name] = 1.0 + MARGIN * (taken / most - 1.0)
                wider = True
        return wider
