"""Where a search of boxes ends early, or where floats do not see what the problem says."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coinfer.models.selection.data import Budgets, Category, Device, Expert, Gate, Prompt, SelectionProblem
from coinfer.planner.make import plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.verify import verify
from coinfer.records import Matrix
from coinfer.solver.progress import Progress, Stop
from coinfer.testing.selection import enumerate_optimum


def stopping(stop: Stop, reports: list[Progress], *, after: int) -> Any:
    """Return what is told of progress, and stops the search after some reports."""

    def report(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) >= after:
            stop.set()

    return report


def interrupted(problem: SelectionProblem, made: SelectionPlan) -> None:
    """Check a plan of a search that was stopped."""
    assert (made.certificate.status, made.certificate.limit) == ("feasible", "interrupt")
    assert made.certificate.leaves is not None
    assert made.certificate.bound is not None
    truth = plan(problem).certificate.value
    assert made.certificate.value <= truth <= made.certificate.bound
    checked = verify(problem, made)
    assert not checked.proven
    assert checked.bound == pytest.approx(made.certificate.verified_bound)


Large = Callable[..., SelectionProblem]
HARD: list[tuple[Gate, dict[str, Any]]] = [("oracle", {}), ("softmax", {"energy_j": 3.5})]


@pytest.mark.parametrize(("gate", "limits"), HARD)
def test_a_stopped_search_keeps_what_it_knows(
    gate: Gate, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch, large_problem: Large
) -> None:
    """Stopped from its own report, the search hands out incumbent, bound and leaves that verify."""
    monkeypatch.setattr("coinfer.solver.monotonic.facility.REPORT_EVERY_S", -1.0)
    problem, stop, reports = large_problem(gate=gate, **limits), Stop(), []
    made = plan(problem, stop=stop, on_progress=stopping(stop, reports, after=3))
    assert len(reports) == 3
    # Reports are those of a minimisation, as with the other engines.
    assert -reports[-1].value <= plan(problem).certificate.value + 1e-9 <= -reports[-1].bound + 2e-9
    interrupted(problem, made)


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("gate", "limits"), HARD)
def test_ctrl_c_ends_the_search_and_not_the_plan(
    gate: Gate, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch, large_problem: Large
) -> None:
    """An interrupt from the keyboard does the same, and Ctrl-C works as before afterwards."""
    monkeypatch.setattr("coinfer.solver.monotonic.facility.REPORT_EVERY_S", -1.0)
    problem, sent = large_problem(gate=gate, **limits), []

    def press(progress: Progress) -> None:
        if not sent:
            sent.append(progress)
            os.kill(os.getpid(), signal.SIGINT)

    interrupted(problem, plan(problem, on_progress=press))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_search_stopped_before_it_began_still_has_a_bound(large_problem: Large) -> None:
    """With the flag set from the start, a facility location has its first incumbent and the bound of the whole box."""
    stop = Stop()
    stop.set()
    interrupted(large_problem(), plan(large_problem(), stop=stop))


def priced(prices_usd: list[float], *, most_usd: float, gate: Gate) -> SelectionProblem:
    """Three experts, the dearest the best, of which any may be kept."""
    return SelectionProblem(
        name="priced",
        devices=(Device(name="d"),),
        categories=(Category(name="c"),),
        experts=tuple(
            Expert(name=f"e{n}", device="d", latency_s={"c": 1.0}, price_usd={"c": price})
            for n, price in enumerate(prices_usd)
        ),
        prompts=(Prompt(name="p", category="c"),),
        quality=Matrix([[0.5, 0.9, 0.7]]),
        budgets=Budgets(price_usd=most_usd),
        gate=gate,
        gate_scores=Matrix([[0.0, -40.0, 2.0]]),
    )


@pytest.mark.parametrize("gate", ["softmax", "top_1"])
@pytest.mark.parametrize(
    ("prices_usd", "most_usd"),
    [([1e-9, 1.0005e-9, 1e-9], 1e-9), ([1e-6, 1.001e-6, 1e-6], 1e-6), ([0.0, 1e-13, 0.0], 0.0), ([0.0, 5.0, 0.0], 0.0)],
)
def test_limits_of_any_size_are_kept(prices_usd: list[float], most_usd: float, gate: Gate) -> None:
    """A millionth of a dollar per request is held as tightly as a dollar: the dearest expert stays out."""
    problem = priced(prices_usd, most_usd=most_usd, gate=gate)
    made = plan(problem)
    assert made.certificate.value == pytest.approx(0.7)
    assert verify(problem, made).proven


def heavy(sizes: list[int], *, memory_bytes: int) -> SelectionProblem:
    """Three experts and two prompts; the best two experts are the first two."""
    return SelectionProblem(
        name="heavy",
        devices=(Device(name="d", memory_bytes=memory_bytes),),
        categories=(Category(name="c"),),
        experts=tuple(
            Expert(name=f"e{n}", device="d", latency_s={"c": 1.0}, memory_bytes=size) for n, size in enumerate(sizes)
        ),
        prompts=(Prompt(name="p", category="c"), Prompt(name="q", category="c")),
        quality=Matrix([[0.5, 0.9, 0.0], [0.8, 0.0, 0.7]]),
        budgets=Budgets(),
        gate="oracle",
    )


@pytest.mark.parametrize(("excess", "value"), [(0, 0.85), (1, 0.8)])
def test_a_byte_that_floats_do_not_see_counts(excess: int, value: float) -> None:
    """Of ten terabytes one byte too many is too many: the next selection is taken, and nothing is claimed proven."""
    problem = heavy([5 * 10**12, 5 * 10**12 + excess, 5 * 10**12 - 1], memory_bytes=10**13)
    made = plan(problem)
    assert made.certificate.value == pytest.approx(value)
    assert made.certificate.value == pytest.approx(enumerate_optimum(problem))
    assert made.certificate.bound == pytest.approx(value)
    assert (made.certificate.claims[-1].standing == "verified") == (excess == 0)
    assert verify(problem, made).proven == (excess == 0)
