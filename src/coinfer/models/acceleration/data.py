"""The acceleration problem: what was measured of which model, device and method, and what is to be chosen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from coinfer import jsonfile
from coinfer.errors import Plain, ProblemError
from coinfer.models.selection.validate import among, named, unique
from coinfer.records import Document, Record

FORMAT = "coinfer/acceleration/1"
LARGEST = 1e24
MOST_CANDIDATES = 20_000

Figure = Literal["runtime_s", "energy_j", "token_latency_s", "price_usd"]
MeasuredFigure = Literal["runtime_s", "energy_j", "token_latency_s"]
Stance = Literal["mean", "pessimistic"]

FIGURES: tuple[Figure, ...] = ("runtime_s", "energy_j", "token_latency_s", "price_usd")


class Ceilings(Record, frozen=True, kw_only=True):
    """Most that may be taken, by figure; absent: not limited.

    Attributes
    ----------
    runtime_s, energy_j, token_latency_s, price_usd
        Time for which accelerators are occupied, energy, time between two tokens, money.
    """

    runtime_s: float | None = None
    energy_j: float | None = None
    token_latency_s: float | None = None
    price_usd: float | None = None

    def __post_init__(self) -> None:
        for figure in FIGURES:
            _positive(figure, getattr(self, figure))

    def items(self) -> tuple[tuple[Figure, float], ...]:
        """Return the figures that are limited, with their limits."""
        pairs = ((figure, getattr(self, figure)) for figure in FIGURES)
        return tuple((figure, limit) for figure, limit in pairs if limit is not None)

    def __iter__(self) -> Iterator[Figure]:
        return iter([figure for figure, _ in self.items()])

    def __bool__(self) -> bool:
        return bool(self.items())


class Model(Record, frozen=True, kw_only=True):
    """A language model and what is published about it.

    Attributes
    ----------
    name
        Unique name.
    total_parameters, active_parameters
        Parameters, all of them and those that one token uses; equal for a dense model.
    weight_bits
        Bits of one stored weight.
    layers
        Transformer (or other) layers.
    cache_bytes_per_token
        Bytes of attention cache that one token of context takes.
    features
        Further numbers for the learned part.
    """

    name: str
    total_parameters: float | None = None
    active_parameters: float | None = None
    weight_bits: float | None = None
    layers: float | None = None
    cache_bytes_per_token: float | None = None
    features: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)


class Device(Record, frozen=True, kw_only=True):
    """One accelerator type, from its data sheet.

    Attributes
    ----------
    name
        Unique name.
    memory_bytes, bandwidth_bytes_per_s
        Memory of one accelerator, and how fast it is read.
    compute_flop_per_s, compute_8bit_flop_per_s
        Dense peak with 16-bit numbers, and with 8-bit numbers; the latter counts for models of at most 8 bits.
    power_w
        Power limit of one accelerator.
    price_usd_per_hour
        Price of one accelerator; absent: nothing on it has a price, and none is planned under a money budget.
    features
        Further numbers for the learned part.
    """

    name: str
    memory_bytes: float | None = None
    bandwidth_bytes_per_s: float | None = None
    compute_flop_per_s: float | None = None
    compute_8bit_flop_per_s: float | None = None
    power_w: float | None = None
    price_usd_per_hour: float | None = None
    features: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)


class Method(Record, frozen=True, kw_only=True):
    """One acceleration method or serving configuration.

    Attributes
    ----------
    name
        Unique name, as in ``prefix caching`` or ``2 GPUs, batch 64``.
    accelerators
        How many accelerators share one copy of the model.
    batch
        Most sequences decoded at the same time.
    features
        Further numbers for the learned part, as in ``{"prefix_caching": 1}``.
    """

    name: str
    accelerators: float | None = None
    batch: float | None = None
    features: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)


class Task(Record, frozen=True, kw_only=True):
    """A kind of request, and what may serve it.

    Attributes
    ----------
    name
        Unique name.
    input_tokens, output_tokens
        Mean length of prompt and answer.
    models, devices, methods
        What may serve it; absent: anything in the file. An empty list: the task is only there for its history.
    requests
        How many requests the choice is for: the weight of this task in every sum.
    limits
        Most that one request of this task may take, by figure.
    features
        Further numbers for the learned part.
    """

    name: str
    input_tokens: float | None = None
    output_tokens: float | None = None
    models: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    requests: float = 1.0
    limits: Ceilings = msgspec.field(default_factory=Ceilings)
    features: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)


class Row(Record, frozen=True, kw_only=True):
    """One historical measurement.

    Attributes
    ----------
    model, device, method, task
        Names of what was measured.
    runtime_s
        Time for which one request occupies its accelerators: wall-clock time over the requests served in it.
    energy_j
        Energy of one request.
    token_latency_s
        Time between two tokens that one user sees.
    """

    model: str
    device: str
    method: str
    task: str
    runtime_s: float | None = None
    energy_j: float | None = None
    token_latency_s: float | None = None

    def __post_init__(self) -> None:
        for figure in ("runtime_s", "energy_j", "token_latency_s"):
            _positive(figure, getattr(self, figure))
        if self.runtime_s is self.energy_j is self.token_latency_s is None:
            raise ProblemError("", expected="a row with a measured figure", found=Plain("none"))


class AccelerationProblem(Document, frozen=True, kw_only=True):
    """What was measured, and for which tasks a method is to be chosen.

    Attributes
    ----------
    name
        Name of the problem.
    models, devices, methods, tasks
        What there is.
    history
        What was measured; repeated measurements of one cell are averaged.
    objective
        Figure whose sum over all requests is to be as small as possible.
    budgets
        Most that all requests together may take, by figure.
    stance
        ``mean``: plan on the predicted values; ``pessimistic``: on the upper ends of their intervals.
    level
        Coverage asked of the intervals, in (0, 1).
    """

    file_format: ClassVar[str] = FORMAT

    name: str
    models: tuple[Model, ...]
    devices: tuple[Device, ...]
    methods: tuple[Method, ...]
    tasks: tuple[Task, ...]
    history: tuple[Row, ...]
    objective: Figure
    budgets: Ceilings = msgspec.field(default_factory=Ceilings)
    stance: Stance = "mean"
    level: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise ProblemError("level", expected="a number between 0 and 1", found=self.level)
        known: dict[str, tuple[str, ...]] = {}
        for field in ("models", "devices", "methods", "tasks"):
            known[field] = tuple(record.name for record in getattr(self, field))
            unique(field, list(known[field]))
        for number, row in enumerate(self.history):
            for field in ("model", "device", "method", "task"):
                among(f"history[{number}].{field}", getattr(row, field), known[f"{field}s"])
        candidates = 0
        for number, task in enumerate(self.tasks):
            lists = [(field, getattr(task, field)) for field in ("models", "devices", "methods")]
            for field, names in lists:
                for place, name in enumerate(names or ()):
                    among(f"tasks[{number}].{field}[{place}]", name, known[field])
            candidates += math.prod(len(known[field] if names is None else names) for field, names in lists)
        if candidates > MOST_CANDIDATES:
            raise ProblemError("tasks", expected=f"at most {MOST_CANDIDATES:,} ways to serve them", found=candidates)


def read_acceleration(path: str | os.PathLike[str]) -> AccelerationProblem:
    """Read and check an acceleration file (``coinfer/acceleration/1``).

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found.
    """
    return jsonfile.read(path, AccelerationProblem, format_name=FORMAT)


def _positive(where: str, number: float | None) -> None:
    if number is not None and not 1.0 / LARGEST <= number <= LARGEST:
        raise ProblemError(where, expected=f"a number above 0, from {1 / LARGEST:g} to {LARGEST:g}", found=number)


def _check(record: Model | Device | Method | Task) -> None:
    named(record.name)
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if isinstance(value, int | float):
            _positive(field, value)
    for key, number in record.features.items():
        if not abs(number) <= LARGEST:
            raise ProblemError(f"features.{key}", expected=f"a number of size at most {LARGEST:g}", found=number)
