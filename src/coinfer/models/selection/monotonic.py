"""Expert selection as a monotonic program: the selection alone is searched, the routing follows from it.

Gates ``oracle`` and ``category`` route every unit to its most valuable selected expert: a facility location. Gates
``softmax`` and ``top_1`` follow their scores: a gated mean. A limit on a mean over the traffic (energy, money,
utilisation, the quality floor) is a function of the selection only under the second kind; under the first the routing
would have to be chosen too, which is the integer program's part.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProblemError
from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.deployed import gate_shares
from coinfer.models.selection.formulate import formulate
from coinfer.models.selection.units import Units, answerable, quality_scale, units
from coinfer.records import Matrix
from coinfer.solver.monotonic.program import (
    Constraint,
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    LinearRows,
    MixedAtMost,
    MonotonicProgram,
    PairOracle,
)
from coinfer.solver.monotonic.weaken import GatePair
from coinfer.solver.program import MixedIntegerProgram

BoolArray = NDArray[np.bool_]
ROUNDING = 2.0**-46
"""Share by which a limit on a mean is loosened: what the rounding of its sum may hide."""
LEAST_SHARE = 1e-220
LEAST_SCALE = 1e-150
"""Smallest limit that figures are divided by; below it they might no longer be numbers."""
SELECTION_ROWS = ("required", "worst_case_energy", "experts", "group", "memory", "latency")
"""Row families of the integer program that bind the selection and not the routing."""


def why_not_monotonic(problem: SelectionProblem) -> str | None:
    """Say why ``problem`` has no monotonic program; ``None`` when it has one."""
    if problem.gate in SCORED:
        return None
    budgets = problem.budgets
    loaded = problem.arrival_rate_per_s is not None and any(part.max_utilisation for part in problem.devices)
    coupling = [
        name
        for name, present in (
            ("budgets.energy_j", budgets.energy_j is not None),
            ("budgets.price_usd", budgets.price_usd is not None),
            ("max_utilisation", loaded),
            ("quality_floor", problem.quality_floor is not None),
        )
        if present
    ]
    if not coupling:
        return None
    return f"{coupling[0]} limits a mean over the traffic, so the routing must be chosen with the selection"


def monotonic_program(problem: SelectionProblem) -> MonotonicProgram:
    """State ``problem`` as a program over the selection; variable ``n`` is 1 where expert ``n`` is selected.

    Raises
    ------
    ProblemError
        If a limit couples the routing, which :func:`why_not_monotonic` says beforehand.
    """
    reason = why_not_monotonic(problem)
    if reason is not None:
        raise ProblemError("engine", expected="'highs' or another integer program", found=Plain(f"monotonic; {reason}"))
    parts = units(problem)
    select = formulate(_selection_only(problem))
    count = len(problem.experts)
    lower, upper = select.lower[:count].astype(np.int64), select.upper[:count].astype(np.int64)
    allowed = _allowed(problem, parts)
    value = np.where(allowed, parts.value, -np.inf)
    constraints: list[Constraint] = [_rows(select, count)]
    if problem.gate not in SCORED:
        objective: FacilityLocation | GatedMean = FacilityLocation(values=value, weights=parts.weight)
    else:
        shares = _shares(problem, parts, allowed)
        objective = _gated(problem, parts.value, shares, parts.weight)
        constraints += _mean_limits(problem, parts, shares)
        upper = np.where(_paying(problem, parts, allowed), 0, upper)
    return MonotonicProgram(lower=lower, upper=upper, objective=objective, constraints=tuple(constraints))


def _selection_only(problem: SelectionProblem) -> SelectionProblem:
    """Return the problem without anything that concerns the routing, and with one prompt for each category."""
    budgets = msgspec.structs.replace(problem.budgets, energy_j=None, price_usd=None)
    prompts = {prompt.category: prompt for prompt in reversed(problem.prompts)}
    return msgspec.structs.replace(
        problem,
        prompts=tuple(prompts.values()),
        quality=Matrix(np.zeros((len(prompts), len(problem.experts)))),
        gate="category",
        gate_scores=None,
        gate_report=None,
        objective="quality",
        cost_of_pass=None,
        quality_floor=None,
        budgets=budgets,
    )


def _allowed(problem: SelectionProblem, parts: Units) -> BoolArray:
    """Return True, (units, experts), for pairs of which the expert may answer the unit once it is selected."""
    able = {
        category: [answerable(problem, expert, category) for expert in problem.experts]
        for category in set(parts.category)
    }
    return np.array([able[category] for category in parts.category])


def _rows(program: MixedIntegerProgram, count: int) -> LinearRows:
    """Return the rows of the integer program that bind the selection of ``count`` experts, all as ``<=``."""
    coefficients, limits, names = [], [], []
    for name in SELECTION_ROWS:
        block = program.row_blocks.get(name, slice(0, 0))
        for row in range(block.start, block.stop):
            entries = slice(program.row_start[row], program.row_start[row + 1])
            dense = np.zeros(count)
            dense[program.column[entries]] = program.coefficient[entries]
            for sign, side in ((1.0, program.row_upper[row]), (-1.0, -program.row_lower[row])):
                if np.isfinite(side):
                    coefficients.append(sign * dense)
                    limits.append(float(side))
                    names.append(f"{name} {row - block.start}")
    return LinearRows(
        coefficients=np.array(coefficients).reshape(len(limits), count), limits=np.array(limits), names=tuple(names)
    )


def _shares(problem: SelectionProblem, parts: Units, allowed: BoolArray) -> FloatArray:
    """Return the unnormalised share of each expert in each unit: those of the gate over all that may answer."""
    if problem.gate_scores is None:
        raise ProblemError("gate_scores", expected="scores", found=None)
    scores = problem.gate_scores.array[[members[0] for members in parts.members]]
    if problem.gate == "top_1":  # only the order counts: ranks, equal ones for equal scores
        ranks = np.array([np.unique(row, return_inverse=True)[1] for row in scores], dtype=np.float64)
        return np.where(allowed, ranks + 1.0, 0.0)
    shares = gate_shares(scores, allowed, "softmax")
    if (shares[allowed] < LEAST_SHARE).any():
        expected = "scores of one prompt that differ by less than 500, whose exponentials are still numbers"
        raise ProblemError("gate_scores", expected=expected, found=Plain("larger differences"))
    return shares


def _gated(problem: SelectionProblem, values: FloatArray, shares: FloatArray, weight: FloatArray) -> GatedMean:
    rule: Literal["proportional", "largest"] = "proportional" if problem.gate == "softmax" else "largest"
    return GatedMean(values=np.where(shares > 0.0, values, 0.0), shares=shares, weights=weight, rule=rule)


def _figures(problem: SelectionProblem, parts: Units, field: str) -> FloatArray:
    """Return a figure of each pair, (units, experts); 0 where it is absent."""
    tables: list[dict[str, float]] = [getattr(expert, field) or {} for expert in problem.experts]
    return np.array([[table.get(category, 0.0) for table in tables] for category in parts.category])


def _idle(problem: SelectionProblem) -> FloatArray:
    """Return the idle energy per request, J, (devices, experts), that each expert makes its device pay."""
    rate = problem.arrival_rate_per_s
    power = {part.name: 0.0 if rate is None else (part.idle_power_w or 0.0) / rate for part in problem.devices}
    return np.array(
        [[power[part.name] * (expert.device == part.name) for expert in problem.experts] for part in problem.devices]
    )


def _paying(problem: SelectionProblem, parts: Units, allowed: BoolArray) -> BoolArray:
    """Return True, (experts,), for those that use some of a budget of nothing once they are selected.

    Under ``softmax`` every selected expert that may answer is asked. What it then uses may be less than rounding hides
    from a sum, but it is something.
    """
    found = np.zeros(len(problem.experts), dtype=bool)
    for field in ("energy_j", "price_usd"):
        if problem.gate == "softmax" and getattr(problem.budgets, field) == 0.0:
            found |= (allowed & (_figures(problem, parts, field) > 0.0)).any(axis=0)
    return found


def _mean_limits(problem: SelectionProblem, parts: Units, shares: FloatArray) -> list[Constraint]:
    """Return the limits on means over the traffic, which the selection decides under a gate that follows scores.

    Each is divided by its limit, so that the tolerance of a search means the same for joules, money and load. With a
    budget of nothing only whether something is used counts.
    """
    experts, budgets, rate = problem.experts, problem.budgets, problem.arrival_rate_per_s
    found: list[Constraint] = []

    def limit(table: FloatArray, most: float, name: str, scale: float, idle: FloatArray | None = None) -> None:
        table, idle, most = table / scale, None if idle is None else idle / scale, most / scale
        mean = _gated(problem, table, shares, parts.weight)
        margin = ROUNDING * (abs(most) + float(parts.weight @ np.abs(mean.values).max(axis=1)))
        found.append(MixedAtMost(oracle=LimitedMean(mean, idle), limit=most + margin, name=name))

    def budget(table: FloatArray, most: float, name: str, idle: FloatArray | None = None) -> None:
        if most == 0.0:
            table, idle = np.sign(table), None if idle is None else np.sign(idle)
        limit(table, most, name, max(most, LEAST_SCALE) if most > 0.0 else 1.0, idle)

    if budgets.energy_j is not None:
        budget(_figures(problem, parts, "energy_j"), budgets.energy_j, "energy", _idle(problem))
    if budgets.price_usd is not None:
        budget(_figures(problem, parts, "price_usd"), budgets.price_usd, "price")
    if problem.quality_floor is not None:
        limit(-parts.quality, -problem.quality_floor, "quality floor", quality_scale(problem))
    for device in problem.devices:
        if device.max_utilisation is not None and rate is not None:
            there = np.array([expert.device == device.name for expert in experts])
            busy = rate * _figures(problem, parts, "latency_s") * there
            budget(busy, device.max_utilisation, f"utilisation of {device.name}")
    return found


class LimitedMean:
    """A mean under the gate, plus idle power of the devices that hold an expert, as a mixed monotone function.

    Attributes
    ----------
    mean
        The mean.
    idle
        (devices, experts) what each device adds as soon as it holds the expert; ``None`` where nothing is added.
    """

    def __init__(self, mean: GatedMean, idle: FloatArray | None) -> None:
        self.mean, self.idle = mean, idle
        self._pair: PairOracle = GatePair(mean)

    def values(self, rising: IntArray, falling: IntArray) -> FloatArray:
        """Return the value of each pair of rows, both (count, variables), as (count,)."""
        means = self._pair.values(rising, falling)
        if self.idle is None:
            return means
        paid: FloatArray = (self.idle[None] * rising[:, None, :]).max(axis=2, initial=0.0).sum(axis=1)
        return means + paid
