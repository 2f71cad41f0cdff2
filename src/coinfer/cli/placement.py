"""What the verbs do with a placement problem."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coinfer.cli import common, endings

if TYPE_CHECKING:
    from coinfer.models.placement.data import PlacementProblem
    from coinfer.models.placement.evaluate import PlacementScores
    from coinfer.planner.placement.document import PlacementPlan

EXPORTS = {
    "sglang": "SGLang: --init-expert-location (JSON)",
    "vllm": "vLLM: list of physical experts (JSON)",
    "vllm_offline": "vLLM: offline EPLB document, version 2 (JSON)",
    "tensorrt_llm": "TensorRT-LLM: moe_config.load_balancer (YAML)",
    "ascend": "vLLM-Ascend and MindIE: expert_map_path (JSON)",
    "exflow": "ExFlow: Expert,Node (CSV)",
}
"""Options of ``export``, each with what it writes."""


def plan(arguments: argparse.Namespace, problem: PlacementProblem) -> int:
    """Find and print a placement."""
    from coinfer import arrayfile, jsonfile
    from coinfer.errors import InputError
    from coinfer.planner.make import plan as make_plan
    from coinfer.planner.placement.document import PlacementPlan
    from coinfer.planner.plan import read_plan_of

    if arguments.front is not None:
        raise InputError("--front", expected="a selection problem with this option", found="placement")
    start = None if arguments.start is None else read_plan_of(arguments.start, PlacementPlan).decision
    with common.lowest_progress(quiet=arguments.json) as on_progress:
        made = make_plan(
            problem,
            engine=arguments.engine,
            limits=common.limits_from(arguments),
            start=start,
            with_proof=not arguments.no_proof,
            on_progress=on_progress,
        )
    if arguments.output is not None:
        arrayfile.write(arguments.output, made)
    if arguments.json:
        common.print_json(jsonfile.to_builtins(made))
        return 0
    print_plan(made, problem)
    endings.print_written(arguments)
    return 0


def print_plan(made: PlacementPlan, problem: PlacementProblem) -> None:
    """Print a plan for a person: the sentence, the evidence, before and after."""
    from coinfer.planner.placement.wording import ended, evidence, sentence

    print(common.clean(sentence(made, problem)))
    print(common.clean(evidence(made)))
    if made.certificate.limit is not None:
        print(ended(made.certificate.limit))
    print()
    rows = [_row("fitted", made.contiguous_fit, made.fit)]
    if made.heldout is not None and made.contiguous_heldout is not None:
        rows.append(_row("held out", made.contiguous_heldout, made.heldout))
    header = ("tokens", "", "crossing", "of contiguous", "imbalance", "of contiguous", "worst layer", "fan-out")
    common.table("What it does to the tokens", header, rows)
    for note in made.notes:
        print(f"  {common.clean(note)}")


def _row(name: str, before: PlacementScores, after: PlacementScores) -> list[str]:
    def share(number: float | None) -> str:
        return "–" if number is None else f"{number:.4f}"

    return [
        name,
        f"{after.tokens:,}",
        share(after.crossing),
        share(before.crossing),
        share(after.imbalance_mean),
        share(before.imbalance_mean),
        share(after.imbalance_worst),
        "–" if after.fan_out is None else f"{after.fan_out:.3f}",
    ]


def verify(arguments: argparse.Namespace, problem: PlacementProblem) -> int:
    """Check a placement and print what holds."""
    from coinfer.planner.placement.wording import holds
    from coinfer.planner.plan import read_plan
    from coinfer.planner.verify import verify as check

    checked = check(problem, read_plan(arguments.plan))
    endings.print_claims(checked, objective=problem.objective, json=arguments.json)
    if not arguments.json:
        print("\n" + common.clean(holds(checked, problem)))
    return 0


def export(arguments: argparse.Namespace, problem: PlacementProblem) -> int:
    """Write a placement for the engines that were named, or its integer program."""
    from coinfer.errors import InputError, Plain
    from coinfer.planner.export.placement import export_placement
    from coinfer.planner.placement.document import PlacementPlan
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.verify import verify as check

    wanted: dict[str, Path] = {name: path for name in EXPORTS if (path := getattr(arguments, name)) is not None}
    programs = arguments.mps is not None or arguments.lp is not None
    if arguments.litellm is not None:
        raise InputError("--litellm", expected="a selection problem with this option", found=Plain("placement"))
    if not wanted and not programs:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in EXPORTS)
        raise InputError("arguments", expected=f"--mps, --lp, or --plan and one of {names}", found=Plain("none"))
    if bool(wanted) != (arguments.plan is not None):
        raise InputError("--plan", expected="a plan exactly when it is to be exported", found=Plain("another choice"))
    told: dict[str, Any] = {"written": [], "notes": []}
    if programs:
        _programs(problem, arguments, told)
    if wanted:
        plan = read_plan_of(arguments.plan, PlacementPlan)
        check(problem, plan)  # no engine should load what does not hold
        for name, path in wanted.items():
            exported = export_placement(problem, plan.decision, name, path)
            told["written"] += [str(written) for written in exported.paths]
            told["notes"] += [f"{name}: {note}" for note in exported.notes]
    if arguments.json:
        common.print_json(told)
        return 0
    print(f"Written to {' and '.join(told['written'])}.")
    for note in told["notes"]:
        print(f"  {common.clean(note)}")
    return 0


def _programs(problem: PlacementProblem, arguments: argparse.Namespace, told: dict[str, Any]) -> None:
    """Write ExFlow's integer program."""
    from coinfer.errors import InputError
    from coinfer.models.placement.formulate import layered_assignment
    from coinfer.solver.assignment.integer_program import formulate_assignment
    from coinfer.solver.export import write_lp, write_mps

    if problem.objective != "transitions" or problem.replicas:
        found = f"objective {problem.objective}, {problem.replicas or 0} replicas"
        raise InputError("--mps", expected="objective transitions without replicas: ExFlow's program", found=found)
    program = formulate_assignment(layered_assignment(problem))
    for path, writer in ((arguments.mps, write_mps), (arguments.lp, write_lp)):
        if path is not None:
            writer(program, path)
            told["written"].append(str(path))


def report(arguments: argparse.Namespace, problem: PlacementProblem) -> int:
    """Write the page about a placement."""
    from coinfer import jsonfile
    from coinfer.errors import InputError, Plain
    from coinfer.planner.placement.document import PlacementPlan
    from coinfer.planner.plan import read_plan_of
    from coinfer.planner.report import build_placement
    from coinfer.planner.verify import verify as check

    for option in ("measurements", "profile", "previous"):
        if getattr(arguments, option) is not None:
            expected = "a selection problem with this option"
            raise InputError(f"--{option}", expected=expected, found=Plain("a placement"))
    plan = read_plan_of(arguments.plan, PlacementPlan)
    check(problem, plan)  # a page about a plan that does not hold would only spread it
    jsonfile.write_text(arguments.output, build_placement(problem=problem, plan=plan))
    if arguments.json:
        common.print_json({"written": str(arguments.output), "front": 0})
    else:
        print(f"Written to {arguments.output}; open it in a browser.")
    return 0
