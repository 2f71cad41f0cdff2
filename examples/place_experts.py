"""Place the experts of the bundled mixture of experts on two devices, prove it, and run it.

python examples/place_experts.py        (needs the extra "torch")
"""

from __future__ import annotations

import coinfer
from coinfer import zoo
from coinfer.executor.moe import MoeOptions, run_placement
from coinfer.executor.moe.text import answers, encoded
from coinfer.models.placement.parts import LoadCap
from coinfer.planner.placement.from_trace import PlacementOptions, problem_from_trace
from coinfer.profiler.trace import TraceOptions


def main() -> None:
    """Count the recorded routing, plan under a load cap, verify, and send three prompts through two processes."""
    made = problem_from_trace(
        [zoo.routing_path()],
        "2",
        trace=TraceOptions(pairs="first"),
        options=PlacementOptions(
            name="zoo on two devices", model="zoo:moe-small", load_cap=LoadCap(imbalance=1.3, over="mean")
        ),
    )
    plan = coinfer.plan(made.problem)
    checked = coinfer.verify(made.problem, plan)
    before, after = plan.contiguous_fit, plan.fit
    print(f"crossing {before.crossing:.3f} -> {after.crossing:.3f}, imbalance {after.imbalance_mean:.3f}")
    print(f"value {checked.value:.4f}, nothing below {checked.bound:.4f}")
    texts = ["12+30=", "7*8=", "sort 3 1 2="]
    prompts = encoded(made.problem, texts)
    run = run_placement(made.problem, plan.decision, prompts, options=MoeOptions(new_tokens=4))
    print(f"rows that changed device, by layer: {run.counted.crossing.tolist()}; as predicted: {run.exact}")
    print(dict(zip(texts, answers(made.problem, run, prompts), strict=True)))


if __name__ == "__main__":
    main()
