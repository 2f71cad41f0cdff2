"""What the benchmarks share: options, rows, the table."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from coinfer import jsonfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim on one instance; a row that does not hold stays in the table.

    ``holds`` is ``None`` where there is no target: the figure is for information.
    """

    claim: str
    instance: str
    figure: float
    unit: str
    target: float | None
    holds: bool | None
    peer: str
    seconds: float


def options(description: str, *, parts: Sequence[str] = ()) -> argparse.Namespace:
    """Parse ``--quick`` and ``--json``, and ``--part`` where there are parts: all of them unless some are named."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="the smallest honest sizes: under a minute on 2 cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    if parts:
        parser.add_argument(
            "--part", nargs="+", choices=parts, default=list(parts), metavar="NAME", help=", ".join(parts)
        )
    return parser.parse_args()


def cpu_s(work: Callable[[], object], *, repeats: int) -> float:
    """Return the median CPU seconds of ``work``: on shared machines it is steadier than the clock on the wall."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return median(taken)


def show(rows: Sequence[Row], path: Path | None) -> None:
    """Print the table, and write the rows where asked."""
    print(f"{'claim':44} {'instance':26} {'figure':>12} {'target':>8} {'holds':>6}  peer")
    for row in rows:
        holds = {True: "yes", False: "NO", None: "-"}[row.holds]
        target = "-" if row.target is None else f"{row.target:g}"
        figure = f"{row.figure:.3g} {row.unit}"
        print(f"{row.claim:44} {row.instance:26} {figure:>12} {target:>8} {holds:>6}  {row.peer}")
    if path is not None:
        jsonfile.write_text(path, jsonfile.to_text([asdict(row) for row in rows]))
