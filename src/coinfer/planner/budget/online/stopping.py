r"""When to stop inside a strategy: go on while the expected gain is worth more than its expected cost at the price.

For votes see :mod:`coinfer.planner.budget.online.votes`. One price couples planner, router and
stopping rule: :math:`E[\Delta \text{value}] > \lambda E[\Delta \text{cost}]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.errors import InputError, Plain
from coinfer.solver.program import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do next.

    Attributes
    ----------
    arm
        Arm to sample; ``None`` to stop.
    rate
        Expected value per unit of cost of the best arm.
    """

    arm: int | None
    rate: float


def next_arm(alpha: FloatArray, beta: FloatArray, cost: FloatArray, *, price: float, worth: float = 1.0) -> Step:
    r"""Return the arm to sample next where a verifier knows a right answer, or that it is time to stop.

    After failures only, an arm's rate of success has mean :math:`\alpha / (\alpha + \beta)`, which falls with every
    further failure; so the arm with the most value per cost now is never worth waiting for, and once it is not worth
    its price, no arm ever will be: the index rule is optimal (independent arms; for costs that are expectations).

    Parameters
    ----------
    alpha, beta
        (arms,): posterior after the failures so far.
    cost
        (arms,): expected cost of one sample, above 0; for several resources: in value already, with ``price`` 1.
    price
        Value per unit of cost.
    worth
        Value of a right answer.
    """
    if not (alpha.shape == beta.shape == cost.shape) or (cost <= 0.0).any() or (alpha <= 0.0).any():
        raise InputError("arms", expected="alpha, beta and cost of each arm, above 0", found=Plain("others"))
    rates = worth * alpha / (alpha + beta) / cost
    best = int(rates.argmax())
    if rates[best] > price:
        return Step(arm=best, rate=float(rates[best]))
    return Step(arm=None, rate=float(rates[best]))


def cascade_order(alpha: FloatArray, beta: FloatArray, cost: FloatArray, *, price: float, most: int) -> list[int]:
    """Return the arms in the order in which they are tried while all fail, until it is time to stop or ``most``."""
    after, order = beta.astype(np.float64), list[int]()
    while len(order) < most:
        step = next_arm(alpha, after, cost, price=price)
        if step.arm is None:
            break
        order.append(step.arm)
        after[step.arm] += 1.0
    return order
