"""Expert selection: the monotonic search beside HiGHS, on drawn instances and on the published matrices.

Times are CPU seconds of one thread, medians over seeds, after one call that loads the compiled steps. The peer gets the
same instance as a p-median integer program; where it runs into its time limit, the ratio is a lower bound.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np

from benchmarks.common import Row, options, show
from benchmarks.instances import Family, Instance, draw
from coinfer.models.selection.imports import EnergyOptions, GpuBudget, ImportOptions, import_ml_energy
from coinfer.planner.make import plan
from coinfer.solver import mip
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic.explore import sweep
from coinfer.solver.monotonic.facility import search_facility
from coinfer.solver.monotonic.kernels import Choice
from coinfer.solver.monotonic.program import FacilityLocation, LinearRows, MonotonicProgram
from coinfer.solver.monotonic.result import SearchResult, SearchStatus
from coinfer.solver.program import MixedIntegerProgram, ProgramBuilder

DATA = Path(__file__).parents[2] / "shared" / "data"
SHARES = (0.15, 0.3)
LIMIT_S = 60.0
TARGETS: tuple[tuple[Family, int, float], ...] = (
    ("near-peer", 24, 0.1),
    ("near-peer", 30, 0.2),
    ("near-peer", 40, 1.5),
    ("near-peer", 60, 10.0),
    ("heterogeneous", 60, 1.0),
    ("heterogeneous", 100, 5.0),
)


def timed(program: MonotonicProgram, kernel: Choice = "compiled") -> tuple[float, SearchResult]:
    """Return CPU seconds and result of one search with its proof."""
    began = time.process_time()
    result = search_facility(program, limits=Limits(time_s=LIMIT_S), kernel=kernel)
    return time.process_time() - began, result


def drawn(quick: bool) -> list[Row]:
    """Return a row per family and size, and one on what is proven within the limit."""
    rows = []
    seeds = range(3 if quick else 10)
    for family, experts, target in TARGETS[:2] + TARGETS[4:5] if quick else TARGETS:
        taken = [timed(draw(family, experts, seed).program(share)) for seed in seeds for share in SHARES]
        seconds = [spent for spent, _ in taken]
        name = f"{family} {experts} x 2000"
        proven = sum(result.status is SearchStatus.OPTIMAL for _, result in taken) / len(taken)
        rows.append(_row("proven optimum, median", name, median(seconds), "s", target, sum(seconds)))
        rows.append(_row("share proven in 60 s", name, proven, "", 0.95, 0.0, least=True))
        if family == "near-peer":
            size = [timed(draw(family, experts, seed).program(0.3), "numpy")[0] for seed in list(seeds)[:3]]
            same = [timed(draw(family, experts, seed).program(0.3))[0] for seed in list(seeds)[:3]]
            ratio = geometric_mean([slow / fast for slow, fast in zip(size, same, strict=True)])
            rows.append(_row("numpy only, times slower", name, ratio, "x", 10.0, sum(size)))
    if not quick:
        gaps = []
        for seed in seeds:
            for share in SHARES:
                _, result = timed(draw("near-peer", 100, seed).program(share))
                gaps.append(result.gap / abs(result.value))
        rows.append(_row("gap after 60 s, median", "near-peer 100 x 2000", 100.0 * median(gaps), "%", 0.5, 0.0))
    return rows


def p_median(instance: Instance, share: float) -> MixedIntegerProgram:
    """Return the instance as the integer program that a user of a solver would write."""
    prompts, experts = instance.log_likelihood.shape
    builder = ProgramBuilder()
    select = builder.variables("select", experts, upper=1.0, integer=True)
    route = builder.variables("route", prompts * experts, cost=-instance.log_likelihood.ravel() / prompts, upper=1.0)
    pairs = np.arange(prompts * experts)
    unit, expert = np.divmod(pairs, experts)
    builder.rows("assign", row=unit, column=route, coefficient=1.0, lower=1.0, upper=1.0)
    builder.rows(
        "link",
        row=np.concatenate([pairs, pairs]),
        column=np.concatenate([route, select[expert]]),
        coefficient=np.repeat([1.0, -1.0], len(pairs)),
        upper=0.0,
    )
    energy = instance.energy_j / instance.energy_j.sum()
    builder.rows("energy", row=np.zeros(experts), column=select, coefficient=energy, upper=share)
    return builder.build()


def beside_highs(quick: bool) -> list[Row]:
    """Return the ratios of CPU time to HiGHS, the smallest and the geometric mean."""
    prompts, limit = (300, 15.0) if quick else (2000, LIMIT_S)
    sizes = (24,) if quick else (24, 30, 40)
    families: tuple[Family, ...] = ("near-peer", "heterogeneous")
    ratios, spent = [], 0.0
    for family in families:
        for experts in sizes:
            for seed in range(1 if quick else 10 if experts == 24 else 3):
                instance, share = draw(family, experts, seed, prompts=prompts), SHARES[seed % 2]
                mine, result = timed(instance.program(share))
                began = time.process_time()
                peer = mip.solve(p_median(instance, share), limits=Limits(time_s=limit))
                theirs = time.process_time() - began
                spent += theirs
                agree = peer.limit is not None or math.isclose(-peer.value, result.value, abs_tol=1e-6)
                ratios.append(theirs / mine if agree else 0.0)
    name = f"{len(ratios)} drawn x {prompts}"
    return [
        _row(
            "faster than HiGHS, geometric mean",
            name,
            geometric_mean(ratios),
            "x",
            30.0,
            spent,
            least=True,
            peer="highs",
        ),
        _row("faster than HiGHS, least", name, min(ratios), "x", 1.0, spent, least=True, peer="highs"),
    ]


def alpaca(quick: bool) -> list[Row]:
    """Return rows on the published preference matrix: every budget, and a front of 50 points."""
    path = DATA / "alpaca_eval_quality_58x805.npz"
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as arrays:
        names, quality, length = arrays["M"].tolist(), arrays["Q"], arrays["len"]
    kept = [i for i, name in enumerate(names) if name != "NullModel"]
    values = np.where(np.isnan(quality[kept]), -np.inf, quality[kept]).T
    size = np.array([_billions(names[i]) for i in kept])
    box = np.zeros(len(kept), dtype=np.int64), np.ones(len(kept), dtype=np.int64)
    objective = FacilityLocation(values=values, weights=np.full(len(values), 1.0 / len(values)))
    rows = []
    for what, cost in (("billion parameters", size), ("characters", length[kept].astype(np.float64))):
        row = LinearRows(coefficients=cost[None] / cost.sum(), limits=np.ones(1), names=(what,))
        program = MonotonicProgram(lower=box[0], upper=box[1], objective=objective, constraints=(row,))
        budgets = np.linspace(1.0, 0.02, 50).tolist()
        each = []
        for budget in budgets[:: 5 if quick else 1]:
            limited = LinearRows(coefficients=row.coefficients, limits=np.array([budget]), names=row.names)
            variant = MonotonicProgram(lower=box[0], upper=box[1], objective=objective, constraints=(limited,))
            each.append(timed(variant))
        held = all(result.status is SearchStatus.OPTIMAL for _, result in each)
        slowest = max(spent for spent, _ in each) if held else math.inf
        rows.append(_row("proven at every budget, slowest", f"AlpacaEval 57 x 805, {what}", slowest, "s", 0.1, 0.0))
        began = time.process_time()
        front = sweep(program, row=0, budgets=budgets, kernel="compiled")
        spent = time.process_time() - began if all(p.status is SearchStatus.OPTIMAL for p in front) else math.inf
        rows.append(_row("exact front of 50 budgets", f"AlpacaEval 57 x 805, {what}", spent, "s", 2.0, spent))
        proof = each[-1][1].proof
        if proof is not None:
            began = time.process_time()
            check_boxes(variant, proof)
            spent = time.process_time() - began
            rows.append(_row("checking the leaves", f"AlpacaEval 57 x 805, {what}", spent, "s", None, spent))
    return rows


def _billions(name: str) -> float:
    """Return the parameters that a model's name states, in billions; 175 where it states none."""
    found = re.search(r"(\d+(?:\.\d+)?)b\b", name.lower())
    return float(found.group(1)) if found else 175.0


