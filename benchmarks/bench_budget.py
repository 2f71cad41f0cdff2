"""Test-time budgets: the solver beside HiGHS, gains on real outcomes with the information they used, honest claims.

Parts run one after another on one thread. Rows on real data need the shared data, and some of them ``pyarrow``
(parquet) or ``matplotlib`` (the drawn frontier); a part that lacks what it needs says so in one line.

python -m benchmarks.bench_budget [--quick] [--json FILE] [--part NAME ...]
"""

from __future__ import annotations

import importlib

from benchmarks.common import Row, options, show

PARTS = {
    "solver": "budget_solver_rows",
    "several": "budget_multiple_rows",
    "codecontests": "budget_codecontests_rows",
    "livecodebench": "budget_livecodebench_rows",
    "game24": "budget_game24_rows",
    "forecast": "budget_forecast_rows",
    "claims": "budget_claim_rows",
    "online": "budget_online_rows",
}


def main() -> None:
    """Print the rows of the parts asked for."""
    arguments = options(__doc__ or "", parts=tuple(PARTS))
    rows: list[Row] = []
    for name in arguments.part:
        try:
            found = importlib.import_module(f"benchmarks.{PARTS[name]}").rows(arguments.quick)
            rows += list(found)
        except (FileNotFoundError, ModuleNotFoundError) as missing:
            print(f"{name}: left out, {missing}")
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
