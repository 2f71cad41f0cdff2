"""Profile: measure language models on this machine, or import what others measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coinfer.cli import common

if TYPE_CHECKING:
    from coinfer.profiler.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this verb."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="zoo:NAME, Hugging Face id, folder, GGUF file, or name at --url"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the profile here")
    parser.add_argument("--backend", choices=("transformers", "openai", "llamacpp"), default="transformers")
    parser.add_argument("--url", help="base address of an OpenAI-compatible endpoint, with its /v1")
    parser.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key")
    parser.add_argument("--chat", action="store_true", help="send prompts as chat messages")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--device", default="local", help="name of the machine in the profile (default: local)")
    parser.add_argument(
        "--requests", type=Path, metavar="FILE", help="calibration prompts (JSON Lines); default: bundled tasks"
    )
    parser.add_argument("--count", type=int, default=120, metavar="N", help="bundled tasks to ask (default: 120)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="how often each prompt is asked")
    parser.add_argument("--power", type=float, metavar="W", help="declared power of this machine while busy, watts")
    parser.add_argument("--idle-power", type=float, metavar="W", help="declared power while idle, watts")
    parser.add_argument("--measurements", type=Path, metavar="FILE", help="append the measurement rows here")
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FORMAT:FILE",
        help="add measurements of another tool: device-profiles, llama-bench, vllm-bench or sglang-bench",
    )
    parser.add_argument("--published", action="store_true", help="add the published rows that come with coinfer")
    parser.add_argument("--seed", type=common.seed, default=0)


def execute(arguments: argparse.Namespace) -> int:
    """Run this verb."""
    from coinfer.errors import InputError, Plain
    from coinfer.executor.demo import bundled_requests
    from coinfer.executor.profile_machine import profile_machine
    from coinfer.executor.request import read_requests
    from coinfer.models.endpoint import Endpoint
    from coinfer.planner.assemble import Candidate
    from coinfer.profiler.fit import fit
    from coinfer.profiler.imports import import_file
    from coinfer.profiler.probe import probe_machine
    from coinfer.profiler.published import published_measurements

    rows = list(published_measurements()) if arguments.published else []
    for item in arguments.imports:
        name, colon, path = item.partition(":")
        if not colon:
            raise InputError("--import", expected="FORMAT:FILE", found=item)
        rows += import_file(Path(path), name, device=arguments.device)
    if arguments.count < 1 or arguments.repeats < 1:
        raise InputError("--count and --repeats", expected="at least 1", found=Plain("less"))
    if not arguments.models:
        if arguments.measurements is not None:
            raise InputError("--measurements", expected="a model to measure", found=Plain("none"))
        facts = probe_machine(
            name=arguments.device,
            declared_busy_power_w=arguments.power,
            declared_idle_power_w=arguments.idle_power,
        )
        return _finish(arguments, fit(rows, devices=(facts,)))
    candidates = [
        Candidate(
            name=model.removeprefix("zoo:"),
            device=arguments.device,
            endpoint=Endpoint(
                backend=arguments.backend,
                model=model,
                url=arguments.url,
                api_key_env=arguments.api_key_env,
                chat=arguments.chat,
                dtype=arguments.dtype,
            ),
        )
        for model in arguments.models
    ]
    if arguments.requests is not None:
        requests = read_requests(arguments.requests)
    else:
        requests, _ = bundled_requests(calibration=arguments.count, workload=0, seed=arguments.seed)
    with common.progress_bar("Measuring", quiet=arguments.json) as advance:
        profile = profile_machine(
            candidates,
            requests,
            busy_power_w=arguments.power,
            idle_power_w=arguments.idle_power,
            measurements_path=arguments.measurements,
            earlier=rows,
            repeats=arguments.repeats,
            on_progress=common.summed(advance, [candidate.name for candidate in candidates]),
        )
    return _finish(arguments, profile)


def _finish(arguments: argparse.Namespace, profile: Profile) -> int:
    """Write and print a profile."""
    from coinfer import jsonfile
    from coinfer.planner.units import amount

    if arguments.output is not None:
        jsonfile.write(arguments.output, profile)
    if arguments.json:
        common.print_json(jsonfile.to_builtins(profile))
        return 0
    for device in profile.devices:
        print(f"{device.name}: {device.description}")
        memory = "unknown" if device.memory_bytes is None else amount(device.memory_bytes, "bytes")
        print(f"  memory {memory}; energy counter: {device.energy_counter or 'none, so energy is absent'}")
        for label, power in (("busy", device.busy_power_w), ("idle", device.idle_power_w)):
            if power is not None:
                print(f"  {label} power {power.value:g} W ({power.basis})")
    rows = [
        [
            entry.model,
            entry.device,
            entry.quantity,
            entry.category or "all",
            f"{entry.estimate.value:.4g}",
            "–" if entry.estimate.low is None else f"{entry.estimate.low:.4g} to {entry.estimate.high:.4g}",
            str(entry.estimate.samples),
            entry.estimate.basis,
        ]
        for entry in profile.entries
    ]
    if rows:
        print()
        head = ("model", "device", "quantity", "category", "value", "95 % interval", "samples", "basis")
        common.table("Estimates", head, rows, left=4)
    if arguments.output is not None:
        print(f"\nWritten to {arguments.output}.")
    return 0
