"""Strategies as they are run: votes on recorded answers, sessions of the bundled models, the scheduler beside a peer.

python -m benchmarks.bench_strategies [--quick] [--json FILE] [--part NAME ...]
"""

from __future__ import annotations

import importlib

from benchmarks.common import Row, options, show

PARTS = {"votes": "strategy_votes_rows", "zoo": "strategy_zoo_rows", "overhead": "strategies_overhead_rows"}


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
