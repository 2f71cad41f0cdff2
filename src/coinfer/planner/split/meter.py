"""Counts what happens in a simulation, between the end of the warm-up and the end of the run."""

from __future__ import annotations

from dataclasses import dataclass

from coinfer.models.split.pipeline import PipelinePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFigures:
    """Figures of the window of measurement; a mean over nothing is ``None``.

    Attributes
    ----------
    decode_tokens_per_s
        Tokens written.
    tokens_per_s
        Tokens read and written; a prompt counts when its first token is out.
    token_s
        Mean time from one written token of a request to its next.
    prompt_s
        Mean time from the start of a request to its first token.
    queue_s
        Mean wait before the start, of the requests that started.
    queued, in_flight
        Mean number of requests that wait and that are served.
    served_s
        Mean time from start to end, of the requests that ended.
    requests_per_s
        Requests that ended.
    cache_use
        Mean share of each unit's cache that is taken.
    busy
        Share of the time each unit computes.
    batch_tokens
        Mean tokens of a pass of each unit; ``None`` where it made none.
    """

    decode_tokens_per_s: float
    tokens_per_s: float
    token_s: float | None
    prompt_s: float | None
    queue_s: float | None
    queued: float
    in_flight: float
    served_s: float | None
    requests_per_s: float
    cache_use: tuple[float, ...]
    busy: tuple[float, ...]
    batch_tokens: tuple[float | None, ...]


class _Level:
    """A number that changes in steps, and its integral over the window."""

    __slots__ = ("area", "end", "since", "start", "value")

    def __init__(self, start: float, end: float) -> None:
        self.value = self.area = self.since = 0.0
        self.start, self.end = start, end

    def put(self, now: float, value: float) -> None:
        low, high = max(self.since, self.start), min(now, self.end)
        if high > low:
            self.area += (high - low) * self.value
        self.since, self.value = now, value

    def mean(self) -> float:
        self.put(self.end, self.value)
        return self.area / (self.end - self.start)


class _Mean:
    """Sum and count of what falls into the window."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def value(self) -> float | None:
        return self.total / self.count if self.count else None


class Meter:
    """Told of each event by the simulation."""

    def __init__(self, plan: PipelinePlan, *, warm_s: float, end_s: float) -> None:
        self.warm_s, self.end_s = warm_s, end_s
        self._room = [unit.cache_tokens for unit in plan.units]
        self._cache = [_Level(warm_s, end_s) for _ in plan.units]
        self._busy_s = [0.0] * len(plan.units)
        self._batch = [_Mean() for _ in plan.units]
        self._queue, self._flight = _Level(warm_s, end_s), _Level(warm_s, end_s)
        self._gap, self._prompt, self._wait, self._served = _Mean(), _Mean(), _Mean(), _Mean()
        self._tokens = self._decoded = 0

    def cache(self, unit: int, now: float, change: float) -> None:
        """Note that a cache fills or empties."""
        self._cache[unit].put(now, self._cache[unit].value + change)

    def queued(self, now: float, length: int) -> None:
        """Note the length of the queue."""
        self._queue.put(now, length)

    def began(self, now: float, waited_s: float, queue: int) -> None:
        """Note that a request starts."""
        self._queue.put(now, queue)
        self._flight.put(now, self._flight.value + 1)
        if now >= self.warm_s:
            self._wait.add(waited_s)

    def busy(self, unit: int, now: float, took_s: float, tokens: int) -> None:
        """Note a pass that begins now."""
        self._busy_s[unit] += max(0.0, min(now + took_s, self.end_s) - max(now, self.warm_s))
        if now >= self.warm_s:
            self._batch[unit].add(tokens)

    def written(self, now: float, before: int, last_s: float, started_s: float, prompt_tokens: int) -> None:
        """Note a token of a request that had written ``before``."""
        if now < self.warm_s:
            return
        self._decoded += 1
        self._tokens += 1
        if before == 0:
            self._tokens += prompt_tokens
            self._prompt.add(now - started_s)
        else:
            self._gap.add(now - last_s)

    def ended(self, now: float, served_s: float) -> None:
        """Note the end of a request."""
        self._flight.put(now, self._flight.value - 1)
        if now >= self.warm_s:
            self._served.add(served_s)

    def figures(self) -> SimulatedFigures:
        """Return the figures of the window."""
        length = self.end_s - self.warm_s
        use = [level.mean() / room if room else 0.0 for level, room in zip(self._cache, self._room, strict=True)]
        return SimulatedFigures(
            decode_tokens_per_s=self._decoded / length,
            tokens_per_s=self._tokens / length,
            token_s=self._gap.value(),
            prompt_s=self._prompt.value(),
            queue_s=self._wait.value(),
            queued=self._queue.mean(),
            in_flight=self._flight.mean(),
            served_s=self._served.value(),
            requests_per_s=self._served.count / length,
            cache_use=tuple(use),
            busy=tuple(seconds / length for seconds in self._busy_s),
            batch_tokens=tuple(batch.value() for batch in self._batch),
        )
