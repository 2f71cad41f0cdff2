"""A cluster of interchangeable units as a pattern program, and its answers as pipelines that can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coinfer.errors import ProblemError
from coinfer.models.split.kinds import UnitKind
from coinfer.models.split.pipeline import ENDS, PipelineEdge, PipelinePlan, PipelineUnit
from coinfer.models.split.sustained import WAIT_PASSES
from coinfer.solver.pattern.flow import Flow, Range
from coinfer.solver.pattern.program import Delay, PatternProgram, widest_within
from coinfer.solver.program import FloatArray

MOST_PATTERNS = 3000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineCluster:
    """Units by region and type, and what joins them.

    Attributes
    ----------
    layers
        Of the language model.
    kinds
        The types.
    nodes
        Names of the units of each region and type, by (region, position in ``kinds``).
    bytes_per_s, latency_s
        (regions, regions): of one link between two units, in one region on the diagonal.
    coordinator_latency_s
        (regions,): from the coordinator to a unit, and back.
    hidden_bytes
        Hidden state of one token.
    token_id_bytes
        What goes to and from the coordinator for one token.
    """

    layers: int
    kinds: tuple[UnitKind, ...]
    nodes: Mapping[tuple[int, int], tuple[str, ...]]
    bytes_per_s: FloatArray
    latency_s: FloatArray
    coordinator_latency_s: FloatArray
    hidden_bytes: float
    token_id_bytes: float = 2.0

    @property
    def regions(self) -> int:
        """Number of regions."""
        return len(self.bytes_per_s)

    def program(
        self, *, stage_limit: int | None = None, stay_s: float | None = None, widest: int | None = None
    ) -> PatternProgram:
        """State the largest flow, in tokens per second, as a pattern program.

        Parameters
        ----------
        stage_limit
            Most units on the way of a token.
        stay_s
            How long a request stays: a unit then passes no more tokens than its cache has room for in that time
            (Little's law). ``None`` leaves caches aside.
        widest
            Most units in one stage; by default as many as keep the enumeration small.

        Raises
        ------
        ProblemError
            If links within a region carry less than a unit passes: stages in the sense of the program need more.
        """
        most = max(len(kind.rate) for kind in self.kinds)
        rate = np.zeros((len(self.kinds), most))
        for row, kind in zip(rate, self.kinds, strict=True):
            row[: len(kind.rate)] = kind.rate
            if stay_s is not None:
                row[: len(kind.rate)] = np.minimum(row[: len(kind.rate)], np.array(kind.cache_tokens) / stay_s)
        rate = rate[:, : self.layers]
        units = np.zeros((self.regions, len(self.kinds)), dtype=np.int64)
        for (region, kind_index), names in self.nodes.items():
            units[region, kind_index] = len(names)
        link = self.bytes_per_s / self.hidden_bytes
        inside = np.diagonal(link)[units.sum(axis=1) > 1]
        if (inside < rate.max()).any():
            expected = f"links that carry at least the {rate.max():g} tokens/s of the fastest unit"
            raise ProblemError("cluster: links within a region", expected=expected, found=float(inside.min()))
        return PatternProgram(
            steps=self.layers,
            units=units,
            rate=rate,
            link=link,
            stage_limit=stage_limit,
            delay=self._delay(rate.shape),
            widest=widest or (widest_within(units, MOST_PATTERNS) if self.regions == 1 else 3),
        )

    def _delay(self, shape: tuple[int, ...]) -> Delay:
        """Return what a token takes through a unit of each type and number of layers, (kinds, most layers)."""
        layers = np.arange(1, shape[1] + 1)
        read_s = np.array([kind.read_s for kind in self.kinds])
        token_s = np.array([kind.token_s for kind in self.kinds])
        return Delay(
            base=WAIT_PASSES * np.outer(read_s, layers),
            load=np.outer(token_s, layers),
            hop=float(np.diagonal(self.latency_s).max()),
        )

    def pipeline(self, ranges: tuple[Range, ...], flow: Flow, *, in_flight: int | None = None) -> PipelinePlan:
        """Return the plan of units and weighted edges that a flow through ranges means.

        Units without flow are left out. Units of one region and type get its names in their order.
        """
        spare = {place: list(names) for place, names in self.nodes.items()}
        names = [spare[unit.region, unit.kind].pop(0) for unit in ranges]
        used = sorted({place for pair in flow.edges for place in pair if place != ENDS})
        position = {place: index for index, place in enumerate(used)} | {ENDS: ENDS}
        units = tuple(self.unit(names[place], ranges[place]) for place in used)
        edges = tuple(self._edge(ranges, pair, position, weight) for pair, weight in sorted(flow.edges.items()))
        return PipelinePlan(layers=self.layers, units=units, edges=edges, in_flight=in_flight)

    def unit(self, name: str, held: Range) -> PipelineUnit:
        """Return what a unit does that holds a range."""
        kind, layers = self.kinds[held.kind], held.stop - held.start
        return PipelineUnit(
            name=name,
            start=held.start,
            stop=held.stop,
            pass_s=layers * kind.read_s,
            token_s=layers * kind.token_s,
            batch_tokens=kind.batch_tokens(layers),
            cache_tokens=kind.cache_tokens[layers - 1],
        )

    def _edge(
        self, ranges: tuple[Range, ...], pair: tuple[int, int], position: dict[int, int], weight: float
    ) -> PipelineEdge:
        regions = [ranges[place].region for place in pair if place != ENDS]
        inner = len(regions) == 2
        return PipelineEdge(
            source=position[pair[0]],
            target=position[pair[1]],
            weight=weight,
            latency_s=float(
                self.latency_s[regions[0], regions[-1]] if inner else self.coordinator_latency_s[regions[0]]
            ),
            bytes_per_s=float(self.bytes_per_s[regions[0], regions[-1]]),
            token_bytes=self.hidden_bytes if inner else self.token_id_bytes,
        )
