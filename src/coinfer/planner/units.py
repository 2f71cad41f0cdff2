"""Numbers as engineers write them: three significant digits, a fitting prefix, and the unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coinfer.planner.selection.document import Prediction

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NOT_MEASURED = "not measured"
NO_FIGURE = "no figure"

_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "J": ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")),
    "bytes": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")),
    "W": ((1e3, "kW"), (1.0, "W"), (1e-3, "mW")),
    "": ((1.0, ""),),
}
UNITS: dict[str, str] = {"quality": "", "latency_s": "s", "energy_j": "J", "price_usd": "USD", "memory_bytes": "bytes"}
TITLES: dict[str, str] = {
    "quality": "Quality",
    "latency_s": "Latency",
    "energy_j": "Energy per request",
    "price_usd": "Price per request",
    "memory_bytes": "Memory",
}


def digits(value: float, significant: int = 3) -> str:
    """Write ``value`` with so many significant digits, without an exponent between 1e-5 and 1e7."""
    if value == 0.0 or not math.isfinite(value):
        return "0" if value == 0.0 else {math.inf: "∞", -math.inf: f"{MINUS}∞"}.get(value, "not a number")
    if not 1e-5 <= abs(value) < 1e7:
        return f"{value:.{significant - 1}e}".replace("-", MINUS)
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def amount(value: float, unit: str, *, significant: int | None = None) -> str:
    """Write ``value`` with its unit and a fitting prefix: ``amount(0.0123, "s")`` is ``12.3 ms``.

    Figures without a unit have four significant digits unless told otherwise, others three.
    """
    if unit == "":
        return digits(value, significant or 4)
    if unit == "count":
        return f"{value:,.0f}".replace("-", MINUS)
    if unit == "share":
        return percent(value)
    if unit == "USD":
        return _dollars(digits(value, significant or 3))
    scales = _SCALES[unit]
    size = abs(value)
    divisor, prefixed = next(((by, name) for by, name in scales if size >= by * 0.9995), scales[-1])
    if value == 0.0:
        divisor, prefixed = 1.0, unit
    return f"{digits(value / divisor, significant or 3)}{SPACE}{prefixed}"


def precise(value: float, unit: str) -> str:
    """Write ``value`` with nine significant digits and its unit, without a prefix."""
    written = f"{value:.9g}".replace("-", MINUS)
    return _dollars(written) if unit == "USD" else f"{written}{SPACE}{unit}".rstrip(SPACE)


def _dollars(written: str) -> str:
    """Put the sign of the currency before a figure, behind its minus."""
    return f"{MINUS}${written[1:]}" if written.startswith(MINUS) else f"${written}"


def figure(value: float | None, unit: str, absent: str = NO_FIGURE) -> str:
    """Write ``value`` with its unit, or the words for its absence."""
    return absent if value is None else amount(value, unit)


def interval(low: float | None, high: float | None, unit: str) -> str | None:
    """Write ``low to high``, or nothing when there is no interval."""
    return None if low is None or high is None else f"{amount(low, unit)} to {amount(high, unit)}"


def percent(share: float, *, signed: bool = False) -> str:
    """Write a share as a percentage."""
    number = 100.0 * share
    written = f"{number:+.1f}" if signed else (f"{number:.1f}" if 0.0 < abs(number) < 99.95 else f"{number:.0f}")
    return written.replace("-", MINUS).removesuffix(".0") + f"{SPACE}%"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Write ``1 expert`` or ``3 experts``."""
    return f"{number}{SPACE}{singular if number == 1 else plural or singular + 's'}"


def unit_of(prediction: Prediction) -> str:
    """Return the unit of a prediction."""
    return UNITS[prediction.quantity]
