"""Build examples/problems/jetson_rtx4090.json: experts on Jetson AGX Orin and RTX 4090 boxes, from published figures.

    python examples/make_jetson_problem.py

Speeds are the shipped published rows, each with its source. Nobody published the energy of a request on these boards,
so it is a declared power figure times the time and marked as such: 60 W for the Orin module (its largest power
budget) and 450 W for the RTX 4090 (its board power), both upper limits. Qualities are the scores of the models' own
cards. Latency is the time to write the answer: the rows of the Orin are output throughput, prefill included.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from coinfer import jsonfile
from coinfer.models.selection.data import Budgets, Category, SelectionProblem
from coinfer.planner.assemble import Candidate, Workload, assemble
from coinfer.planner.make import plan
from coinfer.profiler.fit import fit
from coinfer.profiler.measurement import Measurement
from coinfer.profiler.profile import DeviceFacts, Estimate
from coinfer.profiler.published import published_measurements

GB = 10**9
OUTPUT = Path(__file__).parent / "problems" / "jetson_rtx4090.json"

# Expert, box, published device, model, engine, number format, bytes of its weights.
# The vLLM rows do not state a number format: 16 bits per weight is an upper limit (70B: 4 bits, or it would not fit).
EXPERTS = (
    ("llama-3.2-3b@orin", "orin", "Jetson Orin (AGX)", "Llama-3.2-3B", "vLLM", None, 6.4 * GB),
    ("llama-3.1-8b@orin", "orin", "Jetson Orin (AGX)", "Llama-3.1-8B", "vLLM", None, 16.1 * GB),
    (
        "llama-3-8b-int4@orin",
        "orin",
        "Jetson AGX Orin 64GB",
        "Llama-3-8B",
        "TensorRT-LLM",
        "INT4 weight-only",
        5.7 * GB,
    ),
    ("llama-3.3-70b@orin", "orin", "Jetson Orin (AGX)", "Llama-3.3-70B", "vLLM", None, 40.0 * GB),
    (
        "llama-3.2-3b@rtx4090",
        "rtx4090",
        "RTX 4090 desktop",
        "Llama-3.2-3B",
        "Ollama/llama.cpp",
        "default GGUF tag",
        2.0 * GB,
    ),
    ("llama-3-8b-q4@rtx4090", "rtx4090", "RTX 4090 24GB", "Llama-3-8B", "llama.cpp", "Q4_K_M", 4.9 * GB),
    ("llama-3-8b-f16@rtx4090", "rtx4090", "RTX 4090 24GB", "Llama-3-8B", "llama.cpp", "F16", 16.1 * GB),
)
# Scores of the model cards (instruction-tuned): IFEval, and MATH with chain of thought, no examples.
SCORES = {
    "Llama-3.2-3B": {"instructions": 0.774, "mathematics": 0.473},
    "Llama-3-8B": {"instructions": 0.768, "mathematics": 0.291},
    "Llama-3.1-8B": {"instructions": 0.804, "mathematics": 0.519},
    "Llama-3.3-70B": {"instructions": 0.921, "mathematics": 0.770},
}
WORKLOAD = Workload(
    categories=(
        Category(name="instructions", latency_budget_s=8.0),
        Category(name="mathematics", latency_budget_s=180.0),
    ),
    weights=(3.0, 1.0),
    output_tokens={"instructions": 200.0, "mathematics": 500.0},
)


def relabelled() -> list[Measurement]:
    """Return the published rows of each expert under the names of this problem, one sequence at a time."""
    rows = []
    for expert, box, device, model, engine, quantisation, _ in EXPERTS:
        found = [
            msgspec.structs.replace(row, device=box, model=expert)
            for row in published_measurements()
            if (row.device, row.model, row.engine, row.quantisation) == (device, model, engine, quantisation)
            and row.phase == "decode"
            and row.batch == 1
        ]
        assert found, f"no published row for {expert}"
        rows += found
    return rows


def declared(watts: float) -> Estimate:
    """Return a declared power figure."""
    return Estimate(value=watts, samples=0, basis="declared", source="largest power of the board, declared")


def build() -> SelectionProblem:
    """Return the problem."""
    boxes = (
        DeviceFacts(
            name="orin", description="Jetson AGX Orin 64 GB", memory_bytes=56 * GB, busy_power_w=declared(60.0)
        ),
        DeviceFacts(name="rtx4090", description="RTX 4090 24 GB", memory_bytes=24 * GB, busy_power_w=declared(450.0)),
    )
    # A row with a measured wall power would mix peak power of a whole desktop with board power: one basis for all.
    rows = [msgspec.structs.replace(row, energy_j=None, energy_source=None) for row in relabelled()]
    problem = assemble(
        fit(rows, devices=boxes),
        name="Jetson AGX Orin and RTX 4090 boxes",
        candidates=[Candidate(name=expert, device=box) for expert, box, *_ in EXPERTS],
        workload=WORKLOAD,
        budgets=Budgets(),
        quality={expert: SCORES[model] for expert, _, _, model, *_ in EXPERTS},
        memory_bytes={"orin": 56 * GB, "rtx4090": 24 * GB},
        expert_memory_bytes={expert: int(size) for expert, *_, size in EXPERTS},
    )
    sources = {row.model: row.source for row in rows}
    experts = tuple(
        msgspec.structs.replace(expert, source=f"{sources[expert.name]}; quality: scores of the model card")
        for expert in problem.experts
    )
    return msgspec.structs.replace(
        problem,
        experts=experts,
        budgets=Budgets(energy_j=1500.0),
        description=(__doc__ or "").split("\n\n", 2)[2].replace("\n", " ").strip(),
    )


if __name__ == "__main__":
    made = build()
    best = plan(made)
    jsonfile.write(OUTPUT, made)
    print(
        f"{OUTPUT.name}: {best.certificate.status}, mean quality {best.certificate.value:.6f}: {best.decision.selected}"
    )
