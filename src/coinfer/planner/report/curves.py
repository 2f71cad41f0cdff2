"""Curves over a common axis as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coinfer.planner.report.chart import Axis
from coinfer.planner.report.element import Element, tag
from coinfer.planner.units import digits

WIDE, TALL = 760.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 24.0, 16.0, 36.0


def curves(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    mark: tuple[float, float],
    horizontal: Callable[[float], str],
    label: str,
) -> Element:
    """Draw lines, each with its class (``this`` or ``other``), and one ring.

    Parameters
    ----------
    lines
        Class, horizontal figures in rising order, vertical figures.
    mark
        Where the ring goes.
    horizontal
        Writes a horizontal figure.
    label
        What is drawn, for those who cannot see it.
    """
    across = [number for _, numbers, _ in lines for number in numbers] + [mark[0]]
    positive = [number for number in across if number > 0.0]
    x = Axis.over(positive or [0.0, 1.0], LEFT, WIDE - RIGHT)
    heights = [number for _, _, numbers in lines for number in numbers] + [mark[1]]
    y = Axis.over(heights, TALL - BOTTOM, TOP, may_be_logarithmic=False)
    drawn: list[Element] = []
    for tick in y.ticks():
        drawn.append(tag("line", x1=LEFT, x2=WIDE - RIGHT, y1=y.at(tick), y2=y.at(tick), class_="grid"))
        drawn.append(tag("text", digits(tick, 3), x=LEFT - 7, y=y.at(tick) + 4, text_anchor="end"))
    ticks = x.ticks()
    for tick in ticks[:: max(1, -(-len(ticks) // 7))]:
        drawn.append(tag("line", x1=x.at(tick), x2=x.at(tick), y1=TOP, y2=TALL - BOTTOM, class_="grid"))
        drawn.append(tag("text", horizontal(tick), x=x.at(tick), y=TALL - BOTTOM + 18, text_anchor="middle"))
    for class_, rights, ups in lines:
        corners = " ".join(f"{x.at(right):.2f},{y.at(up):.2f}" for right, up in zip(rights, ups, strict=True))
        drawn.append(tag("polyline", points=corners, class_=f"line {class_}"))
    drawn.append(tag("circle", cx=x.at(mark[0]), cy=y.at(mark[1]), r="6", class_="ring"))
    return tag(
        "svg",
        tag("title", label),
        drawn,
        viewBox=f"0 0 {WIDE:.0f} {TALL:.0f}",
        role="img",
        class_="front",
        aria_label=label,
    )
