"""Building one program: arrays per constraint family against an object per term.

    python -m benchmarks.bench_build [--quick] [--json FILE]

The program is the p-median with a knapsack row that expert selection leads to.
"""

from __future__ import annotations

import numpy as np

from benchmarks.common import Row, cpu_s, options, show
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder

TARGET = 10.0  # times cheaper than the peer


def instance(prompts: int, experts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return quality (prompts, experts) and weight (experts,)."""
    rng = np.random.default_rng(0)
    return rng.random((prompts, experts)), rng.uniform(1.0, 8.0, experts)


def with_arrays(quality: np.ndarray, weight: np.ndarray) -> MixedIntegerProgram:
    """Build it as coinfer does."""
    prompts, experts = quality.shape
    builder = ProgramBuilder()
    select = builder.variables("select", experts, upper=1.0, integer=True)
    route = builder.variables("route", prompts * experts, cost=-quality.ravel() / prompts, upper=1.0)
    row = np.repeat(np.arange(prompts), experts)
    builder.rows("assign", row=row, column=route, coefficient=1.0, lower=1.0, upper=1.0)
    pairs = np.arange(len(route))
    builder.rows(
        "link",
        row=np.concatenate([pairs, pairs]),
        column=np.concatenate([route, np.tile(select, prompts)]),
        coefficient=np.repeat([1.0, -1.0], len(pairs)),
        upper=0.0,
    )
    builder.rows("budget", row=np.zeros(experts), column=select, coefficient=weight, upper=0.2 * weight.sum())
    return builder.build()


def with_pulp(quality: np.ndarray, weight: np.ndarray) -> None:
    """Build it with PuLP's expressions."""
    import pulp

    prompts, experts = quality.shape
    problem = pulp.LpProblem("median", pulp.LpMinimize)
    select = [pulp.LpVariable(f"x{n}", cat="Binary") for n in range(experts)]
    route = [[pulp.LpVariable(f"y{d}_{n}", 0, 1) for n in range(experts)] for d in range(prompts)]
    problem += pulp.lpSum(-quality[d, n] * route[d][n] for d in range(prompts) for n in range(experts))
    for d in range(prompts):
        problem += pulp.lpSum(route[d]) == 1
        for n in range(experts):
            problem += route[d][n] <= select[n]
    problem += pulp.lpSum(weight[n] * select[n] for n in range(experts)) <= 0.2 * weight.sum()


def with_mathopt(quality: np.ndarray, weight: np.ndarray) -> None:
    """Build it with the MathOpt Python API of OR-Tools."""
    from ortools.math_opt.python import mathopt

    prompts, experts = quality.shape
    model = mathopt.Model(name="median")
    select = [model.add_binary_variable() for _ in range(experts)]
    route = [[model.add_variable(lb=0.0, ub=1.0) for _ in range(experts)] for _ in range(prompts)]
    model.minimize(mathopt.fast_sum(-quality[d, n] * route[d][n] for d in range(prompts) for n in range(experts)))
    for d in range(prompts):
        model.add_linear_constraint(mathopt.fast_sum(route[d]) == 1.0)
        for n in range(experts):
            model.add_linear_constraint(route[d][n] - select[n] <= 0.0)
    total = mathopt.fast_sum(weight[n] * select[n] for n in range(experts))
    model.add_linear_constraint(total <= 0.2 * weight.sum())


def with_highspy(quality: np.ndarray, weight: np.ndarray) -> None:
    """Build it with the expressions of highspy."""
    import highspy

    prompts, experts = quality.shape
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    select = [highs.addBinary() for _ in range(experts)]
    route = [[highs.addVariable(0.0, 1.0, obj=-quality[d, n]) for n in range(experts)] for d in range(prompts)]
    for d in range(prompts):
        highs.addConstr(sum(route[d]) == 1.0)
        for n in range(experts):
            highs.addConstr(route[d][n] - select[n] <= 0.0)
    highs.addConstr(sum(weight[n] * select[n] for n in range(experts)) <= 0.2 * weight.sum())


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__ or "")
    sizes = [(300, 10)] if chosen.quick else [(300, 10), (2000, 30)]
    rows = []
    for prompts, experts in sizes:
        quality, weight = instance(prompts, experts)
        ours = cpu_s(lambda q=quality, w=weight: with_arrays(q, w), repeats=5)
        for peer, build in (
            ("PuLP expressions", with_pulp),
            ("MathOpt Python API", with_mathopt),
            ("highspy expressions", with_highspy),
        ):
            theirs = cpu_s(lambda b=build, q=quality, w=weight: b(q, w), repeats=1 if prompts > 1000 else 3)
            rows.append(
                Row(
                    claim="building is cheaper in CPU time",
                    instance=f"{prompts} prompts x {experts} experts",
                    figure=theirs / ours,
                    unit="x",
                    target=TARGET,
                    holds=theirs / ours >= TARGET,
                    peer=peer,
                    seconds=ours,
                )
            )
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
