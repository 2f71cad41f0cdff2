"""Demo: measure the bundled models here, plan, verify, run, compare, learn, and plan again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from coinfer.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="FOLDER", help="default: demo")
    parser.add_argument(
        "--calibration", type=int, default=300, metavar="N", help="prompts each model is measured on (default: 300)"
    )
    parser.add_argument(
        "--requests", type=int, default=240, metavar="N", help="new prompts to run through the plan (default: 240)"
    )
    parser.add_argument(
        "--power",
        type=float,
        default=15.0,
        metavar="W",
        help="declared power of this machine while busy, used where it has no energy counter (default: 15)",
    )
    parser.add_argument("--seed", type=common.seed, default=0)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.cli.demo_steps import Demo

    if not os.environ.get("OMP_NUM_THREADS"):
        os.environ["OMP_NUM_THREADS"] = "1"  # more threads only slow models this small down
    demo = Demo(arguments)
    demo.profile()
    demo.plan()
    demo.verify()
    demo.run()
    demo.compare()
    demo.replan()
    demo.report()
    return demo.finish()
