"""Train a verifier from recorded outcomes: it then says how likely an answer is right, as the role `reward`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.executor.verifier.report import Figure, VerifierReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument(
        "outcomes",
        type=Path,
        nargs="+",
        help="answers with whether they are right (JSON Lines), the answers of a run, or the journal of a pilot",
    )
    parser.add_argument("--requests", type=Path, metavar="FILE", help="questions of answers and journals (JSON Lines)")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="read the hidden states of this language model (folder, id, zoo:NAME), not bytes",
    )
    parser.add_argument(
        "--shared-steps", action="store_true", help="also learn what beginnings that several answers share are worth"
    )
    parser.add_argument(
        "--epochs", type=int, default=60, metavar="N", help="most passes over the answers (default: 60)"
    )
    parser.add_argument("--learning-rate", type=float, default=2e-3, metavar="X", help="default: 0.002")
    parser.add_argument("--seed", type=common.seed, default=0, help="of the split, the weights and the order")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="write the verifier here")


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.executor.request import read_requests
    from coinfer.executor.verifier.model import write_verifier
    from coinfer.executor.verifier.outcomes import examples_of, read_outcomes
    from coinfer.executor.verifier.training import Training, train
    from coinfer.jsonfile import to_builtins
    from coinfer.planner.units import count

    training = Training(epochs=arguments.epochs, learning_rate=arguments.learning_rate, seed=arguments.seed)
    requests = () if arguments.requests is None else read_requests(arguments.requests)
    outcomes = read_outcomes(arguments.outcomes, requests)
    examples = examples_of(outcomes, shared_steps=arguments.shared_steps)
    with common.progress_bar("Training", quiet=arguments.json) as advance:
        verifier, report = train(examples, model=arguments.model, training=training, on_epoch=advance)
    write_verifier(arguments.output, verifier, report)
    if arguments.json:
        told = to_builtins(report)
        common.print_json({"answers": len(outcomes), "temperature": verifier.temperature, "report": told})
        return 0
    print(
        f"Trained on answers to {count(report.training_prompts, 'question')}, calibrated on "
        f"{report.calibration_prompts} others, measured on {count(report.test_answers, 'answer')} to "
        f"{report.test_prompts} others again, of which {report.right:.0%} are right."
    )
    print()
    common.table("Held-out questions", ("figure", "value", "95 % interval"), _rows(report))
    print(f"\nWritten to {arguments.output}; name it in the file of endpoints as the role 'reward':")
    print(f'  "reward": {{"kind": "verifier", "verifier": "{common.clean(str(arguments.output))}"}}')
    return 0


def _rows(report: VerifierReport) -> list[list[str]]:
    named: tuple[tuple[str, Figure | None], ...] = (
        ("AUC, all answers", report.auc),
        ("AUC, answers to one question", report.auc_within),
        ("Brier score", report.brier),
        ("calibration error", report.calibration_error),
        ("overconfidence", report.overconfidence),
    )
    return [[name, "unknown" if found is None else f"{found.value:.3f}", _interval(found)] for name, found in named]


def _interval(found: Figure | None) -> str:
    return "" if found is None else f"{found.low:.3f} to {found.high:.3f}"
