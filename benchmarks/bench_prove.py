"""What a proof costs: the tree that anyone can check, against the engine that only claims its bound.

python -m benchmarks.bench_prove [--quick] [--json FILE]
"""

from __future__ import annotations

from benchmarks.bench_build import instance, with_arrays
from benchmarks.common import Row, cpu_s, options, show
from coinfer import jsonfile
from coinfer.solver import mip
from coinfer.solver.certificate.tree import check_bound
from coinfer.solver.prove import prove


def main() -> None:
    """Run the benchmark."""
    chosen = options(__doc__ or "")
    sizes = [(60, 12), (100, 16)] if chosen.quick else [(60, 12), (100, 16), (200, 20), (300, 30)]
    rows = []
    for prompts, experts in sizes:
        name = f"{prompts} prompts x {experts} experts"
        program = with_arrays(*instance(prompts, experts))
        found = mip.solve(program)
        solving = cpu_s(lambda p=program: mip.solve(p), repeats=1)
        proof = prove(program, incumbent=found.incumbent).proof
        proving = cpu_s(lambda p=program, f=found: prove(p, incumbent=f.incumbent), repeats=1)
        checking = cpu_s(lambda p=program, q=proof: check_bound(p, q), repeats=1)
        gap = found.value - float(check_bound(program, proof))
        figures = (
            ("the proven gap is closed", gap, "", 1e-9, gap <= 1e-9),
            ("proving over solving, CPU time", proving / solving, "x", None, None),
            ("checking over proving, CPU time", checking / proving, "x", 1.0, checking <= proving),
            ("size of the proof", len(jsonfile.to_text(proof)) / 1e3, "kB", None, None),
        )
        rows += [
            Row(
                claim=claim,
                instance=name,
                figure=figure,
                unit=unit,
                target=target,
                holds=holds,
                peer=found.engine,
                seconds=proving,
            )
            for claim, figure, unit, target, holds in figures
        ]
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
