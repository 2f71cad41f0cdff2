"""Discrete-event simulation of a pipeline plan under arriving requests (SimPy).

What is simulated: a request waits at the coordinator, first come first served, until the router finds a way all of
whose units have room for its whole length in their caches, which it keeps to its end. A unit takes what waits into one
pass, up to its number of tokens: first the next tokens of requests that write, then prompts, the last of them in part
(chunked prefill with stall-free batches, Sarathi-Serve, arXiv 2403.02310). The time of a pass is linear in its tokens.
Messages to one unit share their link one after the other. What is left out: the growth of attention with the context,
failures, and pre-emption.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coinfer.errors import InputError
from coinfer.models.split.pipeline import ENDS, PipelineEdge, PipelinePlan
from coinfer.planner.split.meter import Meter, SimulatedFigures
from coinfer.planner.split.route import Router
from coinfer.planner.split.workload import Workload

if TYPE_CHECKING:
    import simpy


@dataclass(slots=True, eq=False)
class _Request:
    """A request and how far it is."""

    index: int
    prompt_tokens: int
    output_tokens: int
    arrived_s: float
    way: tuple[int, ...] = ()
    started_s: float = 0.0
    read: int = 0
    written: int = 0
    last_s: float = 0.0

    @property
    def length(self) -> int:
        return self.prompt_tokens + self.output_tokens


@dataclass(slots=True, eq=False)
class _Item:
    """Tokens of a request at a place of its way: a part of its prompt, or the token it wrote last."""

    request: _Request
    place: int
    tokens: int
    prompt: bool


def simulate(
    plan: PipelinePlan, workload: Workload, *, warm_s: float, end_s: float, first_come: bool = True
) -> SimulatedFigures:
    """Simulate ``plan`` under ``workload`` and return the figures of the time from ``warm_s`` to ``end_s``.

    Parameters
    ----------
    plan
        Units, edges, limits.
    workload
        Requests; those after ``end_s`` never come.
    warm_s, end_s
        The window of measurement, seconds.
    first_come
        False lets a short request overtake one at the head of the queue that finds no room.

    Raises
    ------
    InputError
        If the window is empty, or a request of the workload is longer than the caches of every way.
    """
    if not 0.0 <= warm_s < end_s < np.inf:
        raise InputError("simulate", expected="0 <= warm_s < end_s", found=(warm_s, end_s))
    import simpy

    run = _Run(plan, simpy.Environment(), Meter(plan, warm_s=warm_s, end_s=end_s), first_come=first_come)
    run.start(workload)
    run.environment.run(until=end_s)
    return run.meter.figures()


class _Run:
    """The state of one simulation."""

    def __init__(self, plan: PipelinePlan, environment: simpy.Environment, meter: Meter, *, first_come: bool) -> None:
        self.plan = plan
        self.environment = environment
        self.meter = meter
        self.first_come = first_come
        self.router = Router(plan)
        self.room = [unit.cache_tokens for unit in plan.units]
        self.queue: list[_Request] = []
        self.writing: list[deque[_Item]] = [deque() for _ in plan.units]
        self.reading: list[deque[_Item]] = [deque() for _ in plan.units]
        self.wake: list[Any] = [None] * len(plan.units)
        self.edges: dict[tuple[int, int], PipelineEdge] = {(edge.source, edge.target): edge for edge in plan.edges}
        self.free_at = dict.fromkeys(self.edges, 0.0)
        self.served = 0

    def start(self, workload: Workload) -> None:
        """Set the processes going."""
        longest = int((workload.prompt_tokens + workload.output_tokens).max())
        if Router(self.plan).way(lambda place: self.room[place] >= longest) is None:
            expected = f"a way whose caches hold {longest} tokens, the longest request"
            raise InputError("simulate", expected=expected, found=[unit.cache_tokens for unit in self.plan.units])
        self.environment.process(self._arrivals(workload))
        for place in range(len(self.plan.units)):
            self.environment.process(self._unit(place))

    def _arrivals(self, workload: Workload) -> Generator[Any, Any, None]:
        lengths = zip(
            workload.arrival_s.tolist(), workload.prompt_tokens.tolist(), workload.output_tokens.tolist(), strict=True
        )
        for index, (moment, prompt, output) in enumerate(lengths):
            if moment > self.environment.now:
                yield self.environment.timeout(moment - self.environment.now)
            request = _Request(index=index, prompt_tokens=prompt, output_tokens=output, arrived_s=moment)
            self.queue.append(request)
            self._admit()

    def _admit(self) -> None:
        """Start requests from the head of the queue while there is room."""
        now = self.environment.now
        place = 0
        while place < len(self.queue) and (self.plan.in_flight is None or self.served < self.plan.in_flight):
            request = self.queue[place]
            length = request.length
            way = self.router.way(lambda unit, length=length: self.room[unit] >= length)  # type: ignore[misc]
            if way is None:
                if self.first_come:
                    break
                place += 1
                continue
            self.queue.pop(place)
            request.way, request.started_s = way, now
            self.served += 1
            for unit in way:
                self.room[unit] -= length
                self.meter.cache(unit, now, length)
            self.meter.began(now, now - request.arrived_s, len(self.queue))
            self._send(ENDS, way[0], [_Item(request, 0, request.prompt_tokens, True)])
        self.meter.queued(now, len(self.queue))

    def _unit(self, place: int) -> Generator[Any, Any, None]:
        """Pass after pass over whatever waits."""
        unit = self.plan.units[place]
        while True:
            if not (self.writing[place] or self.reading[place]):
                self.wake[place] = self.environment.event()
                yield self.wake[place]
                self.wake[place] = None
            batch = self._batch(place)
            tokens = sum(item.tokens for item in batch)
            took = unit.pass_s + unit.token_s * tokens
            self.meter.busy(place, self.environment.now, took, tokens)
            yield self.environment.timeout(took)
            onward: dict[int, list[_Item]] = {}
            for item in batch:
                item.place += 1
                way = item.request.way
                onward.setdefault(way[item.place] if item.place < len(way) else ENDS, []).append(item)
            for target, items in onward.items():
                self._send(place, target, items)

    def _batch(self, place: int) -> list[_Item]:
        """Take tokens up to the unit's number: of requests that write, then of prompts, the last one in part."""
        left = self.plan.units[place].batch_tokens
        writing, reading = self.writing[place], self.reading[place]
        batch = [writing.popleft() for _ in range(min(left, len(writing)))]
        left -= len(batch)
        while left and reading:
            item = reading[0]
            taken = min(left, item.tokens)
            left -= taken
            if taken == item.tokens:
                batch.append(reading.popleft())
            else:
                item.tokens -= taken
                batch.append(_Item(item.request, item.place, taken, True))
        return batch

    def _send(self, source: int, target: int, items: list[_Item]) -> None:
        """Put items on a link; they come out together."""
        edge = self.edges[source, target]
        now = self.environment.now
        tokens = len(items) if target == ENDS else sum(item.tokens for item in items)
        ready = max(now, self.free_at[source, target]) + tokens * edge.token_bytes / edge.bytes_per_s
        self.free_at[source, target] = ready
        event = self.environment.timeout(ready + edge.latency_s - now)
        if target == ENDS:
            event.callbacks.append(lambda _: self._written(items))
        else:
            event.callbacks.append(lambda _: self._arrived(target, items))

    def _arrived(self, place: int, items: list[_Item]) -> None:
        for item in items:
            if not item.prompt:
                self.writing[place].append(item)
            elif self.reading[place] and self.reading[place][-1].request is item.request:
                self.reading[place][-1].tokens += item.tokens
            else:
                self.reading[place].append(item)
        wake = self.wake[place]
        if wake is not None and not wake.triggered:
            wake.succeed()

    def _written(self, items: list[_Item]) -> None:
        """A token of each item's request is out: go on with the next, or end the request."""
        now = self.environment.now
        ended = False
        again: dict[int, list[_Item]] = {}
        for item in items:
            request = item.request
            if item.prompt:
                request.read += item.tokens
                if request.read < request.prompt_tokens:
                    continue
            self.meter.written(now, request.written, request.last_s, request.started_s, request.prompt_tokens)
            request.written += 1
            request.last_s = now
            if request.written < request.output_tokens:
                again.setdefault(request.way[0], []).append(_Item(request, 0, 1, False))
                continue
            ended = True
            self.served -= 1
            for unit in request.way:
                self.room[unit] += request.length
                self.meter.cache(unit, now, -request.length)
            self.meter.ended(now, now - request.started_s)
        for first, batch in again.items():
            self._send(ENDS, first, batch)
        if ended:
            self._admit()
