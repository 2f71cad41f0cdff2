"""What a call may cost at worst, as far as anybody knows, and what it is charged when it is over."""

from __future__ import annotations

from coinfer.errors import Plain, RequestError
from coinfer.executor.backends.base import CompletionReply
from coinfer.executor.budget import Amount
from coinfer.executor.options import RunOptions
from coinfer.executor.request import Request
from coinfer.planner.selection.document import SelectionPlan


class WorstCase:
    """Bounds the cost of calls.

    Energy: declared power times the timeout where power is declared, else the upper end of the plan's prediction.
    Price: as declared by expert, else the plan's prediction. What neither knows is not set aside; ``notes`` says so.

    Raises
    ------
    RequestError
        If a price cap is set and nothing says what a call costs: such a cap could not be kept.
    """

    def __init__(self, plan: SelectionPlan, options: RunOptions) -> None:
        self._options = options
        self._device = {item.expert: item.device for item in plan.deployments}
        self._energy_j = _predicted(plan, "energy_j")
        self._usd = _predicted(plan, "price_usd")
        self.notes: list[str] = []
        experts = [item.expert for item in plan.deployments]
        if options.max_price_usd is not None and self._usd is None:
            for expert in experts:
                if expert not in options.request_price_usd:
                    raise RequestError(
                        "options.max_price_usd",
                        expected=f"a price of expert {expert!r}, so that the cap can be kept",
                        found=Plain("none in the plan and none declared"),
                    )
        if options.max_energy_j is not None:
            for expert in experts:
                if self._energy(expert) is None:
                    raise RequestError(
                        "options.max_energy_j",
                        expected=f"a power or a predicted energy of expert {expert!r}, so that the cap can be kept",
                        found=Plain("none in the plan and none declared"),
                    )
            self._note_energy(experts)

    def amount(self, request: Request, expert: str) -> Amount:
        """Return what one call may cost at worst."""
        return Amount(
            calls=1,
            tokens=request.max_tokens,
            energy_j=self._energy(expert) or 0.0,
            usd=self._options.request_price_usd.get(expert, self._usd or 0.0),
        )

    def actual(self, reserved: Amount, expert: str, reply: CompletionReply) -> Amount:
        """Return what an answered call cost: as measured, else by declared power, else as set aside."""
        power_w = self._options.power_w.get(self._device[expert])
        energy_j = reserved.energy_j
        if reply.energy_j is not None:
            energy_j = reply.energy_j
        elif power_w is not None:
            energy_j = min(power_w * reply.seconds, reserved.energy_j)
        tokens = sum(completion.output_tokens for completion in reply.completions)
        return Amount(calls=1, tokens=tokens, energy_j=energy_j, usd=reserved.usd)

    def _energy(self, expert: str) -> float | None:
        power_w = self._options.power_w.get(self._device[expert])
        return self._energy_j if power_w is None else power_w * self._options.timeout_s

    def _note_energy(self, experts: list[str]) -> None:
        predicted = [expert for expert in experts if self._device[expert] not in self._options.power_w]
        if predicted:
            self.notes.append(
                f"energy cap: calls of {', '.join(predicted)} are charged the plan's prediction where no counter "
                "measures them; declare power_w for a true worst case"
            )


def _predicted(plan: SelectionPlan, quantity: str) -> float | None:
    """Return the largest prediction of a quantity per request, at the upper end of its interval."""
    found = [p.value if p.high is None else p.high for p in plan.predictions if p.quantity == quantity]
    return max(found, default=None)
