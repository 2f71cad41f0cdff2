r"""Expert selection as a mixed-integer program: a capacitated p-median with promises and budgets.

.. math::

   \min_{x, y}\; -\sum_r w_r \sum_n v_{rn}\, y_{rn}
   \quad\text{s.t.}\quad \sum_n y_{rn} = 1,\; y_{rn} \le x_n,\; x_n \in \{0, 1\},\; y_{rn} \in [0, 1]

plus one family of rows per limit (see ``docs/formulations.md``). Budgets are divided by their limit, so that an
engine's absolute feasibility tolerance means the same for joules, bytes and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coinfer.errors import Plain, ProblemError
from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.explain import explain_infeasible
from coinfer.models.selection.units import (
    Units,
    answerable,
    categories_in_use,
    quality_scale,
    units,
    unselectable,
)
from coinfer.solver.program import IntArray, MixedIntegerProgram, ProgramBuilder

__all__ = ["Variables", "explain_infeasible", "formulate", "variables_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variables:
    """Where the decisions stand in the program.

    Attributes
    ----------
    select
        (experts,) index of :math:`x_n`.
    route
        (pairs,) index of :math:`y_{rn}` of each pair that is allowed.
    unit, expert
        (pairs,) unit and expert of each pair.
    device_on
        Index of the variable of each device whose idle power is accounted, by device name.
    """

    select: IntArray
    route: IntArray
    unit: IntArray
    expert: IntArray
    device_on: dict[str, int]


def formulate(problem: SelectionProblem) -> MixedIntegerProgram:
    """State ``problem`` as a program; its optimum is minus the best mean value.

    Routing shares are continuous. They come out as 0 or 1 unless a budget couples the prompts; then the traffic of a
    unit may be split, and the plan says so.

    Raises
    ------
    ProblemError
        If the gate follows scores: its shares are ratios of sums over the selection, which no linear row states.
    """
    if problem.gate in SCORED:
        expected = "'oracle' or 'category' for an integer program"
        found = Plain(f"{problem.gate!r}, which the monotonic engine solves")
        raise ProblemError("gate", expected=expected, found=found)
    parts = units(problem)
    builder = ProgramBuilder()
    variables = _variables(problem, parts, builder)
    _add_routing(builder, parts, variables)
    _add_budgets(problem, parts, builder, variables)
    _add_floor(problem, parts, builder, variables)
    _add_devices(problem, parts, builder, variables)
    if problem.latency_rule == "selected":
        _add_latency_of_selected(problem, builder, variables)
    return builder.build()


def variables_of(problem: SelectionProblem, parts: Units) -> Variables:
    """Return where each decision stands in the program of ``problem``."""
    return _variables(problem, parts, ProgramBuilder())


def _variables(problem: SelectionProblem, parts: Units, builder: ProgramBuilder) -> Variables:
    categories = sorted(set(parts.category))
    row = {category: i for i, category in enumerate(categories)}
    allowed_in = np.array(
        [[answerable(problem, expert, category) for expert in problem.experts] for category in categories]
    )
    names = [expert.name for expert in problem.experts]
    barred = [
        expert.name in problem.forbidden or unselectable(problem, expert) is not None for expert in problem.experts
    ]
    upper = 1.0 - np.array(barred, dtype=np.float64)
    lower = np.array([1.0 if name in problem.required else 0.0 for name in names])
    # A required expert that may not be selected makes an empty box; the row below says so to every engine alike.
    select = builder.variables("select", len(names), lower=np.minimum(lower, upper), upper=upper, integer=True)
    blocked = np.flatnonzero(lower > upper)
    if len(blocked):
        builder.rows("required", row=np.arange(len(blocked)), column=select[blocked], coefficient=1.0, lower=1.0)
    allowed_in &= (upper > 0.0) & ~_over_a_budget_of_nothing(problem, categories)
    unit, expert = np.nonzero(allowed_in[[row[category] for category in parts.category]])
    cost = -parts.weight[unit] * parts.value[unit, expert]
    route = builder.variables("route", len(unit), cost=cost, upper=1.0)
    accounted = problem.budgets.energy_j is not None and problem.arrival_rate_per_s is not None
    idle = [device.name for device in problem.devices if accounted and device.idle_power_w]
    on = builder.variables("device_on", len(idle), upper=1.0, integer=True)
    return Variables(
        select=select,
        route=route,
        unit=unit.astype(np.int64),
        expert=expert.astype(np.int64),
        device_on=dict(zip(idle, on.tolist(), strict=True)),
    )


def _over_a_budget_of_nothing(problem: SelectionProblem, categories: list[str]) -> NDArray[np.bool_]:
    """Return True, (categories, experts), for pairs that use some of a budget of 0.

    Their shares are 0 in every decision; an engine's tolerance would let a little through.
    """
    over = np.zeros((len(categories), len(problem.experts)), dtype=bool)
    for field in ("energy_j", "price_usd"):
        if getattr(problem.budgets, field) == 0.0:
            over |= [
                [(getattr(expert, field) or {}).get(name, 0.0) > 0.0 for expert in problem.experts]
                for name in categories
            ]
    return over


def _add_routing(builder: ProgramBuilder, parts: Units, variables: Variables) -> None:
    """Every unit is answered, and only by selected experts."""
    builder.rows(
        "assign",
        row=variables.unit,
        column=variables.route,
        coefficient=1.0,
        lower=1.0,
        upper=1.0,
        count=len(parts.weight),
    )
    pairs = np.arange(len(variables.route))
    builder.rows(
        "link",
        row=np.concatenate([pairs, pairs]),
        column=np.concatenate([variables.route, variables.select[variables.expert]]),
        coefficient=np.repeat([1.0, -1.0], len(pairs)),
        upper=0.0,
        count=len(pairs),
    )


def _add_budgets(problem: SelectionProblem, parts: Units, builder: ProgramBuilder, variables: Variables) -> None:
    """Mean energy and money per request, worst-case energy, and the number of experts."""
    budgets = problem.budgets
    weight = parts.weight[variables.unit]
    if budgets.energy_j is not None:
        rate = problem.arrival_rate_per_s or 1.0
        power = {device.name: device.idle_power_w or 0.0 for device in problem.devices}
        idle = np.array([power[name] / rate for name in variables.device_on])
        column = np.concatenate([variables.route, np.array(list(variables.device_on.values()), dtype=np.int64)])
        joules = np.concatenate([weight * _per_pair(problem, parts, variables, "energy_j"), idle])
        _budget(builder, "energy", np.zeros(len(column)), column, joules, np.array([budgets.energy_j]))
    if budgets.price_usd is not None:
        money = weight * _per_pair(problem, parts, variables, "price_usd")
        zeros = np.zeros(len(variables.route))
        _budget(builder, "price", zeros, variables.route, money, np.array([budgets.price_usd]))
    if budgets.worst_case_energy_j is not None:
        names = categories_in_use(problem)
        table = np.array([[(expert.energy_j or {}).get(name, 0.0) for expert in problem.experts] for name in names])
        row, expert = np.nonzero(table)
        limit = np.full(len(names), budgets.worst_case_energy_j)
        _budget(builder, "worst_case_energy", row, variables.select[expert], table[row, expert], limit)
    if budgets.experts is not None:
        builder.rows(
            "experts",
            row=np.zeros(len(variables.select)),
            column=variables.select,
            coefficient=1.0,
            upper=float(budgets.experts),
        )
    groups = [expert.group for expert in problem.experts]
    names_of_groups = sorted({group for group in groups if group is not None})
    members = [(names_of_groups.index(group), n) for n, group in enumerate(groups) if group is not None]
    if members:
        row, expert = np.array(members).T
        builder.rows("group", row=row, column=variables.select[expert], coefficient=1.0, upper=1.0)


def _add_floor(problem: SelectionProblem, parts: Units, builder: ProgramBuilder, variables: Variables) -> None:
    """Mean quality of the routes, divided by the largest quality: what the evaluation compares a shortfall with."""
    if problem.quality_floor is not None:
        scale = quality_scale(problem)
        quality = parts.weight[variables.unit] * (parts.quality[variables.unit, variables.expert] / scale)
        zeros, limit = np.zeros(len(quality)), -problem.quality_floor / scale
        builder.rows("quality_floor", row=zeros, column=variables.route, coefficient=-quality, upper=limit, count=1)


def _add_devices(problem: SelectionProblem, parts: Units, builder: ProgramBuilder, variables: Variables) -> None:
    """Memory and utilisation of each device, and its idle power being paid as soon as it holds an expert."""
    held_by = np.array([[expert.device == device.name for expert in problem.experts] for device in problem.devices])
    limited = [i for i, device in enumerate(problem.devices) if device.memory_bytes is not None]
    if limited:
        size = np.array([float(expert.memory_bytes or 0) for expert in problem.experts])
        row, expert = np.nonzero(held_by[limited])
        limit = np.array([float(problem.devices[i].memory_bytes or 0) for i in limited])
        _budget(builder, "memory", row, variables.select[expert], size[expert], limit)
    rate = problem.arrival_rate_per_s
    busy = [i for i, device in enumerate(problem.devices) if device.max_utilisation is not None and rate is not None]
    if busy and rate is not None:
        seconds = rate * parts.weight[variables.unit] * _per_pair(problem, parts, variables, "latency_s")
        row, pair = np.nonzero(held_by[busy][:, variables.expert])
        limit = np.array([problem.devices[i].max_utilisation or 1.0 for i in busy])
        _budget(builder, "utilisation", row, variables.route[pair], seconds[pair], limit)
    on = [
        (variables.device_on[expert.device], n)
        for n, expert in enumerate(problem.experts)
        if expert.device in variables.device_on
    ]
    if on:
        device, expert = np.array(on).T
        rows = np.arange(len(on))
        builder.rows(
            "device_on",
            row=np.concatenate([rows, rows]),
            column=np.concatenate([variables.select[expert], device]),
            coefficient=np.repeat([1.0, -1.0], len(on)),
            upper=0.0,
        )


def _add_latency_of_selected(problem: SelectionProblem, builder: ProgramBuilder, variables: Variables) -> None:
    """Every selected expert keeps every promise, and waiting for all of them counts the aggregation.

    For expert ``n`` and category ``k``: ``t_nk + a * sum_m x_m <= tau_k`` when ``x_n = 1``. The row
    ``t_nk x_n + a sum_m x_m <= tau_k + M (1 - x_n)`` says that. For ``x_n = 0`` at most ``N - 1`` experts are
    selected, so ``M = max(0, a (N - 1) - tau_k)`` is the smallest number that cuts off nothing, which keeps the
    relaxation tight. Experts fixed to 0 count neither in ``N`` nor among the rows.
    """
    step = problem.aggregation_s_per_expert or 0.0
    free = [n for n, expert in enumerate(problem.experts) if unselectable(problem, expert) is None]
    limits: list[float] = []
    numbers: list[NDArray[np.float64]] = []
    for category in problem.categories:
        budget = category.latency_budget_s
        if budget is None:
            continue
        slack = max(0.0, step * (len(free) - 1) - budget)
        latency = [problem.experts[n].total_latency_s(category.name) or 0.0 for n in free]
        numbers.append(np.full((len(free), len(free)), step) + np.diag(np.array(latency) + slack))
        limits += [budget + slack] * len(free)
    if limits:
        entries = np.concatenate(numbers)
        row, column = np.indices(entries.shape)
        _budget(
            builder, "latency", row.ravel(), variables.select[free][column.ravel()], entries.ravel(), np.array(limits)
        )


def _per_pair(problem: SelectionProblem, parts: Units, variables: Variables, field: str) -> NDArray[np.float64]:
    """Return a figure of each pair, (pairs,); pairs of which it is absent have been refused where it is needed."""
    categories = sorted(set(parts.category))
    table = np.array(
        [[(getattr(expert, field) or {}).get(category, 0.0) for expert in problem.experts] for category in categories]
    )
    index = np.array([categories.index(category) for category in parts.category])
    figures: NDArray[np.float64] = table[index[variables.unit], variables.expert]
    return figures


def _budget(
    builder: ProgramBuilder,
    name: str,
    row: NDArray[np.generic],
    column: IntArray,
    amount: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> None:
    """Add ``amount <= limit`` rows, divided by the limit; a limit of 0 stays as it is."""
    scale = np.where(limit > 0.0, limit, 1.0)
    row = row.astype(np.int64)
    builder.rows(name, row=row, column=column, coefficient=amount / scale[row], upper=limit / scale, count=len(limit))
