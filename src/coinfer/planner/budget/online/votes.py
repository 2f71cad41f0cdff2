"""The optimal moment to stop voting, by dynamic programming over the votes of the two leading answers.

The value of one more vote alone is no guide: after an odd number of votes it cannot change the answer and gains
nothing, though two or three can; and a look ahead over a fixed number of votes forgets that one may stop among them.
The table looks ahead over all votes left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError
from coinfer.solver.program import FloatArray


class VotePolicy:
    r"""When to stop asking for votes at a price.

    State: votes of the leader and of the runner-up. With a symmetric Beta prior of the leader's share, stopping is
    worth ``worth`` times the probability that the leader is the likelier answer; a further vote costs ``step``. The
    table :math:`V(a, b) = \max\{w P(a, b), -s + p V(a + 1, b) + (1 - p) V(a, b + 1)\}` is exact for two answers; votes
    for a third count as none of both.

    Parameters
    ----------
    step
        Price times the expected cost of a vote, above 0 or 0.
    most
        Most votes.
    concentration
        Of the Beta prior, above 0: 1 is uniform; below 1 answers mostly agree or mostly do not.
    worth
        Value of giving the likelier answer.
    """

    def __init__(self, *, step: float, most: int, concentration: float = 1.0, worth: float = 1.0) -> None:
        if not step >= 0.0 or most < 0 or not concentration > 0.0:
            raise InputError("votes", expected="a step and a number of at least 0, a concentration above 0", found=step)
        from scipy.special import betainc

        first, second = np.meshgrid(np.arange(most + 1), np.arange(most + 1), indexing="ij")
        a, b = first + concentration, second + concentration
        lead: FloatArray = worth * np.maximum(betainc(b, a, 0.5), betainc(a, b, 0.5))
        share = a / (a + b)
        self.most, self.lead, self.value = most, lead, lead.copy()
        self._more: NDArray[np.int64] = np.zeros((most + 1, most + 1), dtype=np.int64)
        for total in range(most - 1, -1, -1):
            one = np.arange(total + 1)
            two = total - one
            onward = share[one, two] * self.value[one + 1, two] + (1.0 - share[one, two]) * self.value[one, two + 1]
            gain = onward - step
            going = gain > lead[one, two] + 1e-12
            self.value[one, two] = np.where(going, gain, lead[one, two])
            sure = 1 + np.minimum(self._more[one + 1, two], self._more[one, two + 1])
            self._more[one, two] = np.where(going, sure, 0)

    def more(self, votes: tuple[int, ...]) -> int:
        """Return how many further votes are needed whatever they say, so that they can be asked for at once; 0: stop.

        ``votes`` are counts of each answer, in any order.
        """
        ranked = [*sorted(votes, reverse=True)[:2], 0, 0]
        if sum(votes) >= self.most:
            return 0
        return min(int(self._more[ranked[0], ranked[1]]), self.most - sum(votes))
