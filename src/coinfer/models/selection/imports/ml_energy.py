"""Import of the ML.ENERGY leaderboard (``ml-energy/leaderboard``): measured configurations of language models.

One task's JSON file holds ``configurations[]``: a model on a number of GPUs with a batch cap, its energy per request,
and quantiles of its inter-token latency (ITL). Each configuration becomes an expert, and ``group`` keeps the
configurations of one model apart. Latencies of such a problem are **inter-token latencies**, seconds per token, and so
are its promises. The energy is the leaderboard's own, so its basis is ``published``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.selection.data import Device, Expert
from coinfer.models.selection.validate import amount

ITL_FIELDS = {"p50": "median_itl_ms", "p90": "p90_itl_ms", "p95": "p95_itl_ms", "p99": "p99_itl_ms"}
"""Field of the file by statistic."""

GPU_MEMORY_BYTES = {"A100": 80 * 10**9, "H100": 80 * 10**9, "H200": 141 * 10**9, "B200": 180 * 10**9}
"""Memory of one GPU. A budget of GPUs is stated in it; since every size is a multiple of it, it only counts GPUs."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """One measured configuration; other fields of the file are not read."""

    model_id: str
    gpu_model: str
    num_gpus: int
    energy_per_request_joules: float
    nickname: str | None = None
    max_num_seqs: int | None = None
    weight_precision: str | None = None
    tensor_parallel: int | None = None
    expert_parallel: int | None = None
    data_parallel: int | None = None
    median_itl_ms: float | None = None
    p90_itl_ms: float | None = None
    p95_itl_ms: float | None = None
    p99_itl_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBudget:
    """How many GPUs of one type there are.

    Attributes
    ----------
    gpu
        Type, as the leaderboard names it.
    count
        How many there are.
    memory_bytes
        Memory of one.
    """

    gpu: str
    count: int
    memory_bytes: int

    @classmethod
    def parse(cls, text: str) -> GpuBudget:
        """Read ``GPU=COUNT`` or, for a type whose memory is not known here, ``GPU=COUNT:GIGABYTES``."""
        gpu, equals, rest = text.partition("=")
        count, colon, size = rest.partition(":")
        known = _is_count(size) if colon else gpu in GPU_MEMORY_BYTES
        if not (gpu and equals and _is_count(count) and known):
            types = ", ".join(GPU_MEMORY_BYTES)
            expected = f"GPU=COUNT with GPU one of {types}, or GPU=COUNT:GIGABYTES for another"
            raise InputError("--gpus", expected=expected, found=text)
        memory = int(size) * 10**9 if colon else GPU_MEMORY_BYTES[gpu]
        return cls(gpu=gpu, count=int(count), memory_bytes=memory)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7 and int(text) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A configuration with what the problem needs of it.

    Attributes
    ----------
    name
        Unique name of the expert.
    model
        Model it serves: ``model_id``.
    gpu, gpus
        Type and number of GPUs it takes.
    itl_s
        Inter-token latency of the statistic asked for, seconds per token.
    energy_j
        Energy per request.
    """

    name: str
    model: str
    nickname: str | None
    gpu: str
    gpus: int
    itl_s: float
    energy_j: float

    def device(self, pools: Mapping[str, GpuBudget]) -> str:
        """Return the device: the pool of its GPUs, or a machine of its own kind where GPUs are not counted."""
        return self.gpu if pools else f"{self.gpu} x {self.gpus}"

    def expert(self, categories: Sequence[str], pools: Mapping[str, GpuBudget], source: str) -> Expert:
        """Return the expert that may answer ``categories``."""
        return Expert(
            name=self.name,
            device=self.device(pools),
            latency_s=dict.fromkeys(categories, self.itl_s),
            energy_j=dict.fromkeys(categories, self.energy_j),
            energy_basis="published",
            memory_bytes=self.gpus * pools[self.gpu].memory_bytes if pools else None,
            group=self.model,
            source=source,
        )


