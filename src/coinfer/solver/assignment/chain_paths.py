"""Paths through the states of all layers: the least cost of reaching each state, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, permutations

import numpy as np

from coinfer.solver.assignment.chain_groups import Grouped
from coinfer.solver.assignment.chain_steps import Bilinear, Steps
from coinfer.solver.assignment.partitions import imbalances, kept_states, placing_costs, states
from coinfer.solver.assignment.program import BoolArray, LayeredAssignment
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chain:
    """The states of each layer and what leads from one to the next.

    Attributes
    ----------
    program
        What is assigned.
    rows
        (states, items): all states of a layer.
    kept
        For each layer the states that keep its limits.
    placing, uneven
        For each layer placement cost and imbalance of the kept states.
    steps
        Gains of the arcs.
    """

    program: LayeredAssignment
    rows: IntArray
    kept: tuple[IntArray, ...]
    placing: tuple[FloatArray, ...]
    uneven: tuple[FloatArray, ...]
    steps: Steps

    @property
    def feasible(self) -> bool:
        """Whether each layer has a state."""
        return all(len(own) for own in self.kept)

    def narrowed(self, masks: list[BoolArray]) -> Chain:
        """Return the chain of those kept states for which the mask of their layer is true."""

        def chosen(parts: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
            return tuple(own[mask] for own, mask in zip(parts, masks, strict=True))

        kept = tuple(own[mask] for own, mask in zip(self.kept, masks, strict=True))
        return replace(self, kept=kept, placing=chosen(self.placing), uneven=chosen(self.uneven))

    def reach(self, multiplier: float, ended: Callable[[], bool]) -> list[FloatArray]:
        """Return for each layer the least cost of reaching each kept state; fewer layers if it ended before.

        ``multiplier`` is the price of a unit of imbalance of a layer.
        """
        costs = [self._own(0, multiplier)]
        for pair in range(self.program.layers - 1):
            if ended():
                break
            least = float(costs[-1].min())
            gains = self.steps.advance(pair, least - costs[-1], self.kept[pair], self.kept[pair + 1])
            costs.append(least + self._together(pair) - gains + self._own(pair + 1, multiplier))
        return costs

    def back(self, costs: list[FloatArray], multiplier: float, last: int | None = None) -> IntArray:
        """Return the cheapest path to state ``last`` (by default the cheapest) of the last layer reached.

        Layers that were not reached get, one by one, the state that is cheapest after the one before.
        """
        path = [int(costs[-1].argmin()) if last is None else last]
        for pair in range(len(costs) - 2, -1, -1):
            arcs = self.steps.into(pair, self.kept[pair], int(self.kept[pair + 1][path[0]]))
            path.insert(0, int((arcs - costs[pair]).argmax()))
        for pair in range(len(costs) - 1, self.program.layers - 1):
            arcs = self.steps.out_of(pair, int(self.kept[pair][path[-1]]), self.kept[pair + 1])
            path.append(int((arcs - self._own(pair + 1, multiplier)).argmax()))
        return np.array(path, dtype=np.int64)

    def part(self, path: IntArray) -> IntArray:
        """Return the part of each item, (layers, items), on a path of states, (layers,).

        Where the parts are interchangeable, those of each layer are labelled so that most weight stays together.
        """
        part = np.array([self.rows[kept[state]] for kept, state in zip(self.kept, path, strict=True)])
        if not self.program.interchangeable:
            return part
        orders = np.array(list(permutations(range(self.program.parts))))
        own = np.arange(self.program.parts)
        for pair, weights in enumerate(self.program.weights):
            between = np.zeros((self.program.parts, self.program.parts))
            np.add.at(between, (part[pair][:, None], part[pair + 1][None, :]), weights)
            labels = orders[between[orders, own].sum(axis=1).argmax()]
            part[pair + 1] = labels[part[pair + 1]]
        return part

    def unevenness(self, path: IntArray) -> float:
        """Return the sum of the imbalances of a path of states."""
        return float(sum(own[state] for own, state in zip(self.uneven, path, strict=True)))

    def cost(self, path: IntArray) -> float:
        """Return what a path of states costs, without a price of imbalance."""
        states = [int(kept[state]) for kept, state in zip(self.kept, path, strict=True)]
        placing = sum(float(own[state]) for own, state in zip(self.placing, path, strict=True))
        arcs = (self._arc(pair, here, there) for pair, (here, there) in enumerate(pairwise(states)))
        return placing + sum(arcs)

    def around(self, path: IntArray, layer: int) -> FloatArray:
        """Return what the path costs around a layer, for each of its kept states: arcs and placement."""
        costs = self.placing[layer].copy()
        if layer > 0:
            before = int(self.kept[layer - 1][path[layer - 1]])
            costs += self._together(layer - 1) - self.steps.out_of(layer - 1, before, self.kept[layer])
        if layer + 1 < self.program.layers:
            after = int(self.kept[layer + 1][path[layer + 1]])
            costs += self._together(layer) - self.steps.into(layer, self.kept[layer], after)
        return costs

    def _arc(self, pair: int, here: int, there: int) -> float:
        return self._together(pair) - float(self.steps.into(pair, np.array([here]), there)[0])

    def _own(self, layer: int, multiplier: float) -> FloatArray:
        return self.placing[layer] + multiplier * self.uneven[layer] if multiplier else self.placing[layer]

    def _together(self, pair: int) -> float:
        """Return the cost of an arc without gain."""
        if not self.program.interchangeable or self.program.parts == 1:
            return 0.0
        return float(self.program.distance[0, 1] * self.program.weights[pair].sum())


def chain_of(program: LayeredAssignment) -> Chain:
    """List the states of ``program``."""
    rows = states(program)
    kept = [np.flatnonzero(kept_states(program, layer, rows)) for layer in range(program.layers)]
    capped = program.mean_imbalance_cap is not None
    grouped = program.interchangeable and program.parts > 2
    return Chain(
        program=program,
        rows=rows,
        kept=tuple(kept),
        placing=tuple(placing_costs(program, layer, rows[own]) for layer, own in enumerate(kept)),
        uneven=tuple(
            imbalances(program, layer, rows[own]) if capped else np.ones(len(own)) for layer, own in enumerate(kept)
        ),
        steps=Grouped(program, rows) if grouped else Bilinear(program, rows),
    )
