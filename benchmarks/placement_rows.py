"""What the rows of the placement benchmark share: programs of synthetic traces, crossings, rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Row
from benchmarks.placement_instances import expert_loads, synthetic_trace, transition_counts
from coinfer.solver.assignment.program import LayeredAssignment, evaluate

TOKENS = 30_000
Floats = NDArray[np.float64]


def program_of(trace: NDArray[np.int16], experts: int, parts: int, cap: float | None = None) -> LayeredAssignment:
    """Return the program of a trace."""
    loads = expert_loads(trace, experts)
    return LayeredAssignment(
        weights=transition_counts(trace, experts),
        distance=1.0 - np.eye(parts),
        capacity=np.full(parts, experts // parts),
        loads=None if cap is None else loads,
        load_caps=None if cap is None else cap * loads.sum(axis=1) / parts,
    )


def traces(size: tuple[int, int, int], strength: str, top_k: int = 1) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return a trace to fit and one held out."""
    count = TOKENS if top_k == 1 else 20_000
    both = synthetic_trace(size[0], size[1], strength=strength, tokens=2 * count, seed=0, top_k=top_k)
    return both[:count], both[count:]


def crossing(program: LayeredAssignment, part: NDArray[np.int64] | None) -> float:
    """Return the share of transitions that change part."""
    return 1.0 if part is None else evaluate(program, part).value / float(program.weights.sum())


def row(
    claim: str, size: object, figure: float, target: float | None, seconds: float, peer: str = "-", **more: object
) -> Row:
    """Return a row; ``least`` says that the figure must be at least the target."""
    holds = None if target is None else bool(figure >= target if more.get("least") else figure <= target)
    name = size if isinstance(size, str) else "x".join(map(str, size))  # type: ignore[arg-type]
    unit = str(more.get("unit", ""))
    return Row(
        claim=claim, instance=name, figure=figure, unit=unit, target=target, holds=holds, peer=peer, seconds=seconds
    )
