"""Layered path programs small enough to enumerate, others as large as real splits, and the enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from coinfer.solver.path.dynamic import shortest
from coinfer.solver.path.program import LayeredPath, Path, Piece
from coinfer.solver.program import FloatArray


def random_path(
    seed: int,
    *,
    most_carriers: int = 3,
    most_steps: int = 4,
    budgets: bool = True,
    order: Literal["fixed", "free"] = "fixed",
    mixed_modes: bool = False,
    objective: Literal["sum", "bottleneck"] = "sum",
) -> LayeredPath:
    """Draw a small program of whole numbers, with closed ways, impossible steps, ties and zeros among them."""
    generator = np.random.default_rng(seed)
    carriers, steps = int(generator.integers(1, most_carriers + 1)), int(generator.integers(1, most_steps + 1))
    modes, codecs = int(generator.integers(1, 3)), int(generator.integers(1, 3))
    resources = int(generator.integers(1, 4)) if budgets else 1

    def whole(most: int, *shape: int) -> FloatArray:
        return generator.integers(0, most + 1, shape).astype(float)

    step = whole(6, resources, carriers, modes, steps)
    step[0][generator.random(step.shape[1:]) < 0.08] = np.inf
    fixed = whole(3, resources, carriers + 1, carriers + 1)
    fixed[0][generator.random(fixed.shape[1:]) < 0.1] = np.inf
    budget = np.full(resources, np.inf)
    for resource in range(resources):
        if budgets and generator.random() < (0.2 if resource == 0 else 0.9):
            budget[resource] = float(generator.integers(2, 6 * steps + 6))
    source = int(generator.integers(0, carriers)) if generator.random() < 0.4 else None
    return LayeredPath(
        step=step,
        size=whole(4, carriers, modes, steps),
        capacity=np.where(generator.random(carriers) < 0.3, np.inf, whole(4 * steps, carriers)),
        budget=budget,
        weight=generator.integers(0, 3, (resources, steps + 1)).astype(float),
        fixed=fixed,
        rate=whole(2, resources, carriers + 1, carriers + 1),
        amount=whole(3, resources, codecs, steps + 1),
        extra=whole(2, resources, codecs, steps + 1),
        source=source,
        busy=whole(6, carriers, modes, steps),
        order=order,
        mixed_modes=mixed_modes,
        objective=objective,
    )


def tight_path(seed: int, *, order: Literal["fixed", "free"] = "fixed", mixed_modes: bool = False) -> LayeredPath:
    """Draw a small program that prices settle badly: what is cheap uses much, and budgets and memory bind."""
    generator = np.random.default_rng(seed)
    steps, carriers, modes = 5, 3 if mixed_modes else 4, 2
    cost = generator.integers(1, 30, (carriers, modes, steps)).astype(float)
    step = np.stack([cost, 30.0 - cost + generator.integers(0, 4, cost.shape), generator.integers(0, 20, cost.shape)])
    points = carriers + 1
    size = generator.integers(1, 9, cost.shape).astype(float)
    jump = generator.integers(0, 6, (3, points, points)).astype(float)
    return LayeredPath(
        step=step,
        size=size,
        capacity=generator.integers(8, 20, carriers).astype(float),
        budget=np.array([np.inf, generator.integers(12, 18) * steps, generator.integers(8, 14) * steps], dtype=float),
        weight=np.ones((3, steps + 1)),
        fixed=jump,
        rate=np.zeros((3, points, points)),
        amount=np.zeros((3, 1, steps + 1)),
        extra=np.zeros((3, 1, steps + 1)),
        busy=cost,
        order=order,
        mixed_modes=mixed_modes,
    )


def all_paths(program: LayeredPath) -> Iterator[Path]:
    """List every path, feasible or not."""
    steps, carriers = program.steps, program.carriers
    choose = itertools.combinations if program.order == "fixed" else itertools.permutations
    for count in range(1, min(steps, carriers) + 1):
        for cuts in itertools.combinations(range(1, steps), count - 1):
            bounds = list(zip((0, *cuts), (*cuts, steps), strict=True))
            modes = [
                list(itertools.product(range(program.modes), repeat=end - first))
                if program.mixed_modes
                else [(mode,) * (end - first) for mode in range(program.modes)]
                for first, end in bounds
            ]
            for chosen in choose(range(carriers), count):
                for codecs in itertools.product(range(program.codecs), repeat=count - 1):
                    for mode in itertools.product(*modes):
                        yield tuple(
                            Piece(carrier, first, end - 1, own, codec)
                            for carrier, (first, end), own, codec in zip(
                                chosen, bounds, mode, (0, *codecs), strict=True
                            )
                        )


def enumerate_path(program: LayeredPath) -> float:
    """Return the least objective of any feasible path; ``inf`` where there is none."""
    values = (program.value(path) for path in all_paths(program) if program.broken(path) is None)
    return min(values, default=math.inf)


def split_like(
    seed: int,
    *,
    steps: int,
    carriers: int,
    modes: int = 3,
    codecs: int = 4,
    tightness: float | None = 0.3,
    order: Literal["fixed", "free"] = "fixed",
    objective: Literal["sum", "bottleneck"] = "sum",
) -> LayeredPath:
    """Draw a program like the split of a language model over unequal devices, with budgets.

    Resources: seconds per token, seconds to the first token, joules, money, loss of quality. Modes are widths of
    weights, wide ones slower, larger and better; codecs likewise. Memory is scarce: all carriers together hold about
    twice the model in its narrowest mode, and no one more than 0.6 of it. The budgets lie between what a compromise of
    all resources uses and what the fastest path uses: near the first for a small ``tightness``; ``None`` leaves them
    out.
    """
    generator = np.random.default_rng(seed)
    width = np.array([16.0, 8.0, 4.0, 3.0])[:modes] / 16.0
    layer = generator.uniform(0.9, 1.1, steps)
    speed = np.exp(generator.uniform(-1.5, 1.5, carriers))
    compute = np.exp(generator.uniform(-1.5, 1.5, carriers))
    weights = layer * width[:, None]  # (modes, steps)
    decode = (weights * 10.0 + 1.0) / speed[:, None, None]
    prefill = (weights * 0.0 + layer * (1.0 + 0.2 * (1.0 - width[:, None])) * 20.0) / compute[:, None, None]
    power = speed**0.8 * np.exp(generator.uniform(-0.5, 0.5, carriers))
    price = np.where(generator.random(carriers) < 0.5, 0.0, speed**0.7 * generator.uniform(0.5, 2.0, carriers))
    loss = np.array([0.0, 0.2, 1.0, 2.5])[:modes, None] * generator.uniform(0.5, 2.0, steps)
    step = np.stack(
        [
            decode,
            prefill,
            power[:, None, None] * (decode + prefill / 20.0),
            price[:, None, None] * decode,
            np.broadcast_to(loss, decode.shape),
        ]
    )
    held = generator.uniform(0.5, 1.5, carriers)
    narrow = float(weights[-1].sum())
    together = max(2.0 * narrow, 2.5 * carriers * narrow / steps)
    capacity = np.minimum(held / held.sum() * together, 0.6 * narrow)
    fixed, rate, amount, extra = _jumps(generator, steps, carriers, codecs)
    loose = LayeredPath(
        step=step,
        size=np.broadcast_to(weights, decode.shape).copy(),
        capacity=capacity,
        budget=np.full(5, np.inf),
        weight=np.ones((5, steps + 1)),
        fixed=fixed,
        rate=rate,
        amount=amount,
        extra=extra,
        busy=decode,
        order=order,
        objective=objective,
    )
    return loose if tightness is None else replace(loose, budget=_between(loose, generator, tightness))


def _jumps(generator: np.random.Generator, steps: int, carriers: int, codecs: int) -> tuple[FloatArray, ...]:
    """Draw the ways between the carriers and what the codecs save and spoil."""
    points = carriers + 1
    latency, rate = (
        np.exp(generator.uniform(-1.0, 1.5, (points, points))),
        np.exp(generator.uniform(-1.5, 1.0, (points, points))),
    )
    packed = np.array([1.0, 0.5, 0.3, 0.2])[:codecs]
    ratio = np.broadcast_to(packed[:, None], (codecs, steps + 1)).copy()
    ratio[:, -1] = 0.01
    wire = np.array([0.0, 0.1, 1.0, 3.0])[:codecs, None] * generator.uniform(0.5, 2.0, steps + 1)
    wire[:, -1] = 0.0
    none, zeros = np.zeros((points, points)), np.zeros((codecs, steps + 1))
    return (
        np.stack([latency, latency, none, none, none]),
        np.stack([rate, 20.0 * rate, 0.3 * rate, none, none]),
        np.broadcast_to(ratio, (5, codecs, steps + 1)).copy(),
        np.stack([zeros, zeros, zeros, zeros, wire]),
    )


def _between(program: LayeredPath, generator: np.random.Generator, tightness: float) -> FloatArray:
    """Return budgets that a compromise of all resources keeps, and no other path of least use of one resource."""
    ascending = replace(program, order="fixed", objective="sum")
    used = []
    for resource in range(program.resources):
        path = shortest(_weighted(ascending, np.eye(program.resources)[resource]))
        assert path is not None
        used.append(program.used(path))
    scale = np.maximum(np.max(used, axis=0), 1e-9)
    middle = shortest(_weighted(ascending, generator.uniform(0.5, 1.5, program.resources) / scale))
    assert middle is not None
    least = program.used(middle)
    share = generator.uniform(0.5, 1.5, program.resources) * tightness
    budget = least + share * np.abs(used[0] - least) + 1e-3 * least
    budget[0] = np.inf
    return budget


def _weighted(program: LayeredPath, weights: FloatArray) -> LayeredPath:
    """Return the program with one resource, the weighted sum of all; every jump moves as much of each."""
    scaled = weights[:, None] * program.weight
    # One amount for all resources but the constant of the loss: the sum keeps the form of a jump.
    return replace(
        program,
        step=np.tensordot(weights, program.step, axes=1)[None],
        budget=np.full(1, np.inf),
        weight=np.ones((1, program.steps + 1)),
        fixed=np.tensordot(scaled[:, 0], program.fixed, axes=1)[None],
        rate=np.tensordot(scaled[:, 0], program.rate, axes=1)[None],
        amount=program.amount[:1],
        extra=np.tensordot(weights, program.extra, axes=1)[None],
    )