def read_configurations(path: Path, *, statistic: str = "p50") -> tuple[list[Measured], list[str]]:
    """Read one task of the leaderboard, and name the configurations that it holds more than once.

    Parameters
    ----------
    path
        The task's JSON file.
    statistic
        Statistic of the inter-token latency: ``p50``, ``p90``, ``p95`` or ``p99``.

    Raises
    ------
    InputError
        With the configuration and its field.
    """
    field = ITL_FIELDS.get(statistic)
    if field is None:
        raise InputError("--latency-statistic", expected=" or ".join(ITL_FIELDS), found=statistic)
    data = jsonfile.parse(jsonfile.read_text(path), where=str(path))
    items: Any = data.get("configurations") if isinstance(data, dict) else None
    if not isinstance(items, list) or not items:
        raise InputError(str(path), expected="an object with a list 'configurations'", found=data)
    rows = []
    for i, item in enumerate(items):
        where = f"{path}: configurations[{i}]"
        row = jsonfile.convert(item, Configuration, where=where)
        itl_ms = getattr(row, field)
        if itl_ms is None:
            raise InputError(f"{where}.{field}", expected="the latency asked for", found=Plain("none"))
        amount(f"{where}.{field}", itl_ms)
        amount(f"{where}.energy_per_request_joules", row.energy_per_request_joules)
        if not 0 < row.num_gpus < 10**6:
            raise InputError(f"{where}.num_gpus", expected="an integer, at least 1", found=row.num_gpus)
        rows.append((row, itl_ms / 1000.0))
    return _named(rows)


def _named(rows: Sequence[tuple[Configuration, float]]) -> tuple[list[Measured], list[str]]:
    """Give every configuration a short name, a longer one where that is taken, and a number where both are."""
    short = Counter(_name(row) for row, _ in rows)
    taken: Counter[str] = Counter()
    made, alike = [], []
    for row, itl_s in rows:
        name = _name(row) if short[_name(row)] == 1 else _name(row) + _parallelism(row)
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name} ({taken[name]})"
            alike.append(name)
        made.append(
            Measured(
                name=name,
                model=row.model_id,
                nickname=row.nickname,
                gpu=row.gpu_model,
                gpus=row.num_gpus,
                itl_s=itl_s,
                energy_j=row.energy_per_request_joules,
            )
        )
    return made, alike


def _name(row: Configuration) -> str:
    batch = "" if row.max_num_seqs is None else f", batch {row.max_num_seqs}"
    return f"{row.model_id} on {row.gpu_model} x {row.num_gpus}{batch}"


def _parallelism(row: Configuration) -> str:
    parts = [
        f"{letters}{degree}"
        for letters, degree in (("tp", row.tensor_parallel), ("ep", row.expert_parallel), ("dp", row.data_parallel))
        if degree is not None
    ]
    return "".join(f", {part}" for part in [*parts, *([row.weight_precision] if row.weight_precision else [])])


def model_names(measured: Sequence[Measured]) -> dict[str, str]:
    """Return the id of each model by its id and by its nickname, where only one model has that."""
    ids: dict[str, set[str]] = {}
    for part in measured:
        if part.nickname is not None:
            ids.setdefault(part.nickname, set()).add(part.model)
    names = {nickname: min(models) for nickname, models in ids.items() if len(models) == 1}
    return names | {part.model: part.model for part in measured}


def devices(measured: Sequence[Measured], pools: Mapping[str, GpuBudget]) -> tuple[Device, ...]:
    """Return the devices of the experts; with pools, one for each type, whose memory counts its GPUs."""
    names = dict.fromkeys(part.device(pools) for part in measured)
    if not pools:
        return tuple(Device(name=name) for name in names)
    return tuple(Device(name=name, memory_bytes=pools[name].count * pools[name].memory_bytes) for name in names)


def within_pools(measured: Sequence[Measured], pools: Mapping[str, GpuBudget]) -> tuple[list[Measured], list[str]]:
    """Return the configurations whose GPUs exist, and a note on the others."""
    if not pools:
        return list(measured), []
    kept = [part for part in measured if part.gpu in pools and part.gpus <= pools[part.gpu].count]
    count = len(measured) - len(kept)
    return kept, [f"{count} configurations left out: they need GPUs that --gpus does not give"] if count else []
