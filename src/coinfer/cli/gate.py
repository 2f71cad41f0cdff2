"""Gate: train what routes a prompt, by its text, to one of whatever experts a plan selects."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.models.selection.gate import Gate, GateReport, SubsetRegret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("problem", type=Path, help="problem file (JSON) with the quality matrix to learn from")
    parser.add_argument(
        "--texts", type=Path, metavar="FILE", required=True, help="its prompts (requests, JSON Lines: id, prompt, ...)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="write the gate here")
    parser.add_argument(
        "--problem-out", type=Path, metavar="FILE", help="write the problem here, with scores of gates as gate_scores"
    )
    parser.add_argument(
        "--embedding",
        default="hashed",
        metavar="MODEL",
        help="hashed (words; the default), minilm (the packaged encoder), or a folder or id of an encoder",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--hidden", type=int, default=0, metavar="N", help="width of a hidden layer (default: none)")
    training.add_argument("--objective", choices=("mixture", "expected"), default="mixture", help="default: mixture")
    training.add_argument("--no-masks", action="store_true", help="train on all experts alone, for comparison")
    training.add_argument("--steps", type=int, default=2000, metavar="N", help="default: 2000")
    training.add_argument("--subsets", type=int, default=64, metavar="N", help="most subsets to judge by (default: 64)")
    training.add_argument("--seed", type=common.seed, default=0)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    import msgspec
    import numpy as np

    from coinfer.errors import InputError, Plain
    from coinfer.executor.gate import calibration_texts
    from coinfer.executor.request import read_requests
    from coinfer.models.problem import read_problem_of
    from coinfer.models.selection import gate as gates
    from coinfer.models.selection.data import SelectionProblem
    from coinfer.models.selection.imports import write_problem
    from coinfer.records import Matrix

    files = [arguments.problem, arguments.texts, arguments.output, arguments.problem_out]
    named = [path.resolve() for path in files if path is not None]
    if len(set(named)) != len(named):
        raise InputError("arguments", expected="a file of its own for each input and output", found=Plain("one twice"))
    if arguments.subsets < 1:
        raise InputError("--subsets", expected="an integer, at least 1", found=arguments.subsets)
    options = gates.TrainingOptions(
        objective=arguments.objective,
        masks=not arguments.no_masks,
        hidden=arguments.hidden,
        steps=arguments.steps,
        seed=arguments.seed,
    )
    problem = read_problem_of(arguments.problem, SelectionProblem)
    texts = calibration_texts(problem, read_requests(arguments.texts))
    made: gates.Featurizer
    made = gates.HashedWords() if arguments.embedding == "hashed" else gates.EmbeddingModel(arguments.embedding)
    features, quality = made.features(texts), problem.quality.array
    weights = np.array([prompt.weight for prompt in problem.prompts])
    experts = tuple(expert.name for expert in problem.experts)
    trained = gates.train_gate(features, quality, options=options, weights=weights)
    report = gates.report_on(trained, experts, most_subsets=arguments.subsets)
    gate = gates.gate_from(trained, experts=experts, features=made.description, report=report, problem=problem.name)
    written = [arguments.output, gates.write_gate(arguments.output, gate)]
    if arguments.problem_out is not None:
        scores = gates.crossed_scores(features, quality, options=options, weights=weights)
        scored = msgspec.structs.replace(
            problem, quality=Matrix(quality), gate_scores=Matrix(scores), gate_report=report
        )
        written += [arguments.problem_out, write_problem(arguments.problem_out, scored)]
    return _finish(arguments, gate, [str(path) for path in written if path is not None])


def _finish(arguments: argparse.Namespace, gate: Gate, written: list[str]) -> int:
    """Print how good the gate is and what was written."""
    from coinfer import jsonfile

    if arguments.json:
        common.print_json({"written": written, "report": jsonfile.to_builtins(gate.report)})
        return 0
    _print(gate.report, len(gate.experts))
    print(f"\nWritten to {' and '.join(written)}.")
    return 0


def _print(report: GateReport, experts: int) -> None:
    """Print a report for a person."""
    gain = report.heldout_quality - report.heldout_single_quality
    print(
        f"A gate for {experts} experts, trained on {report.training_prompts} prompts, stopped by "
        f"{report.stopping_prompts}, judged on {report.heldout_prompts} it has never met."
    )
    single = common.clean(report.single_expert)
    print(
        f"Mean quality there: {report.heldout_quality:.4f} by its first choice, {report.heldout_single_quality:.4f} by "
        f"{single} alone (a gain of {gain:.4f}, standard error {report.heldout_gain_standard_error:.4f}), "
        f"{report.heldout_oracle_quality:.4f} at most."
    )
    print()
    unit = report.loss_unit

    def row(name: str, loss: float, regret: SubsetRegret) -> list[str]:
        at = " + ".join(regret.largest_at)
        return [name, at, *(f"{number:.4f}" for number in (loss, regret.full_set, regret.mean, regret.largest))]

    rows = [
        row("learned from", report.training_loss, report.training_regret),
        row("held out", report.heldout_loss, report.heldout_regret),
    ]
    header = ("prompts", "worst subset", f"loss, {unit}", "regret on all", "mean regret", "largest")
    every = "all" if report.every_subset else "a sample of"
    table = f"Against a gate of its own for each of {every} {report.subsets} subsets of the experts, {unit}"
    common.table(table, header, rows, left=2)
