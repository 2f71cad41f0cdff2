"""A pipeline as it runs: units that hold layers, the edges between them, and what one pass through each costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from coinfer.errors import ProblemError

ENDS = -1
"""Stands for the coordinator: before the first unit of a way, and behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineUnit:
    """A device with the layers it holds.

    A pass over a batch of ``n`` tokens takes ``pass_s + n * token_s`` seconds: reading the weights, then computing.

    Attributes
    ----------
    name
        For messages and tables.
    start, stop
        It holds the layers ``start`` to ``stop - 1``.
    pass_s
        Time of a pass over an empty batch, seconds, >= 0.
    token_s
        Time that each token adds, seconds, >= 0.
    batch_tokens
        Most tokens it takes into one pass, at least 1.
    cache_tokens
        Tokens whose keys and values fit into its memory beside the layers.
    """

    name: str
    start: int
    stop: int
    pass_s: float
    token_s: float
    batch_tokens: int
    cache_tokens: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ProblemError(f"unit {self.name}", expected="at least one layer", found=(self.start, self.stop))
        for field, low in (("pass_s", self.pass_s), ("token_s", self.token_s), ("cache_tokens", self.cache_tokens)):
            if not 0.0 <= low < math.inf:
                raise ProblemError(f"unit {self.name}.{field}", expected="a finite number, at least 0", found=low)
        if self.batch_tokens < 1 or self.pass_s + self.token_s <= 0.0:
            found = (self.batch_tokens, self.pass_s, self.token_s)
            raise ProblemError(f"unit {self.name}", expected="batches of at least 1 token that take time", found=found)

    @property
    def tokens_per_s(self) -> float:
        """What it passes at most: full batches, one after the other."""
        return self.batch_tokens / (self.pass_s + self.batch_tokens * self.token_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineEdge:
    """A hop from one unit to the next; :data:`ENDS` for the coordinator.

    Attributes
    ----------
    source, target
        Positions in the list of units.
    weight
        Share of what leaves the source that takes this edge; any positive scale.
    latency_s
        Time of an empty message.
    bytes_per_s
        Bandwidth.
    token_bytes
        What one token takes on it: hidden states between units, a token id to and from the coordinator.
    """

    source: int
    target: int
    weight: float
    latency_s: float
    bytes_per_s: float
    token_bytes: float

    def __post_init__(self) -> None:
        where = f"edge {self.source} to {self.target}"
        if not 0.0 < self.weight < math.inf:
            raise ProblemError(f"{where}: weight", expected="a finite number above 0", found=self.weight)
        if not (0.0 <= self.latency_s < math.inf and self.bytes_per_s > 0.0 and 0.0 <= self.token_bytes < math.inf):
            raise ProblemError(where, expected="a latency, a bandwidth above 0 and bytes", found=self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePlan:
    """Units and how requests go from one to the next.

    Attributes
    ----------
    layers
        Of the language model; every way holds each of them once.
    units, edges
        As above. Weights are those of a flow: what enters a unit leaves it.
    in_flight
        Most requests that are served at once; ``None`` where only the caches limit them.
    """

    layers: int
    units: tuple[PipelineUnit, ...]
    edges: tuple[PipelineEdge, ...]
    in_flight: int | None = None

    def __post_init__(self) -> None:
        if self.in_flight is not None and self.in_flight < 1:
            raise ProblemError("pipeline.in_flight", expected="at least 1", found=self.in_flight)
        for edge in self.edges:
            places = range(ENDS, len(self.units))
            if edge.source not in places or edge.target not in places:
                raise ProblemError("pipeline.edges", expected="positions of units", found=edge)
            stop = 0 if edge.source == ENDS else self.units[edge.source].stop
            start = self.layers if edge.target == ENDS else self.units[edge.target].start
            if start != stop:
                expected = f"a unit that goes on at layer {stop}"
                raise ProblemError(f"edge {edge.source} to {edge.target}", expected=expected, found=start)
        for place in range(ENDS, len(self.units)):
            entered = any(edge.target == place for edge in self.edges)
            if entered != any(edge.source == place for edge in self.edges) or (place == ENDS and not entered):
                name = "the coordinator" if place == ENDS else self.units[place].name
                raise ProblemError("pipeline.edges", expected=f"edges to and from {name}", found=len(self.edges))

    def shares(self) -> tuple[float, ...]:
        """Return the share of all requests that pass each unit."""
        inflow = [0.0] * (len(self.units) + 1)
        inflow[ENDS] = 1.0
        order = sorted(range(len(self.units)), key=lambda place: self.units[place].start)
        for place in [ENDS, *order]:
            out = [edge for edge in self.edges if edge.source == place]
            total = sum(edge.weight for edge in out)
            for edge in out:
                if edge.target != ENDS:
                    inflow[edge.target] += inflow[place] * edge.weight / total
        return tuple(inflow[:-1])
