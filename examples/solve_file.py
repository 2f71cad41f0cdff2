"""Solve a problem file, check the plan, and keep it.

python examples/solve_file.py [problem.json]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import coinfer
from coinfer import jsonfile

path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "problems" / "jetson_rtx4090.json"
problem = coinfer.read_problem(path)
plan = coinfer.plan(problem, limits=coinfer.Limits(time_s=30.0))
checked = coinfer.verify(problem, plan)

print(f"{problem.name}: select {', '.join(plan.decision.selected)}")
print(f"mean quality {checked.value:.4f}, {'proven optimal' if checked.proven else plan.certificate.status}")
for prediction in plan.predictions:
    if prediction.budget is not None:
        where = prediction.category or prediction.device or "all"
        print(f"  {prediction.quantity} of {where}: {prediction.value:.4g} of {prediction.budget:.4g}")

with tempfile.TemporaryDirectory() as folder:
    kept = Path(folder) / "plan.json"
    jsonfile.write(kept, plan)
    assert coinfer.read_plan(kept) == plan
