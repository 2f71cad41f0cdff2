"""The whole loop on bundled models in Python: measure, plan, run, compare, replan.

python examples/replan_loop.py        (needs the extra "torch")
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

import coinfer
from coinfer.executor.demo import DEVICE, bundled_requests, candidates, workload
from coinfer.planner.assemble import assemble
from coinfer.planner.comparison import compare
from coinfer.profiler.fit import fit

models = candidates(("generalist-tiny", "specialist-arithmetic", "specialist-strings"))
calibration, requests = bundled_requests(calibration=36, workload=48, seed=1)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    profile = coinfer.profile_machine(
        models, calibration, busy_power_w=15.0, measurements_path=folder / "calibration.jsonl"
    )
    problem = assemble(
        profile,
        name="three bundled models",
        candidates=models,
        workload=workload(),
        budgets=coinfer.Budgets(experts=2),
    )
    plan = coinfer.plan(problem, profile=profile)
    print(f"selected {plan.decision.selected}, predicted quality {plan.certificate.value:.3f}")

    summary = coinfer.run(plan, requests, journal_path=folder / "run.journal", measurements_path=folder / "run.jsonl")
    print(f"{summary.answered} of {len(requests)} answered")
    for item in compare(plan, coinfer.read_measurements(folder / "run.jsonl")):
        if item.prediction.quantity == "quality" and item.measured is not None:
            where, predicted, measured = item.prediction.category or "all", item.prediction.value, item.measured.value
            print(f"  {where}: predicted {predicted:.2f}, measured {measured:.2f}")

    rows = chain.from_iterable(coinfer.read_measurements(folder / part) for part in ("calibration.jsonl", "run.jsonl"))
    again = coinfer.replan(problem, plan, fit(rows, devices=profile.devices))
    print(f"stale: {again.stale}, decides differently: {again.changed}, on {DEVICE}")
    assert coinfer.verify(again.problem, again.plan).proven
