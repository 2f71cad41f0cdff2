"""Splits beside the rule that exo and llama.cpp use, layers in proportion to memory, on clusters of published devices.

Each device's seconds per byte and per layer come from its published rates for an 8-billion model in two number formats,
or per byte alone where there is one row; the published rates for a 70-billion model, held out, tell how well that
predicts. A device whose held-out row is off by more than a quarter is in no cluster.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np

from benchmarks.common import Row
from coinfer.models.split.data import SplitProblem
from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.evaluate import evaluate
from coinfer.models.split.parts import Codec, LayerGroup, Link, Segment, SplitDevice
from coinfer.planner.split.make import plan

SHARED = Path(__file__).parents[2] / "shared" / "data" / "device_profiles.csv"
BYTES = {("8B", "4"): 4.92e9, ("8B", "16"): 16.07e9, ("70B", "4"): 42.5e9}
"""Weights of Llama 3 by size and bits, as their GGUF files have them."""
LAYERS = {"8B": 32, "70B": 80}
USABLE, OFF = 0.85, 0.25
CLUSTERS, SPEED = 24, 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """A device: seconds of a byte and of a layer, memory, and the held-out relative error where there is one."""

    name: str
    byte_s: float
    layer_s: float
    memory_bytes: float
    error: float | None


def rows(quick: bool) -> list[Row]:  # noqa: ARG001  # it is quick
    """Return the rows: how well the speeds predict, and what exact splits gain over the rule."""
    if not SHARED.is_file():
        raise FileNotFoundError(f"the published rows are not here: {SHARED.name}")
    began = time.perf_counter()
    speeds = _speeds()
    errors = [abs(each.error) for each in speeds if each.error is not None]
    trusted = [each for each in speeds if each.error is None or abs(each.error) <= OFF]
    gains = []
    seed = 0
    while len(gains) < CLUSTERS:
        rng = np.random.default_rng(seed)
        seed += 1
        chosen = rng.choice(len(trusted), size=int(rng.integers(2, 6)), replace=False)
        problem = _cluster(seed, [trusted[i] for i in chosen])
        if problem is None:
            continue
        rule = evaluate(problem, _proportional(problem))
        assert not rule.violations, rule.violations
        gains.append(rule.value / plan(problem).certificate.value)
    seconds = time.perf_counter() - began
    peer = "layers in proportion to memory"
    instance = f"{CLUSTERS} clusters"
    return [
        _row("error of 70B from 8B rows, median", f"{len(errors)} devices", median(errors), None, "held out", seconds),
        _row("decode speed / rule, geometric mean", instance, geometric_mean(gains), SPEED, peer, seconds),
        _row("decode speed / rule, least", instance, min(gains), 1.0, peer, seconds),
    ]


def _speeds() -> list[Speed]:
    """Return what the published rows say of single devices."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    memory: dict[str, float] = {}
    with SHARED.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            name = row["device"]
            size = next((each for each in LAYERS if row["model"] in (f"Llama-3-{each}", f"Llama-3.1-{each}")), None)
            bits = "16" if row["quantisation"] == "F16" else "4" if "4" in row["quantisation"] else None
            short = not row["context"] or int(row["context"]) <= 512
            single = row["phase"] == "decode" and row["batch"] == "1" and not name[0].isdigit() and short
            if size is None or bits is None or not single or (size, bits) not in BYTES or not row["memory_gb"]:
                continue
            found.setdefault(name, {}).setdefault((size, bits), 1.0 / float(row["tokens_per_s"]))
            memory[name] = max(memory.get(name, 0.0), float(row["memory_gb"]) * 1e9)
    return [_speed(name, own, memory[name]) for name, own in found.items() if ("8B", "4") in own]


def _speed(name: str, own: dict[tuple[str, str], float], memory_bytes: float) -> Speed:
    small, layers = own["8B", "4"], LAYERS["8B"]
    byte_s, layer_s = small / BYTES["8B", "4"], 0.0
    if ("8B", "16") in own:
        byte_s = (own["8B", "16"] - small) / (BYTES["8B", "16"] - BYTES["8B", "4"])
        layer_s = max(0.0, (small - byte_s * BYTES["8B", "4"]) / layers)
    error = None
    if ("70B", "4") in own:
        error = (byte_s * BYTES["70B", "4"] + layer_s * LAYERS["70B"]) / own["70B", "4"] - 1.0
    return Speed(name=name, byte_s=byte_s, layer_s=layer_s, memory_bytes=memory_bytes, error=error)


def _cluster(seed: int, speeds: list[Speed]) -> SplitProblem | None:
    """Return a split of the larger model that fits, over Gigabit links; ``None`` where neither fits by the rule."""
    room = sum(each.memory_bytes for each in speeds) * USABLE
    size, bits = ("70B", "4") if room > 1.1 * BYTES["70B", "4"] else ("8B", "16")
    if room < 1.1 * BYTES[size, bits]:
        return None
    layer_bytes = int(BYTES[size, bits] / LAYERS[size])
    return SplitProblem(
        name=f"cluster {seed}",
        layers=(LayerGroup(count=LAYERS[size], weights_bytes={bits: layer_bytes}, kv_bytes_per_token=4096.0),),
        hidden_size=8192 if size == "70B" else 4096,
        devices=tuple(
            SplitDevice(
                name=each.name,
                memory_bytes=each.memory_bytes * USABLE,
                decode_s={bits: (each.byte_s * layer_bytes + each.layer_s,)},
            )
            for each in speeds
        ),
        codecs=(Codec(name="fp16", bytes_per_element=2.0),),
        prompt_tokens=256,
        output_tokens=256,
        source=speeds[0].name,
        links=tuple(
            Link(source=a.name, to=b.name, latency_s=3e-4, bytes_per_s=1.25e8)
            for a in speeds
            for b in speeds
            if a is not b
        ),
    )


def _proportional(problem: SplitProblem) -> SplitDecision:
    """Return the rule's split: shares of memory, largest remainders, a layer at least for every device."""
    memory = np.array([device.memory_bytes for device in problem.devices])
    exact = memory / memory.sum() * problem.layer_count
    counts = np.maximum(1, np.floor(exact).astype(int))
    for i in np.argsort(-(exact - np.floor(exact))):
        counts[i] += counts.sum() < problem.layer_count
    while counts.sum() > problem.layer_count:
        counts[int(np.argmax(counts))] -= 1
    ends = np.cumsum(counts)
    (mode,) = problem.quantisations
    return SplitDecision(
        segments=tuple(
            Segment(
                device=device.name,
                first_layer=int(end - count),
                last_layer=int(end - 1),
                quantisation=mode,
                codec=None if i == 0 else "fp16",
            )
            for i, (device, count, end) in enumerate(zip(problem.devices, counts, ends, strict=True))
        )
    )


def _row(claim: str, instance: str, figure: float, target: float | None, peer: str, seconds: float) -> Row:
    return Row(
        claim=claim,
        instance=instance,
        figure=figure,
        unit="" if target is None else "x",
        target=target,
        holds=None if target is None else figure >= target - 1e-9,
        peer=peer,
        seconds=seconds,
    )
