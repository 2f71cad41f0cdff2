"""What an expert-parallel run measured: rows and bytes between devices, time in each layer, speed of links."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from coinfer import jsonfile
from coinfer.errors import InputError, Plain, ProfileError
from coinfer.profiler.trace.json_lines import lines
from coinfer.records import Record

FORMAT = "coinfer/moe-measurements/1"


class LayerTraffic(Record, frozen=True, kw_only=True, tag_field="kind", tag="traffic"):
    """Rows that one device sent another in one layer, over a whole run.

    Attributes
    ----------
    layer
        Layer among those with experts.
    sender, receiver
        Names of the devices.
    dispatched, combined
        Tokens sent to experts, and partial results sent on.
    bytes
        Of both together.
    """

    layer: int
    sender: str
    receiver: str
    dispatched: int
    combined: int
    bytes: int


class LayerTime(Record, frozen=True, kw_only=True, tag_field="kind", tag="time"):
    """Seconds that one device spent in one layer, over a whole run; waiting for others counts as exchange."""

    layer: int
    device: str
    dispatch_s: float
    experts_s: float
    combine_s: float


class LinkTime(Record, frozen=True, kw_only=True, tag_field="kind", tag="link"):
    """Seconds for a byte from one device to another, the median of large buffers sent to and fro."""

    sender: str
    receiver: str
    seconds_per_byte: float

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds_per_byte < float("inf"):
            raise ProfileError("seconds_per_byte", expected="a finite number above 0", found=self.seconds_per_byte)


MoeMeasurement = LayerTraffic | LayerTime | LinkTime
Kind = Literal["traffic", "time", "link"]


def write_moe_measurements(path: str | os.PathLike[str], rows: Iterable[MoeMeasurement]) -> None:
    """Write rows as JSON Lines, after a header; the file is the old or the whole new one."""
    made = [json.dumps({"format": FORMAT})]
    made += [json.dumps(jsonfile.to_builtins(row), allow_nan=False, ensure_ascii=False) for row in rows]
    jsonfile.write_text(path, "\n".join(made) + "\n")


def read_moe_measurements(path: str | os.PathLike[str]) -> list[MoeMeasurement]:
    """Read the rows of a file that :func:`write_moe_measurements` wrote.

    Raises
    ------
    InputError
        With the line.
    """
    found: list[MoeMeasurement] = []
    for number, line in lines(Path(path)):
        where = f"{path}: line {number}"
        data = jsonfile.parse(line.decode("utf-8", errors="replace"), where=where)
        if number == 1:
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ProfileError(where, expected=f'{{"format": "{FORMAT}"}}', found=Plain("another header"))
            continue
        found.append(jsonfile.convert(data, MoeMeasurement, where=where))  # type: ignore[arg-type]  # a union
    return found


def link_costs(
    rows: Iterable[MoeMeasurement], devices: tuple[str, ...]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the seconds that moving one token takes between each two devices, (devices, devices).

    The time of a byte is the mean of both directions; the bytes of a token are those of the rows that were sent.

    Raises
    ------
    InputError
        If a pair of devices was not measured, or nothing was sent: what is not measured is not taken to be free.
    """
    sent = bytes_ = 0
    speeds: dict[frozenset[str], list[float]] = {}
    for row in rows:
        if isinstance(row, LayerTraffic) and row.sender != row.receiver:
            sent += row.dispatched + row.combined
            bytes_ += row.bytes
        elif isinstance(row, LinkTime):
            speeds.setdefault(frozenset((row.sender, row.receiver)), []).append(row.seconds_per_byte)
    if not sent:
        raise InputError("measurements", expected="rows that were sent between devices", found=Plain("none"))
    costs = np.zeros((len(devices), len(devices)))
    for i, one in enumerate(devices):
        for j, other in enumerate(devices[:i]):
            measured = speeds.get(frozenset((one, other)))
            if measured is None:
                raise InputError("measurements", expected=f"the link of {one} and {other}", found=Plain("none"))
            costs[i, j] = costs[j, i] = float(np.mean(measured)) * bytes_ / sent
    return costs
