"""Turn measurement rows into a profile: one estimate with a 95 % interval for every quantity that was measured."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from coinfer.errors import Plain, ProfileError
from coinfer.profiler.intervals import Interval, mean_interval, quantile_interval, ratio_interval, share_interval
from coinfer.profiler.measurement import Measurement
from coinfer.profiler.profile import DeviceFacts, Entry, Estimate, Profile, Quantity

Basis = Literal["measured", "published", "declared"]

MEASURED = "measured"
"""What a row measured here says as its source."""

_STRONGEST_FIRST: tuple[Basis, ...] = ("measured", "published", "declared")


class _Key(NamedTuple):
    """What an estimate is an estimate of."""

    device: str
    model: str
    engine: str
    quantisation: str | None
    power_mode: str | None
    category: str | None
    batch: int
    quantity: Quantity


class _Fact(NamedTuple):
    """What one row says about one quantity; a rate is ``value / tokens``."""

    quantity: Quantity
    category: str | None
    basis: Basis
    source: str
    value: float
    tokens: float = 1.0


class _Samples:
    """Facts of one key and one basis, as compact arrays."""

    __slots__ = ("prompts", "sources", "tokens", "values")

    def __init__(self) -> None:
        self.values = array("d")
        self.tokens = array("d")
        self.prompts: list[str | None] = []
        self.sources: set[str] = set()

    def add(self, fact: _Fact, prompt: str | None) -> None:
        """Take one fact in."""
        self.values.append(fact.value)
        self.tokens.append(fact.tokens)
        self.prompts.append(prompt)
        self.sources.add(fact.source)

    def by_prompt(self) -> list[float]:
        """Return the mean of each prompt's values; a value without a prompt stands alone.

        Answers to one prompt resemble each other; counted as independent they would make intervals too narrow.
        """
        groups: dict[str | int, list[float]] = defaultdict(list)
        for i, (value, prompt) in enumerate(zip(self.values, self.prompts, strict=True)):
            groups[i if prompt is None else prompt].append(value)
        return [math.fsum(group) / len(group) for group in groups.values()]


def fit(rows: Iterable[Measurement], *, devices: tuple[DeviceFacts, ...]) -> Profile:
    """Fit a profile to measurement rows; nothing is estimated that no row tells.

    The rows are read once and may be many: a few numbers are kept of each. Their order does not matter. Where rows
    measured here and published rows speak of the same key, the published ones are left out.

    ==================== ======================================== ==================================================
    quantity             rows                                     value and 95 % interval
    ==================== ======================================== ==================================================
    request_s            requests                                 mean over prompts, Student
    request_p95_s        requests, 20 or more                     nearest rank, order statistics; no interval where a
                                                                  prompt was asked twice or rows are below 72
    request_energy_j     requests with energy                     mean over prompts, Student; of one sequence
    quality              requests that were checked               mean, Wilson over prompts
    prompt_tokens,       requests                                 mean over prompts, Student; of one sequence
    output_tokens
    prefill_s_per_token, bare phases with a count of tokens       ratio of sums, delta method; how long one sequence
    decode_s_per_token                                            waits for one token of its own
    memory_bytes         all with memory                          largest, no interval
    power_w              published decode and request rows with   mean of energy over seconds, Student
                         energy
    ==================== ======================================== ==================================================

    A single sample has no interval. Quantities of requests belong to their category (to none, if the rows
    name none), the others to none.

    Parameters
    ----------
    rows
        Measurements, in any order.
    devices
        What is known of the devices; taken over as it is.

    Raises
    ------
    ProfileError
        If a sum of the rows is no finite number.
    """
    samples: dict[_Key, dict[Basis, _Samples]] = defaultdict(lambda: defaultdict(_Samples))
    for row in rows:
        try:
            for fact in _facts(row):
                samples[_key(row, fact)][fact.basis].add(fact, row.prompt)
        except OverflowError as error:
            where = f"a row of {row.model} on {row.device}"
            raise ProfileError(where, expected="numbers below 1.8e308", found=Plain("overflow")) from error
    order = sorted(samples, key=lambda key: tuple((part is not None, part if part is not None else "") for part in key))
    return Profile(devices=devices, entries=tuple(entry for key in order for entry in _entry(key, samples[key])))


def _key(row: Measurement, fact: _Fact) -> _Key:
    return _Key(
        device=row.device,
        model=row.model,
        engine=row.engine,
        quantisation=row.quantisation,
        power_mode=row.power_mode,
        category=fact.category,
        batch=row.batch,
        quantity=fact.quantity,
    )


def _facts(row: Measurement) -> Iterator[_Fact]:
    """Yield all that one row says. An event of a batch covers all its sequences."""
    basis: Basis = "measured" if row.source == MEASURED else "published"
    if row.memory_bytes is not None:
        yield _Fact("memory_bytes", None, basis, row.source, float(row.memory_bytes))
    if row.phase == "prefill" and row.prompt_tokens:
        yield _Fact("prefill_s_per_token", None, basis, row.source, row.seconds * row.batch, row.prompt_tokens)
    if row.phase == "decode" and row.output_tokens:
        yield _Fact("decode_s_per_token", None, basis, row.source, row.seconds * row.batch, row.output_tokens)
    if row.energy_j is not None and basis == "published" and row.phase in ("decode", "request"):
        yield _Fact("power_w", None, basis, row.source, row.energy_j / row.seconds)
    if row.phase != "request":
        return
    yield _Fact("request_s", row.category, basis, row.source, row.seconds)
    yield _Fact("request_p95_s", row.category, basis, row.source, row.seconds)
    if row.correct is not None:
        yield _Fact("quality", row.category, basis, row.source, row.correct)
    if row.prompt_tokens is not None:
        yield _Fact("prompt_tokens", row.category, basis, row.source, row.prompt_tokens / row.batch)
    if row.output_tokens is not None:
        yield _Fact("output_tokens", row.category, basis, row.source, row.output_tokens / row.batch)
    if row.energy_j is not None:
        if row.energy_source in ("published", "declared") and basis == "measured":
            basis = row.energy_source
        source = f"measured by {row.energy_source}" if basis == "measured" else f"{row.source} ({row.energy_source})"
        yield _Fact("request_energy_j", row.category, basis, source, row.energy_j / row.batch)


def _entry(key: _Key, by_basis: dict[Basis, _Samples]) -> Iterator[Entry]:
    """Yield the entry of one key, or nothing where the samples are too few."""
    basis = next(basis for basis in _STRONGEST_FIRST if basis in by_basis)
    samples = by_basis[basis]
    where = f"{key.quantity} of {key.model} on {key.device}"
    try:
        estimated = _estimate(key.quantity, samples)
    except OverflowError as error:
        raise ProfileError(where, expected="rows whose sum is a finite number", found=Plain("overflow")) from error
    if estimated is None:
        return
    value, interval = estimated
    if not math.isfinite(value):
        raise ProfileError(where, expected="rows whose mean is a finite number", found=value)
    low, high = interval or (None, None)
    source = next(iter(samples.sources)) if len(samples.sources) == 1 else f"{len(samples.sources)} sources"
    yield Entry(
        device=key.device,
        model=key.model,
        engine=key.engine,
        quantity=key.quantity,
        estimate=Estimate(value=value, low=low, high=high, samples=len(samples.values), basis=basis, source=source),
        quantisation=key.quantisation,
        power_mode=key.power_mode,
        category=key.category,
        batch=key.batch,
    )


def _estimate(quantity: Quantity, samples: _Samples) -> tuple[float, Interval] | None:
    """Return value and interval in the way that fits the quantity."""
    if quantity == "memory_bytes":
        return max(samples.values), None
    if quantity in ("prefill_s_per_token", "decode_s_per_token"):
        return ratio_interval(samples.values, samples.tokens)
    prompts = samples.by_prompt()
    if quantity == "quality":
        return share_interval(samples.values, independent=len(prompts))
    if quantity == "request_p95_s":
        tail = quantile_interval(samples.values, 0.95)
        repeated = len(prompts) < len(samples.values)
        return (tail[0], None) if tail is not None and repeated else tail
    return mean_interval(prompts)
