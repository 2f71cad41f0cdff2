"""A profile: what is known of each language model on each device, with intervals (``coinfer/profile/1``)."""

from __future__ import annotations

import math
import os
from typing import Literal

from coinfer import jsonfile
from coinfer.errors import ProfileError
from coinfer.records import Document, Record

FORMAT = "coinfer/profile/1"

Quantity = Literal[
    "prefill_s_per_token",
    "decode_s_per_token",
    "request_overhead_s",
    "request_s",
    "request_p95_s",
    "request_energy_j",
    "power_w",
    "memory_bytes",
    "quality",
    "prompt_tokens",
    "output_tokens",
]


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its uncertainty.

    Attributes
    ----------
    value
        Best estimate.
    low, high
        Ends of its 95 % interval; absent where a source gives a bare number.
    samples
        Measurements behind it.
    basis
        ``measured`` here, ``published`` by somebody, ``declared`` by the user, or ``derived`` from other estimates.
    source
        In words: the file, the page or the counter.
    """

    value: float
    samples: int
    basis: Literal["measured", "published", "declared", "derived"]
    source: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ProfileError("value", expected="a finite number", found=self.value)
        if (self.low is None) != (self.high is None):
            raise ProfileError("high", expected="both ends of the interval or none", found=self.high)
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ProfileError("value", expected=f"a number in [{self.low}, {self.high}]", found=self.value)
        if self.samples < 0:
            raise ProfileError("samples", expected="an integer, at least 0", found=self.samples)


class Entry(Record, frozen=True, kw_only=True):
    """One estimate and what it is an estimate of.

    Engine, number format and power mode belong to the key: the same board spans a factor of 2.5 over them.
    """

    device: str
    model: str
    engine: str
    quantity: Quantity
    estimate: Estimate
    quantisation: str | None = None
    power_mode: str | None = None
    category: str | None = None
    batch: int = 1


class DeviceFacts(Record, frozen=True, kw_only=True):
    """What is known of a device apart from any model.

    Attributes
    ----------
    name
        As problems and measurements name it.
    memory_bytes
        Memory that models may hold; absent where unknown.
    idle_power_w
        Power drawn while nothing runs; absent where nothing measured or declared it.
    energy_counter
        Counter that energy rows of this device came from; absent where it has none.
    description
        Processor, accelerator and operating system, in words.
    """

    name: str
    description: str
    memory_bytes: int | None = None
    idle_power_w: Estimate | None = None
    busy_power_w: Estimate | None = None
    energy_counter: str | None = None


class Profile(Document, frozen=True, kw_only=True):
    """Estimates for models on devices."""

    file_format = FORMAT

    devices: tuple[DeviceFacts, ...]
    entries: tuple[Entry, ...]

    def find(
        self, *, device: str, model: str, quantity: Quantity, category: str | None = None, batch: int | None = None
    ) -> Estimate | None:
        """Return the matching estimate with the most samples; ``None`` when nothing was measured."""
        matching = [
            entry.estimate
            for entry in self.entries
            if (entry.device, entry.model, entry.quantity, entry.category) == (device, model, quantity, category)
            and batch in (None, entry.batch)
        ]
        return max(matching, key=lambda estimate: estimate.samples, default=None)


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a profile file."""
    return jsonfile.read(path, Profile, format_name=FORMAT)
