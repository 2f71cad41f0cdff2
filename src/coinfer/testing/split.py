"""Split problems for tests: random small ones, and all their decisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np

from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.parts import (
    Codec,
    EarlyExit,
    LayerGroup,
    Link,
    RunningSplit,
    Segment,
    SplitBudgets,
    SplitDevice,
)

MODES = ("q4", "q8", "fp16")


def random_split(
    seed: int,
    *,
    layers: int = 4,
    devices: int = 3,
    modes: int = 2,
    codecs: int = 2,
    budgets: bool = True,
    exits: bool = True,
    running: bool = False,
    objective: str = "tpot",
    order: str = "listed",
) -> SplitProblem:
    """Return a problem of this size in which memory binds, some links are missing and every figure is known."""
    rng = np.random.default_rng(seed)
    names = MODES[:modes]
    first = int(rng.integers(1, layers)) if layers > 1 else layers
    groups = tuple(
        LayerGroup(
            count=count,
            weights_bytes={name: int(10 * 2**q * rng.uniform(0.8, 1.2)) for q, name in enumerate(names)},
            kv_bytes_per_token=0.25,
            quality_loss={name: float(rng.uniform(0.0, 0.1)) / (q + 1) for q, name in enumerate(names)},
        )
        for count in ((first, layers - first) if layers > first else (layers,))
    )
    room = 1.3 * sum(group.count * max(group.weights_bytes.values()) for group in groups)
    made = _devices(rng, devices, names, room, len(groups))
    links = _links(rng, [device.name for device in made])
    return SplitProblem(
        name=f"random {seed}",
        layers=groups,
        hidden_size=8,
        devices=tuple(made),
        codecs=tuple(
            Codec(name=f"codec{c}", bytes_per_element=2.0 / (c + 1), seconds_per_token=0.02 * c, quality_loss=0.05 * c)
            for c in range(codecs)
        ),
        prompt_tokens=int(rng.integers(1, 6)),
        output_tokens=int(rng.integers(1, 12)),
        source="device0",
        links=links,
        sequences=int(rng.integers(1, 3)),
        exits=_exits(rng, layers, [device.name for device in made]) if exits else (),
        objective=objective,  # type: ignore[arg-type]  # msgspec does not check; the caller means one of the three
        order=order,  # type: ignore[arg-type]
        budgets=_budgets(rng, layers) if budgets else None,
        running=RunningSplit(
            segments=(Segment(device="device0", first_layer=0, last_layer=layers - 1, quantisation=names[0]),),
            tokens_until_next_change=50.0,
        )
        if running
        else None,
    )


def _devices(
    rng: np.random.Generator, count: int, names: tuple[str, ...], room: float, groups: int
) -> tuple[SplitDevice, ...]:
    made = []
    for d in range(count):
        speed = float(rng.uniform(0.2, 3.0))
        own = [name for q, name in enumerate(names) if q == 0 or rng.random() < 0.8]
        decode = {q: tuple(float(speed * rng.uniform(0.5, 1.5)) for _ in range(groups)) for q in own}
        prefill = {q: tuple(float(0.1 * speed * rng.uniform(0.5, 1.5)) for _ in range(groups)) for q in own}
        made.append(
            SplitDevice(
                name=f"device{d}",
                memory_bytes=room * float(rng.uniform(0.3, 1.0)),
                decode_s=decode,
                prefill_s_per_token=prefill,
                power_w=float(rng.uniform(5.0, 50.0)),
                usd_per_s=float(rng.uniform(0.0, 2.0)),
                load_bytes_per_s=float(rng.uniform(1.0, 5.0)),
            )
        )
    return tuple(made)


def _links(rng: np.random.Generator, names: list[str]) -> tuple[Link, ...]:
    return tuple(
        Link(
            source=start,
            to=end,
            latency_s=float(rng.uniform(0.0, 1.0)),
            bytes_per_s=float(rng.uniform(5.0, 50.0)),
            usd_per_byte=float(rng.uniform(0.0, 0.01)),
            j_per_byte=float(rng.uniform(0.0, 0.1)),
        )
        for start, end in permutations(names, 2)
        if (start < end or rng.random() < 0.5) and rng.random() < 0.9
    )


def _exits(rng: np.random.Generator, layers: int, names: list[str]) -> tuple[EarlyExit, ...]:
    places = sorted(rng.choice(np.arange(1, layers), size=min(2, layers - 1), replace=False).tolist())
    return tuple(
        EarlyExit(
            after_layer=int(place),
            share=float(rng.uniform(0.0, 0.4)),
            head_s={name: float(rng.uniform(0.0, 0.5)) for name in names if rng.random() < 0.9},
            quality_loss=float(rng.uniform(0.0, 0.02)),
        )
        for place in places
    )


def _budgets(rng: np.random.Generator, layers: int) -> SplitBudgets:
    return SplitBudgets(
        ttft_s=float(rng.uniform(1.0, 8.0) * layers),
        j_per_request=float(rng.uniform(50.0, 900.0) * layers),
        usd_per_request=float(rng.uniform(1.0, 30.0) * layers),
        quality_loss=float(rng.uniform(0.02, 0.12) * layers),
    )


def every_decision(problem: SplitProblem) -> Iterator[SplitDecision]:
    """Yield every way to put the layers on devices, whether or not it keeps the limits."""
    names = [device.name for device in problem.devices]
    layers = problem.layer_count
    codecs = [codec.name for codec in problem.codecs]
    for pieces in range(1, min(len(names), layers) + 1):
        chains = combinations(names, pieces) if problem.order == "listed" else permutations(names, pieces)
        for chain in chains:
            for cuts in combinations(range(1, layers), pieces - 1):
                bounds = [0, *cuts, layers]
                for modes in product(problem.quantisations, repeat=layers):
                    for chosen in product(codecs, repeat=pieces - 1):
                        yield SplitDecision(segments=tuple(_segments(chain, bounds, modes, chosen)))


def _segments(
    chain: tuple[str, ...], bounds: list[int], modes: tuple[str, ...], codecs: tuple[str, ...]
) -> Iterator[Segment]:
    for i, device in enumerate(chain):
        first = bounds[i]
        while first < bounds[i + 1]:
            last = first
            while last + 1 < bounds[i + 1] and modes[last + 1] == modes[first]:
                last += 1
            codec = codecs[i - 1] if i > 0 and first == bounds[i] else None
            yield Segment(device=device, first_layer=first, last_layer=last, quantisation=modes[first], codec=codec)
            first = last + 1
