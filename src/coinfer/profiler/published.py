"""Published rates of common devices, shipped with the package; every row names where its figure was read."""

from __future__ import annotations

from importlib import resources

from coinfer.profiler.fit import fit
from coinfer.profiler.imports.device_profiles import parse_device_profiles
from coinfer.profiler.measurement import Measurement
from coinfer.profiler.profile import DeviceFacts, Profile

FILE = "published_devices.csv"


def published_measurements() -> tuple[Measurement, ...]:
    """Return the shipped rows: Jetson AGX Orin and Orin Nano, GeForce RTX 3090 and 4090, Apple chips.

    They are figures of others, measured with programs and settings that each source states more or less fully. Their
    ``source`` is never ``measured``, so what is fitted to them is marked as published.
    """
    text = resources.files("coinfer.profiler").joinpath("data", FILE).read_text(encoding="utf-8")
    return tuple(parse_device_profiles(text, where=FILE))


def published_profile() -> Profile:
    """Return the profile fitted to the shipped rows; of the devices themselves it knows nothing but the name."""
    rows = published_measurements()
    names = sorted({row.device for row in rows})
    return fit(rows, devices=tuple(DeviceFacts(name=name, description="published figures only") for name in names))
