"""Build examples/problems/acceleration/five_gpus.json: five GPU types, three methods, a GPU that few have measured.

    python examples/make_acceleration_problem.py

The measurements are invented: a time per step from bytes and bandwidth, and 5 % of noise. The facts of the GPUs are
those of their data sheets and the prices are round numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coinfer import jsonfile
from coinfer.models.acceleration import AccelerationProblem
from coinfer.models.acceleration.data import Ceilings, Device, Method, Model, Row, Task

OUTPUT = Path(__file__).parent / "problems" / "acceleration" / "five_gpus.json"

GPUS = (  # name, memory, bandwidth, 16-bit compute, power, price per hour
    ("L4", 24e9, 0.30e12, 121e12, 72.0, 0.7),
    ("L40S", 48e9, 0.864e12, 362e12, 350.0, 1.8),
    ("A100", 80e9, 2.04e12, 312e12, 400.0, 2.0),
    ("H100", 80e9, 3.35e12, 989e12, 700.0, 3.0),
    ("H200", 141e9, 4.8e12, 989e12, 700.0, 3.7),
)
MODELS = (("3B", 3.2e9, 28, 114_688), ("8B", 8e9, 32, 131_072), ("14B", 14e9, 40, 163_840))
METHODS = (("continuous batching 8", 8.0, 0.0), ("continuous batching 64", 64.0, 0.0), ("prefix caching 64", 64.0, 1.0))
# name, prompt, answer, share of the prompt that others have sent before
WORK = (("chat", 300.0, 250.0, 0.2), ("summaries", 3000.0, 150.0, 0.0), ("agents", 4000.0, 120.0, 0.9))


def runtime(model: Model, device: Device, method: Method, task: Task) -> float:
    """Return the invented seconds per request."""
    weights = (model.total_parameters or 0.0) * 2.0
    batch = method.batch or 1.0
    bandwidth = device.bandwidth_bytes_per_s or 1.0
    context = (task.input_tokens or 0.0) + (task.output_tokens or 0.0) / 2.0
    cache = batch * context * (model.cache_bytes_per_token or 0.0)
    step = 9e-6 * (model.layers or 1.0) + 1.2 * (weights + cache) / bandwidth
    seen_before = task.features["shared_prefix"] if method.features["prefix_caching"] else 0.0
    prompt = (task.input_tokens or 0.0) * (1.0 - seen_before)
    reading = prompt * (model.total_parameters or 0.0) * 2.0 / (device.compute_flop_per_s or 1.0) * 2.0
    extra = 1.08 if method.features["prefix_caching"] else 1.0
    return extra * (step * (task.output_tokens or 0.0) / batch + reading)


def build() -> AccelerationProblem:
    """Return the problem."""
    models = tuple(
        Model(
            name=name,
            total_parameters=size,
            active_parameters=size,
            weight_bits=16.0,
            layers=layers,
            cache_bytes_per_token=cache,
        )
        for name, size, layers, cache in MODELS
    )
    devices = tuple(
        Device(
            name=name,
            memory_bytes=memory,
            bandwidth_bytes_per_s=bandwidth,
            compute_flop_per_s=compute,
            power_w=power,
            price_usd_per_hour=price,
        )
        for name, memory, bandwidth, compute, power, price in GPUS
    )
    methods = tuple(
        Method(name=name, accelerators=1.0, batch=batch, features={"prefix_caching": caching})
        for name, batch, caching in METHODS
    )
    tasks = tuple(
        Task(
            name=name,
            input_tokens=prompt,
            output_tokens=answer,
            models=("8B",),
            requests=1e6,
            features={"shared_prefix": shared},
        )
        for name, prompt, answer, shared in WORK
    )
    noise = np.random.default_rng(7)
    rows = []
    for device in devices:
        for model in models:
            for method in methods:
                for task in tasks:
                    keep = noise.random() < (0.0 if device.name == "H200" else 0.55)
                    seconds = runtime(model, device, method, task) * float(np.exp(0.05 * noise.standard_normal()))
                    if keep:
                        place = {"model": model.name, "device": device.name, "method": method.name, "task": task.name}
                        rows.append(Row(**place, runtime_s=float(f"{seconds:.4g}")))
    return AccelerationProblem(
        name="one model, three tasks, five GPU types, one of them new",
        models=models,
        devices=devices,
        methods=methods,
        tasks=tasks,
        history=tuple(rows),
        objective="price_usd",
        budgets=Ceilings(runtime_s=2.6e5),
    )


if __name__ == "__main__":
    OUTPUT.parent.mkdir(exist_ok=True)
    jsonfile.write(OUTPUT, build())
    print(f"written {OUTPUT.name}")