def ml_energy() -> list[Row]:
    """Return rows on the published configurations: a level for each of 18 models on shared cards."""
    path = DATA / "ml_energy_lm_arena_chat.json"
    if not path.exists():
        return []
    pools = (GpuBudget.parse("H100=24"), GpuBudget.parse("B200=32"))
    made = import_ml_energy([path], ImportOptions(), EnergyOptions(serve=("all",), itl_s=0.1, levels=20, gpus=pools))
    began = time.process_time()
    found = plan(made.problem, engine="monotonic")
    spent = time.process_time() - began
    chosen = set(found.decision.selected)
    energy: dict[str, list[tuple[float, float, bool]]] = {}
    for expert in made.problem.experts:
        latency, joules = next(iter(expert.latency_s.values())), next(iter((expert.energy_j or {}).values()))
        energy.setdefault(expert.group or expert.name, []).append((latency, joules, expert.name in chosen))
    fastest = sum(min(levels)[1] for levels in energy.values())
    planned = sum(joules for levels in energy.values() for _, joules, on in levels if on)
    name = f"ML.ENERGY, {len(energy)} models, {len(made.problem.experts)} levels"
    optimal = found.certificate.status == "optimal"
    return [
        _row("levels proven, with proof and check", name, spent if optimal else math.inf, "s", 5.0, spent),
        _row("J/request below the fastest levels", name, fastest / planned, "x", 3.0, 0.0, least=True),
    ]


def _row(
    claim: str,
    instance: str,
    figure: float,
    unit: str,
    target: float | None,
    seconds: float,
    *,
    least: bool = False,
    peer: str = "",
) -> Row:
    """Return a row; a target is the most a figure may be, or the least."""
    compare: Callable[[float, float], bool] = (lambda a, b: a >= b) if least else (lambda a, b: a <= b)
    holds = None if target is None else compare(figure, target)
    return Row(
        claim=claim, instance=instance, figure=figure, unit=unit, target=target, holds=holds, peer=peer, seconds=seconds
    )


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__ or "")
    timed(draw("near-peer", 12, 0, prompts=50).program(0.3))
    rows = [*drawn(chosen.quick), *alpaca(chosen.quick), *ml_energy(), *beside_highs(chosen.quick)]
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
