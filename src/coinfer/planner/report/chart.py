"""Charts as inline SVG, drawn here: the front of quality against energy and latency, bars, and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coinfer.planner.front import FrontPoint
from coinfer.planner.report.element import Element, tag
from coinfer.planner.units import amount, digits

WIDTH, HEIGHT = 460.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 20.0, 48.0
SHADES = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps figures to a line of the drawing; logarithmic when they span more than a factor of 30."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, may_be_logarithmic: bool = True) -> Axis:
        """Return an axis that holds ``values`` with a little room at both ends."""
        low, high = min(values), max(values)
        if may_be_logarithmic and low > 0.0 and high / low > 30.0:
            room = (high / low) ** 0.05
            return cls(low / room, high * room, start, end, True)
        alike = high - low <= 1e-3 * max(abs(low), abs(high))  # else every tick would read the same
        room = (0.05 * abs(high) or 1.0) if alike else 0.06 * (high - low)
        return cls(max(low - room, 0.0) if low >= 0.0 else low - room, high + room, start, end, False)

    def at(self, value: float) -> float:
        """Return the place of ``value``, kept inside the drawing."""
        share = (value - self.low) / (self.high - self.low)
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round figures inside the axis."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            wide = self.high / self.low > 1e3
            marks = [m * 10.0**decade for decade in decades for m in ((1,) if wide else (1, 2, 5))]
        else:
            rough = (self.high - self.low) / 5.0
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
            first = math.ceil(self.low / step)
            marks = [step * index for index in range(first, first + 8)]
        return [mark for mark in marks if self.low <= mark <= self.high]


def front_chart(
    points: Sequence[FrontPoint],
    *,
    horizontal: str,
    unit: str,
    label: str,
    bound: tuple[float, str] | None,
    limit: tuple[float, str] | None,
) -> Element | None:
    """Draw mean quality over one cost.

    Parameters
    ----------
    points
        The front.
    horizontal
        Field of a point that goes to the right: ``energy_j`` or ``latency_s``.
    unit, label
        Its unit and its name in words.
    bound
        A quality, such as its upper limit within the plan's budgets, and what to call it: a dashed line; absent
        without one.
    limit
        A horizontal figure, such as its budget, and what to call it: a dashed line; absent without one.

    Returns
    -------
    Element or None
        ``None`` when no point has the horizontal figure.
    """
    placed = [(cost, point) for point in points if (cost := getattr(point, horizontal)) is not None]
    if not placed:
        return None
    placed.sort(key=lambda pair: (pair[0], pair[1].quality))
    x = Axis.over([cost for cost, _ in placed] + ([limit[0]] if limit is not None else []), LEFT, WIDTH - RIGHT)
    heights = [point.quality for _, point in placed] + ([bound[0]] if bound is not None else [])
    y = Axis.over(heights, HEIGHT - BOTTOM, TOP, may_be_logarithmic=False)
    marks = [_mark(x.at(cost), y.at(point.quality), point, points) for cost, point in placed if not point.chosen]
    chosen = [_mark(x.at(cost), y.at(point.quality), point, points) for cost, point in placed if point.chosen]
    return tag(
        "svg",
        tag("title", f"Quality against {label.lower()}"),
        _grid(x, y, unit, label),
        tag("polyline", points=_staircase(placed, x, y), class_="stairs"),
        _bound_line(y, bound, below=any(point.chosen and x.at(cost) < WIDTH / 2 for cost, point in placed)),
        _limit_line(x, limit, unit),
        tag("g", marks, chosen),
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        role="img",
        class_="front",
        aria_label=f"{len(placed)} plans: quality against {label.lower()}; the table below lists them",
    )


def closed(point: FrontPoint) -> str:
    """Say whether the search for a point ended with its optimum."""
    return "optimum found" if point.proven else "stopped with a gap"


def shade(point: FrontPoint, points: Sequence[FrontPoint]) -> int | None:
    """Return the latency class of a point, 0 for the fastest; ``None`` without a latency."""
    edges = shade_edges(points)
    return None if point.latency_s is None else sum(point.latency_s > edge for edge in edges)


def shade_edges(points: Sequence[FrontPoint]) -> list[float]:
    """Return the latencies between the classes: equal ratios from the fastest to the slowest."""
    known = sorted(point.latency_s for point in points if point.latency_s is not None)
    if not known or math.isclose(known[0], known[-1], rel_tol=1e-3):
        return []
    low, high = max(known[0], known[-1] * 1e-6), known[-1]
    return [low * (high / low) ** (step / SHADES) for step in range(1, SHADES)]


def key_mark(class_: str, *, square: bool = False) -> Element:
    """Draw one mark for a legend."""
    return tag(
        "svg", _shape(8.0, 8.0, 5.5, class_, square=square), viewBox="0 0 16 16", class_="key", aria_hidden="true"
    )


def bar(share: float, level: str) -> Element:
    """Draw how much of a limit is used; ``level`` is its class, ``share`` may be above 1."""
    used = min(max(share, 0.0), 1.0) * 100.0
    return tag(
        "svg",
        tag("rect", x="0", y="0", width="100", height="8", class_="track"),
        tag("rect", x="0", y="0", width=used, height="8", class_=f"used {level}"),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        class_="bar",
        aria_hidden="true",
    )


def interval_plot(
    axis: Axis,
    predicted: tuple[float, float | None, float | None],
    measured: tuple[float, float | None, float | None] | None,
) -> Element:
    """Draw a predicted value with its band, and over it the measured one with its whiskers, on a shared axis."""
    value, low, high = predicted
    drawn: list[Element] = [tag("line", x1=axis.start, x2=axis.end, y1="15", y2="15", class_="rule")]
    if low is not None and high is not None:
        width = max(axis.at(high) - axis.at(low), 1.5)
        drawn.append(tag("rect", x=axis.at(low), y="5", width=width, height="20", class_="band"))
    drawn.append(tag("line", x1=axis.at(value), x2=axis.at(value), y1="3", y2="27", class_="expected"))
    if measured is not None:
        found, least, most = measured
        if least is not None and most is not None:
            drawn.append(tag("line", x1=axis.at(least), x2=axis.at(most), y1="15", y2="15", class_="whisker"))
            drawn += [
                tag("line", x1=axis.at(end), x2=axis.at(end), y1="10", y2="20", class_="whisker")
                for end in (least, most)
            ]
        drawn.append(tag("circle", cx=axis.at(found), cy="15", r="4.5", class_="found"))
    return tag("svg", drawn, viewBox="0 0 200 30", class_="intervals", aria_hidden="true")


def _grid(x: Axis, y: Axis, unit: str, label: str) -> Element:
    """Draw axes with round figures."""
    lines: list[Element] = []
    for tick in x.ticks():
        lines.append(tag("line", x1=x.at(tick), x2=x.at(tick), y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"))
        lines.append(tag("text", amount(tick, unit), x=x.at(tick), y=HEIGHT - BOTTOM + 19, text_anchor="middle"))
    for tick in y.ticks():
        lines.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y.at(tick), y2=y.at(tick), class_="grid"))
        lines.append(tag("text", digits(tick, 3), x=LEFT - 7, y=y.at(tick) + 4, text_anchor="end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    scale = f"{label} (logarithmic)" if x.logarithmic else label
    lines.append(tag("text", scale, x=middle, y=HEIGHT - 8, text_anchor="middle", class_="axis"))
    lines.append(tag("text", "Mean quality", x=4.0, y=12.0, class_="axis"))
    return tag("g", lines)


def _staircase(placed: Sequence[tuple[float, FrontPoint]], x: Axis, y: Axis) -> str:
    """Return the corners of the line below which every plan of the front lies."""
    corners: list[str] = []
    best = -math.inf
    for cost, point in placed:
        if point.quality > best:
            if corners:
                corners.append(f"{x.at(cost):.2f},{y.at(best):.2f}")
            corners.append(f"{x.at(cost):.2f},{y.at(point.quality):.2f}")
            best = point.quality
    return " ".join([*corners, f"{x.end:.2f},{y.at(best):.2f}"])


def _bound_line(y: Axis, bound: tuple[float, str] | None, *, below: bool) -> Element | None:
    """Draw the bound; its name goes where the chosen point is not: above on the left, or below on the right."""
    if bound is None:
        return None
    at = y.at(bound[0])
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="bound")
    place = (WIDTH - RIGHT - 4, at + 17, "end") if below else (LEFT + 6, at - 6, "start")
    words = f"{bound[1]} {digits(bound[0], 4)}"
    return tag("g", line, tag("text", words, x=place[0], y=place[1], text_anchor=place[2], class_="bound-name"))


def _limit_line(x: Axis, limit: tuple[float, str] | None, unit: str) -> Element | None:
    if limit is None:
        return None
    at = x.at(limit[0])
    left = at > (LEFT + WIDTH - RIGHT) / 2
    name = tag(
        "text",
        f"{limit[1]} {amount(limit[0], unit)}",
        x=at - 5 if left else at + 5,
        y=HEIGHT - BOTTOM - 7,
        text_anchor="end" if left else "start",
        class_="bound-name",
    )
    return tag("g", tag("line", x1=at, x2=at, y1=TOP, y2=HEIGHT - BOTTOM, class_="bound"), name)


def _mark(cx: float, cy: float, point: FrontPoint, points: Sequence[FrontPoint]) -> Element:
    """Draw one point: colour for latency, a square where a gap was left, a ring when chosen."""
    level = shade(point, points)
    lines = [
        "this plan" if point.chosen else "alternative",
        f"quality {digits(point.quality, 4)}, {closed(point)}",
        "energy " + ("no figure" if point.energy_j is None else amount(point.energy_j, "J")),
        "latency " + ("no figure" if point.latency_s is None else amount(point.latency_s, "s")),
        "experts: " + ", ".join(point.selected),
    ]
    shape = _shape(cx, cy, 6.0, "mark none" if level is None else f"mark shade{level}", square=not point.proven)
    ring = tag("circle", cx=cx, cy=cy, r=11.0, class_="ring") if point.chosen else None
    return tag("g", tag("title", "\n".join(lines)), ring, shape, class_="chosen" if point.chosen else None)


def _shape(cx: float, cy: float, r: float, class_: str, *, square: bool) -> Element:
    if square:
        return tag("rect", x=cx - r * 0.9, y=cy - r * 0.9, width=1.8 * r, height=1.8 * r, class_=class_)
    return tag("circle", cx=cx, cy=cy, r=r, class_=class_)
