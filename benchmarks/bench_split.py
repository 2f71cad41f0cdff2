"""Splits of layers: exact engines beside integer programs, Helix's clusters, distilp's profiles.

python -m benchmarks.bench_split [--quick] [--json FILE] [--part NAME ...]
"""

from __future__ import annotations

import importlib

from benchmarks.common import Row, options, show

PARTS = {
    "solver": "split_solver_rows",
    "helix": "split_helix_rows",
    "distilp": "split_distilp_rows",
    "proportional": "split_proportional_rows",
}


def main() -> None:
    """Print the rows of the parts asked for."""
    arguments = options(__doc__ or "", parts=tuple(PARTS))
    rows: list[Row] = []
    for name in arguments.part:
        try:
            rows += list(importlib.import_module(f"benchmarks.{PARTS[name]}").rows(arguments.quick))
        except (FileNotFoundError, ModuleNotFoundError) as missing:
            print(f"{name}: left out, {missing}")
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
