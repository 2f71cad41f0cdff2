"""ML.ENERGY leaderboard files as history, with the facts of their models and GPUs that others publish.

Each task is a chat with one model on one device, because the length of the answers is a fact of the workload and
differs between them. Nothing of the leaderboard is shipped; the reader has the file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from types import MappingProxyType

from coinfer import jsonfile
from coinfer.errors import Plain, ProblemError
from coinfer.models.acceleration.data import AccelerationProblem, Device, Figure, Method, Model, Row, Task
from coinfer.records import Record

GPUS: MappingProxyType[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            Device(
                name="H100",  # SXM5; NVIDIA's data sheet, dense rates
                memory_bytes=80e9,
                bandwidth_bytes_per_s=3.35e12,
                compute_flop_per_s=989e12,
                compute_8bit_flop_per_s=1979e12,
                power_w=700.0,
            ),
            Device(
                name="B200",  # NVIDIA's data sheet, dense rates
                memory_bytes=180e9,
                bandwidth_bytes_per_s=8e12,
                compute_flop_per_s=2250e12,
                compute_8bit_flop_per_s=4500e12,
                power_w=1000.0,
            ),
        )
    }
)
"""GPU types of the leaderboard."""

# Layers and 16-bit cache bytes per token, from the models' public configuration files. Gemma 3 attends to the whole
# context in one layer of six and Nemotron Nano in four (six) layers: only what grows with the context is counted.
_SHAPES = MappingProxyType(
    {
        "Llama 3.1 8B": (32, 131_072),
        "Llama 3.1 70B": (80, 327_680),
        "Llama 3.3 70B": (80, 327_680),
        "Llama 3.1 405B": (126, 516_096),
        "Llama 4 Scout": (48, 196_608),
        "Llama 4 Maverick": (48, 196_608),
        "Qwen 3 8B": (36, 147_456),
        "Qwen 3 14B": (40, 163_840),
        "Qwen 3 32B": (64, 262_144),
        "Qwen 3 30B": (48, 98_304),
        "Qwen 3 235B": (94, 192_512),
        "Gemma 3 12B": (48, 98_304),
        "Gemma 3 27B": (62, 126_976),
        "DeepSeek V3.1": (61, 70_272),
        "NVIDIA Nemotron Nano 9B": (56, 16_384),
        "NVIDIA Nemotron Nano 12B": (62, 24_576),
    }
)


class _Configuration(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What is read of one entry of the leaderboard."""

    nickname: str
    gpu_model: str
    num_gpus: int
    max_num_seqs: int
    weight_precision: str
    total_params_billions: float
    activated_params_billions: float
    avg_output_len: float
    energy_per_request_joules: float
    median_itl_ms: float
    output_throughput_tokens_per_sec: float


class _Leaderboard(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A task file of the leaderboard."""

    task: str
    configurations: tuple[_Configuration, ...]


def read_ml_energy(path: str | os.PathLike[str], *, objective: Figure = "energy_j") -> AccelerationProblem:
    """Read a task file of the ML.ENERGY leaderboard (``public/data/tasks/*.json``) as history.

    Raises
    ------
    InputError
        If the file is not such a file, or names a GPU whose facts are not known here.
    """
    file = Path(path)
    board = jsonfile.convert(jsonfile.parse(jsonfile.read_text(file), where=str(file)), _Leaderboard, where=str(file))
    entries = board.configurations
    for number, entry in enumerate(entries):
        if entry.gpu_model not in GPUS:
            where = f"{file}: configurations[{number}].gpu_model"
            raise ProblemError(where, expected=f"one of {', '.join(GPUS)}", found=entry.gpu_model)
    if not entries:
        raise ProblemError(f"{file}: configurations", expected="at least one entry", found=Plain("none"))
    models = {entry.nickname: _model(entry) for entry in entries}
    methods = {_method(entry).name: _method(entry) for entry in entries}
    lengths = defaultdict(list)
    for entry in entries:
        lengths[entry.nickname, entry.gpu_model].append(entry.avg_output_len)
    tasks = [
        Task(
            name=f"{board.task}: {model} on {device}",
            output_tokens=sum(tokens) / len(tokens),
            models=(model,),
            devices=(device,),
        )
        for (model, device), tokens in lengths.items()
    ]
    rows = [
        Row(
            model=entry.nickname,
            device=entry.gpu_model,
            method=_method(entry).name,
            task=f"{board.task}: {entry.nickname} on {entry.gpu_model}",
            runtime_s=entry.avg_output_len / entry.output_throughput_tokens_per_sec,
            energy_j=entry.energy_per_request_joules,
            token_latency_s=entry.median_itl_ms / 1e3,
        )
        for entry in entries
    ]
    return AccelerationProblem(
        name=f"ML.ENERGY {board.task}",
        models=tuple(models.values()),
        devices=tuple(GPUS[name] for name in sorted({entry.gpu_model for entry in entries})),
        methods=tuple(methods.values()),
        tasks=tuple(tasks),
        history=tuple(rows),
        objective=objective,
    )


def _model(entry: _Configuration) -> Model:
    layers, cache = next((shape for name, shape in _SHAPES.items() if entry.nickname.startswith(name)), (None, None))
    return Model(
        name=entry.nickname,
        total_parameters=entry.total_params_billions * 1e9,
        active_parameters=entry.activated_params_billions * 1e9,
        weight_bits=8.0 if entry.weight_precision.startswith("fp8") else 16.0,
        layers=layers,
        cache_bytes_per_token=cache,
    )


def _method(entry: _Configuration) -> Method:
    gpus = f"{entry.num_gpus} GPU{'s' if entry.num_gpus > 1 else ''}"
    return Method(
        name=f"{gpus}, batch {entry.max_num_seqs}",
        accelerators=float(entry.num_gpus),
        batch=float(entry.max_num_seqs),
    )
