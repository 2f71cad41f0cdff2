"""Drawings of a placement as inline SVG: matrices of cells, paired bars over layers, value and bound over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coinfer.planner.report.chart import Axis
from coinfer.planner.report.element import Element, tag
from coinfer.planner.units import amount, digits, percent
from coinfer.solver.program import FloatArray, IntArray

SIDE = 420.0
MOST_CELLS = 64
"""Rows and columns of a drawn matrix; larger ones are added up in blocks."""
WIDE, TALL = 940.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 12.0, 16.0, 44.0


def matrix(values: FloatArray, *, edges: Sequence[int], label: str, rows: str, columns: str) -> Element:
    """Draw a square matrix whose darkest cell is its largest, with lines where a new device begins.

    Parameters
    ----------
    values
        (n, n), at least 0.
    edges
        Indices at which a group begins, without 0.
    label, rows, columns
        What is drawn, and what stands on its sides.
    """
    blocks = max(1, -(-len(values) // MOST_CELLS))
    summed, step = _summed(values, blocks), SIDE / -(-len(values) // blocks)
    top = float(summed.max(initial=0.0)) or 1.0
    cells = [
        tag(
            "rect",
            x=LEFT + column * step,
            y=TOP + row * step,
            width=step + 0.1,
            height=step + 0.1,
            class_="cell",
            fill_opacity=round(float(summed[row, column]) / top, 3),
        )
        for row, column in np.argwhere(summed > 0.004 * top).tolist()
    ]
    lines: list[Element] = []
    for edge in edges:
        at = edge / len(values) * SIDE
        lines.append(tag("line", x1=LEFT + at, x2=LEFT + at, y1=TOP, y2=TOP + SIDE, class_="edge"))
        lines.append(tag("line", x1=LEFT, x2=LEFT + SIDE, y1=TOP + at, y2=TOP + at, class_="edge"))
    frame = tag("rect", x=LEFT, y=TOP, width=SIDE, height=SIDE, class_="frame")
    across = tag("text", columns, x=LEFT + SIDE / 2, y=TOP + SIDE + 24, text_anchor="middle", class_="axis")
    middle = TOP + SIDE / 2
    down = tag(
        "text", rows, x=20.0, y=middle, text_anchor="middle", class_="axis", transform=f"rotate(-90 20 {middle:g})"
    )
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    box = f"0 0 {width:g} {height:g}"
    return tag(
        "svg", tag("title", label), cells, lines, frame, across, down, viewBox=box, role="img", class_="front matrix"
    )


def _summed(values: FloatArray, blocks: int) -> FloatArray:
    """Add up square blocks of cells."""
    if blocks == 1:
        return values
    starts = np.arange(0, len(values), blocks)
    summed: FloatArray = np.add.reduceat(np.add.reduceat(values, starts, axis=0), starts, axis=1)
    return summed


def paired_bars(before: Sequence[float], after: Sequence[float], *, label: str, names: tuple[str, str]) -> Element:
    """Draw two shares for every layer beside each other."""
    y = Axis.over([0.0, *before, *after], TALL - BOTTOM, TOP, may_be_logarithmic=False)
    step = (WIDE - LEFT - RIGHT) / max(1, len(before))
    drawn = [_level(y, tick) for tick in y.ticks()]
    for index, pair in enumerate(zip(before, after, strict=True)):
        for side, share in enumerate(pair):
            at = y.at(share)
            shown = tag("title", f"layer {index} to {index + 1}, {names[side]}: {percent(share)}")
            left = LEFT + step * (index + 0.08 + 0.42 * side)
            height = max(0.0, y.at(0.0) - at)
            bar = tag("rect", shown, x=left, y=at, width=step * 0.42, height=height, class_=("other", "this")[side])
            drawn.append(bar)
    drawn += _numbered(len(before), step)
    axis = tag("text", "layer", x=(LEFT + WIDE) / 2, y=TALL - 6, text_anchor="middle", class_="axis")
    box = f"0 0 {WIDE:g} {TALL:g}"
    return tag("svg", tag("title", label), drawn, axis, viewBox=box, role="img", class_="front")


def _numbered(count: int, step: float) -> list[Element]:
    """Write layer numbers below, as many as have room."""
    every = max(1, -(-count // 24))
    return [
        tag("text", str(index), x=LEFT + step * (index + 0.5), y=TALL - BOTTOM + 18, text_anchor="middle")
        for index in range(0, count, every)
    ]


def _level(y: Axis, tick: float) -> Element:
    line = tag("line", x1=LEFT, x2=WIDE - RIGHT, y1=y.at(tick), y2=y.at(tick), class_="grid")
    return tag("g", line, tag("text", digits(tick, 3), x=LEFT - 7, y=y.at(tick) + 4, text_anchor="end"))


def over_time(
    seconds: Sequence[float], values: Sequence[float | None], bounds: Sequence[float | None], *, label: str
) -> Element | None:
    """Draw the best value and the bound as stairs over time; nothing where there are less than two moments."""
    known = [number for number in (*values, *bounds) if number is not None]
    if len(seconds) < 2 or not known:
        return None
    x = Axis.over([max(time, 1e-3) for time in seconds], LEFT, WIDE - RIGHT)
    y = Axis.over(known, TALL - BOTTOM, TOP, may_be_logarithmic=False)
    drawn = [_level(y, tick) for tick in y.ticks()]
    for tick in x.ticks():
        drawn.append(tag("line", x1=x.at(tick), x2=x.at(tick), y1=TOP, y2=TALL - BOTTOM, class_="grid"))
        drawn.append(tag("text", amount(tick, "s"), x=x.at(tick), y=TALL - BOTTOM + 18, text_anchor="middle"))
    for numbers, class_ in ((values, "value"), (bounds, "bound")):
        drawn.append(tag("polyline", points=_stairs(seconds, numbers, x, y), class_=f"line {class_}"))
    scale = "time (logarithmic)" if x.logarithmic else "time"
    axis = tag("text", scale, x=(LEFT + WIDE) / 2, y=TALL - 6, text_anchor="middle", class_="axis")
    box = f"0 0 {WIDE:g} {TALL:g}"
    return tag("svg", tag("title", label), drawn, axis, viewBox=box, role="img", class_="front")


def _stairs(seconds: Sequence[float], numbers: Sequence[float | None], x: Axis, y: Axis) -> str:
    """Return the corners of a line that changes only at the moments."""
    corners: list[str] = []
    last: float | None = None
    for time, number in zip(seconds, numbers, strict=True):
        if number is None:
            continue
        at = x.at(max(time, 1e-3))
        if last is not None:
            corners.append(f"{at:.2f},{y.at(last):.2f}")
        corners.append(f"{at:.2f},{y.at(number):.2f}")
        last = number
    if last is not None:
        corners.append(f"{x.end:.2f},{y.at(last):.2f}")
    return " ".join(corners)


def reordered(values: FloatArray, rows: IntArray, columns: IntArray) -> FloatArray:
    """Return ``values`` with its rows and columns in the order of the groups they belong to."""
    ordered: FloatArray = values[np.argsort(rows, kind="stable")][:, np.argsort(columns, kind="stable")]
    return ordered
