"""The columns of one target rate: multisets of units, with the steps they can hold and still reach it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coinfer.solver.pattern.program import PatternProgram, patterns
from coinfer.solver.program import FloatArray, IntArray

_LEAST_SPARE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Stages that reach the target.

    Attributes
    ----------
    region, steps, width
        (columns,): where the units stand, how many steps each holds, how many units there are.
    use
        (columns, types): the units.
    """

    region: IntArray
    use: IntArray
    steps: IntArray
    width: IntArray


def enumerate_columns(program: PatternProgram, target: float) -> Columns:
    """Return the columns that can matter for ``target``.

    A stage from which a unit can be taken away is left out where regions do not ask for wide stages. Of the steps a
    stage can hold only the most are kept where a unit is never faster for holding more: the rest of the line can
    then be cut to length.
    """
    one_region = len(program.units) == 1
    parts: list[tuple[int, IntArray, IntArray]] = []
    for region in range(len(program.units)):
        use = patterns(program, region)
        reaches = use @ program.rate >= target  # (patterns, most steps)
        # A unit that cannot hold so many steps is no part of such a stage.
        reaches &= (use @ (program.rate <= 0.0)) == 0
        keep = reaches & ~_dispensable(use, reaches) if one_region else reaches
        if program.falling:
            most = reaches.shape[1] - np.argmax(reaches[:, ::-1], axis=1)
            keep &= np.arange(1, reaches.shape[1] + 1) == most[:, None]
        index, held = np.nonzero(keep)
        parts.append((region, use[index], held + 1))
    use = np.concatenate([part[1] for part in parts])
    return Columns(
        region=np.concatenate([np.full(len(part[1]), part[0]) for part in parts]),
        use=use,
        steps=np.concatenate([part[2] for part in parts]),
        width=use.sum(axis=1),
    )


def _dispensable(use: IntArray, reaches: np.ndarray) -> np.ndarray:
    """Return, (patterns, most steps), where the stage without one of its units still reaches the target."""
    position = {tuple(row): index for index, row in enumerate(use.tolist())}
    found = np.zeros_like(reaches)
    for kind in range(use.shape[1]):
        fewer = use.copy()
        fewer[:, kind] -= 1
        smaller = np.array([position.get(tuple(row), -1) for row in fewer.tolist()], dtype=np.int64)
        inside = smaller >= 0
        found[inside] |= reaches[smaller[inside]]
    return found


def column_delays(program: PatternProgram, columns: Columns, target: float) -> FloatArray:
    """Return what passing each column takes at ``target``, (columns,): its units share the flow by their rates."""
    if program.delay is None:
        return np.zeros(len(columns.steps))
    held = columns.steps - 1
    rates = program.rate[:, held].T  # (columns, types)
    share = rates / np.maximum((columns.use * rates).sum(axis=1, keepdims=True), 1e-300)
    spare = np.maximum(1.0 - target * share * program.delay.load[:, held].T, _LEAST_SPARE)
    mean: FloatArray = (columns.use * share * program.delay.base[:, held].T / spare).sum(axis=1)
    return mean + program.delay.hop
