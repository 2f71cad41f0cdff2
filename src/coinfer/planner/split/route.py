"""Interleaved weighted round robin: each choice goes where it is owed most, so shares are kept in every short run."""

from __future__ import annotations

from collections.abc import Callable

from coinfer.models.split.pipeline import ENDS, PipelinePlan


class Router:
    """Chooses the way of each request so that the weights of the edges are kept at every unit.

    Smooth weighted round robin: every candidate earns its weight, the richest is taken and pays the sum. Helix routes
    so by the flow of its placement (arXiv 2406.01566, section 5.1), and passes over units whose cache is full.
    """

    def __init__(self, plan: PipelinePlan) -> None:
        self._next: dict[int, list[int]] = {}
        self._weight: dict[int, list[float]] = {}
        for edge in plan.edges:
            self._next.setdefault(edge.source, []).append(edge.target)
            self._weight.setdefault(edge.source, []).append(edge.weight)
        self._credit = {place: [0.0] * len(targets) for place, targets in self._next.items()}

    def way(self, open_to: Callable[[int], bool]) -> tuple[int, ...] | None:
        """Return the units of one way whose every unit is open; ``None`` where the router finds none.

        Credits change only when a way is found.
        """
        way: list[int] = []
        choices: list[tuple[int, int]] = []
        place = ENDS
        while True:
            targets = self._next[place]
            fitting = [i for i, target in enumerate(targets) if target == ENDS or open_to(target)]
            if not fitting:
                return None
            credit, weight = self._credit[place], self._weight[place]
            best = max(fitting, key=lambda i: credit[i] + weight[i])
            choices.append((place, best))
            place = targets[best]
            if place == ENDS:
                break
            way.append(place)
        for source, chosen in choices:
            credit, weight = self._credit[source], self._weight[source]
            for i, number in enumerate(weight):
                credit[i] += number
            credit[chosen] -= sum(weight)
        return tuple(way)
