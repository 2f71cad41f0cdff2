"""What an online price remembers, as records of a file, and what they may hold."""

from __future__ import annotations

from typing import ClassVar, Literal

from coinfer.errors import InputError, Plain
from coinfer.records import Document, Matrix, Record

FORMAT = "coinfer/online-price/2"
MOST = 10**15
"""Of anything that is counted."""


class CensusState(Record, frozen=True, kw_only=True):
    """What is counted where the order may be any.

    Attributes
    ----------
    prices
        (1, resources).
    prompts
        In all.
    pilot, error, seen
        (multiples, resources): mean of the pilot, its standard error, and the sum over the prompts so far.
    """

    prices: Matrix
    prompts: int
    pilot: Matrix
    error: Matrix
    seen: Matrix


class Flight(Record, frozen=True, kw_only=True):
    """Prompts that arrived together and are not finished.

    Attributes
    ----------
    ticket
        Their number.
    option
        Of each prompt; -1 where none was given.
    expected, reserved
        (resources, prompts).
    """

    ticket: int
    option: tuple[int, ...]
    expected: Matrix
    reserved: Matrix


class PriceState(Document, frozen=True, kw_only=True):
    """Everything that an online price knows.

    Attributes
    ----------
    order, last_share
        As of :class:`coinfer.planner.budget.online.price.OnlinePrice`.
    limits
        A number for each resource; absent where there is no limit.
    spent, excess
        For each resource, as decimals in text so that no digit is lost: what finished prompts took, and what they took
        above their reservations.
    exceeding
        How many prompts did.
    owner, tickets, flights
        Name of the price; choices made; those in flight, which stay reserved.
    prices, first
        (1, resources): now, and at the beginning.
    lower_share, factors
        Share of prompts that have the lower prices; (resources, options), what options take over what was said.
    prompts_left, seen, since, period, stride, memory
        Prompts to come, chosen for, and chosen for since the last correction; most prompts between corrections; and
        every which menu enters the sample; and prompts in which what was learnt of costs fades to a half.
    values, present
        (sample, options): menus that stand for those to come; where an option is not there its value is 0.
    costs
        (resources times sample, options): the resources one below the other.
    paid, own, around
        (resources, sample): prices when each menu came, what it and what prompts around it were expected to take.
    fresh, slot, gathering
        Menus that are no more the pilot's; the one that is overwritten next; prompts since the last one.
    gathered, usual, error, drift
        (1, resources): what prompts since the last menu were expected to take; what the pilot's took at the first
        prices, its standard error, and the change since; a number below -1 stands for a pilot that took nothing.
    noticed
        Whether the change of each resource was notable.
    actual, expected
        (resources, options): faded sums of what finished prompts took, and were expected to.
    census
        Where the order is ``any``.
    """

    file_format: ClassVar[str] = FORMAT

    order: Literal["random", "any"]
    last_share: float
    limits: tuple[float | None, ...]
    spent: tuple[str, ...]
    excess: tuple[str, ...]
    exceeding: int
    owner: str
    tickets: int
    flights: tuple[Flight, ...] = ()
    prices: Matrix
    first: Matrix
    lower_share: float
    factors: Matrix
    prompts_left: int
    seen: int
    since: int
    period: int
    stride: int
    memory: int
    values: Matrix
    present: Matrix
    costs: Matrix
    paid: Matrix
    own: Matrix
    around: Matrix
    fresh: int
    slot: int
    gathering: int
    gathered: Matrix
    usual: Matrix
    error: Matrix
    drift: Matrix
    noticed: tuple[bool, ...]
    actual: Matrix
    expected: Matrix
    census: CensusState | None = None


def check(state: PriceState) -> None:
    """Refuse what no price can have saved."""
    resources, (rows, options) = len(state.limits), state.values.shape
    if not resources or not rows or not options:
        raise InputError("values", expected="menus, options and limits", found=Plain("none"))
    shapes = (
        ((1, resources), ("prices", "first", "gathered", "usual", "error", "drift")),
        ((rows, options), ("present",)),
        ((resources * rows, options), ("costs",)),
        ((resources, rows), ("paid", "own", "around")),
        ((resources, options), ("factors", "actual", "expected")),
    )
    for shape, names in shapes:
        for name in names:
            fits(name, getattr(state, name), shape)
            if name not in ("drift", "present"):
                at_least_0(name, getattr(state, name))
    for name in ("spent", "excess", "noticed"):
        if len(getattr(state, name)) != resources:
            raise InputError(name, expected=f"one for each of {resources} resource(s)", found=getattr(state, name))
    if (state.order == "any") != (state.census is not None):
        raise InputError("census", expected="a census where the order is any, and only there", found=Plain(state.order))
    if not 0.0 <= state.lower_share <= 1.0:
        raise InputError("lower_share", expected="a share in 0..1", found=state.lower_share)
    most = {"slot": rows - 1, "fresh": rows}
    least = {"period": 1, "stride": 1, "memory": 1}
    counts = ("tickets", "exceeding", "prompts_left", "seen", "since", "gathering")
    for name in (*counts, *most, *least):
        low, high, found = least.get(name, 0), most.get(name, MOST), getattr(state, name)
        if not low <= found <= high:
            raise InputError(name, expected=f"a whole number in {low}..{high}", found=found)
    if state.fresh < rows and state.slot != state.fresh:
        raise InputError("slot", expected=f"{state.fresh}, as many as were overwritten", found=state.slot)


def fits(where: str, matrix: Matrix, shape: tuple[int, int]) -> None:
    """Refuse a matrix of another shape."""
    if matrix.shape != shape:
        raise InputError(where, expected=f"shape {shape}", found=Plain(f"shape {matrix.shape}"))


def at_least_0(where: str, matrix: Matrix) -> None:
    """Refuse numbers below 0."""
    if (matrix.array < 0.0).any():
        raise InputError(where, expected="numbers of at least 0", found=float(matrix.array.min()))
