r"""The best communication graph of each number of edges, from measured gains.

Agent i is right alone with the chance :math:`\rho_i`; wrong, it is put right by reading j with the chance
:math:`g_{ij}`, by each neighbour independently. A graph is worth the mean of

.. math:: \rho_i + (1 - \rho_i) \left(1 - \prod_{j \in N(i)} (1 - g_{ij})\right).

Of k neighbours the best are the k with the largest gains, and what each further one adds falls. So for every number of
edges at once the best graph takes the largest of all these additions: a greedy choice, exact because every agent's
additions fall (Fox, Operations Research 14, 1966).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coinfer.executor.strategies.agents import agent_roles
from coinfer.executor.strategies.ask import ANSWER
from coinfer.executor.strategies.strategy import Prior, StrategyOption


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph with what it promises.

    Attributes
    ----------
    edges
        Bit i n + j: agent i reads agent j, from 0.
    value
        Mean chance of an agent to be right after it has read.
    """

    edges: int
    value: float

    def promised(self, option: StrategyOption) -> StrategyOption:
        """Return an option with this value."""
        return replace(option, value=self.value)


def best_graphs(rates: Sequence[float], gains: Sequence[Sequence[float]]) -> tuple[Graph, ...]:
    """Return the best graph of each number of edges from 0 on, as far as edges add anything.

    Parameters
    ----------
    rates
        (agents,): chance of each to be right alone.
    gains
        (agents, agents): chance that i, wrong alone, is right once it has read j; the diagonal is not looked at.
    """
    count = len(rates)
    added: list[tuple[float, int, int, int]] = []
    for i, rate in enumerate(rates):
        left = 1.0 - rate
        ordered = sorted((j for j in range(count) if j != i), key=lambda j: -gains[i][j])
        for place, j in enumerate(ordered):
            added.append((left * gains[i][j] / count, -place, i, j))
            left *= 1.0 - gains[i][j]
    edges, value = 0, sum(rates) / count
    found = [Graph(edges=0, value=value)]
    for gain, _, i, j in sorted(added, reverse=True):
        if gain <= 0.0:
            break
        edges |= 1 << (i * count + j)
        value += gain
        found.append(Graph(edges=edges, value=min(value, 1.0)))
    return tuple(found)


def graphs(prior: Prior, agents: int) -> tuple[Graph, ...]:
    """Return the best graphs of so many agents; none where a rate or a gain was not measured."""
    default = prior.rate.get(ANSWER)
    rates = [prior.rate.get(role, default) for role in agent_roles(agents)]
    gains = [[0.0 if i == j else prior.extra.get(gain_name(i, j)) for j in range(agents)] for i in range(agents)]
    if any(rate is None for rate in rates) or any(gain is None for row in gains for gain in row):
        return ()
    return best_graphs([rate or 0.0 for rate in rates], [[gain or 0.0 for gain in row] for row in gains])


def gain_name(reader: int, read: int) -> str:
    """Return the name of a gain in ``Prior.extra``; agents from 0.

    >>> gain_name(0, 2)
    'gain 1 3'
    """
    return f"gain {reader + 1} {read + 1}"


def edges_of(edges: int, agents: int) -> tuple[tuple[int, ...], ...]:
    """Return whom each agent reads."""
    return tuple(tuple(j for j in range(agents) if j != i and edges >> (i * agents + j) & 1) for i in range(agents))
