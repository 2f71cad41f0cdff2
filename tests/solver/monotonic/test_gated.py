"""The search of a deployed gate against every point, its bound when it is cut short, and its certificate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from coinfer.errors import InputError, ProblemError
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof
from coinfer.solver.certificate.gated import gated_leaf
from coinfer.solver.limits import Limits
from coinfer.solver.monotonic import gated
from coinfer.solver.monotonic.gated import search_gated
from coinfer.solver.monotonic.program import (
    FacilityLocation,
    FloatArray,
    GatedMean,
    IntArray,
    LinearRows,
    MonotoneAtMost,
    MonotonicProgram,
    at_most_one,
    implies,
)
from coinfer.solver.monotonic.result import SearchStatus
from coinfer.solver.progress import Stop

LOOSE = 1e-9


def random_program(rng: np.random.Generator) -> MonotonicProgram:
    """Return a small gate: both means and rules, shares of 0, ties, fixed columns, rows of any sign, at times empty."""
    columns, count = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    values = rng.uniform(0.01, 1.0, (count, columns))
    mean = "log" if rng.random() < 0.5 else "identity"
    if mean == "identity" and rng.random() < 0.5:
        values -= 0.5
    shares = np.exp(rng.normal(size=(count, columns)) * 2.0) * (rng.random((count, columns)) < 0.8)
    if rng.random() < 0.3:  # ties everywhere
        values, shares = np.ceil(values * 3.0) / 3.0 + (mean == "log"), np.ceil(shares)
    lower = (rng.random(columns) < 0.1).astype(np.int64)
    upper = np.maximum(lower, (rng.random(columns) < 0.95).astype(np.int64))
    costs = rng.uniform(0.0, 1.0, columns)
    constraints = [
        LinearRows(coefficients=costs[None], limits=np.array([rng.uniform(0.1, 0.9) * costs.sum()]), names=("e",))
    ]
    if rng.random() < 0.3 and columns > 2:
        constraints.append(at_most_one([[0, 1], [1, 2]], variables=columns))
    if rng.random() < 0.3 and columns > 2:
        constraints.append(implies([(0, 1), (2, 0)], variables=columns))
    if rng.random() < 0.2:
        constraints.append(LinearRows(coefficients=-np.ones((1, columns)), limits=np.array([-3.0]), names=("many",)))
    return MonotonicProgram(
        lower=lower,
        upper=upper,
        objective=GatedMean(
            values=values,
            shares=shares,
            weights=rng.uniform(0.1, 2.0, count),
            mean=mean,
            rule="largest" if rng.random() < 0.4 else "proportional",
        ),
        constraints=tuple(constraints),
    )


def value_of(objective: GatedMean, point: tuple[int, ...]) -> float:
    """Return the objective of one point by its definition; ``-inf`` where a row has no share."""
    total = 0.0
    for values, shares, weight in zip(objective.values, objective.shares, objective.weights, strict=True):
        held = [j for j, x in enumerate(point) if x and shares[j] > 0.0]
        if not held:
            return -np.inf
        if objective.rule == "largest":
            mean = values[max(held, key=lambda j: (shares[j], -j))]
        else:
            mean = sum(shares[j] * values[j] for j in held) / sum(shares[j] for j in held)
        total += weight * (np.log(mean) if objective.mean == "log" else mean)
    return float(total)


def every_value(program: MonotonicProgram) -> dict[tuple[int, ...], float]:
    """Return the objective of every feasible point."""
    rows, found = program.rows, {}
    for point in itertools.product(*[range(a, b + 1) for a, b in zip(program.lower, program.upper, strict=True)]):
        if (rows.coefficients @ np.array(point) <= program.row_limits).all():
            value = value_of(program.objective, point)  # type: ignore[arg-type]
            if value > -np.inf:
                found[point] = value
    return found


def boxes_of(program: MonotonicProgram, proof: BoxProof) -> list[tuple[BoxLeaf, IntArray, IntArray]]:
    """Return each leaf with the corners of its box."""
    found, stack = [], [(0, program.lower, program.upper)]
    while stack:
        index, lower, upper = stack.pop()
        node = proof.nodes[index]
        if isinstance(node, BoxLeaf):
            found.append((node, lower, upper))
            continue
        shut, opened = upper.copy(), lower.copy()
        shut[node.variable], opened[node.variable] = node.value, node.value + 1
        stack += [(node.below, lower, shut), (node.above, opened, upper)]
    return found


def shown(program: MonotonicProgram, proof: BoxProof) -> float:
    """Return the bound of a proof, and see every leaf agree with what it states."""
    evaluate, worst = gated_leaf(program, proof.prices), -np.inf
    for leaf, lower, upper in boxes_of(program, proof):
        bound = evaluate(leaf, lower, upper)
        if bound is not None:
            assert leaf.bound is not None
            assert bound <= leaf.bound
            worst = max(worst, bound)
    return worst


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the search of small programs branch: else they are evaluated point by point."""
    monkeypatch.setattr(gated, "SMALL", 2)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_brute_force(seed: int) -> None:
    """On 1,200 random programs the search finds the best of all points or none, and its proof shows just that."""
    rng = np.random.default_rng(seed)
    for _ in range(60):
        program = random_program(rng)
        truth = every_value(program)
        result = search_gated(program)
        assert result.proof is not None
        if not truth:
            assert result.status is SearchStatus.INFEASIBLE
            assert result.bound == shown(program, result.proof) == -np.inf
            continue
        best = max(truth.values())
        assert result.status is SearchStatus.OPTIMAL
        assert result.value == pytest.approx(best, abs=LOOSE)
        assert truth[tuple(result.incumbent.tolist())] == pytest.approx(best, abs=LOOSE)  # type: ignore[union-attr]
        assert best - LOOSE <= shown(program, result.proof) <= result.bound <= best + LOOSE


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(8))
def test_the_bound_holds_at_every_early_stop(seed: int) -> None:
    """However soon the search stops, its bound holds, its proof shows it, and the incumbent is worth what it says."""
    rng = np.random.default_rng(100 + seed)
    for _ in range(12):
        program = random_program(rng)
        truth = every_value(program)
        best = max(truth.values(), default=-np.inf)
        for nodes in (0, 3, 5, 9, 15):
            result = search_gated(program, limits=Limits(nodes=nodes))
            assert result.bound >= best - LOOSE
            assert result.proof is not None
            assert best - LOOSE <= shown(program, result.proof) <= result.bound
            if result.incumbent is not None:
                assert truth[tuple(result.incumbent.tolist())] == pytest.approx(result.value, abs=LOOSE)
            if result.limit is not None:
                assert result.limit == "nodes"
                assert result.status in (SearchStatus.FEASIBLE, SearchStatus.UNSOLVED)


def wide_program(*, columns: int = 14, rows: int = 40, seed: int = 3) -> MonotonicProgram:
    """Return a gate that takes some branching."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 1.0, (rows, columns))
    costs = rng.uniform(0.5, 1.5, columns)
    return MonotonicProgram(
        lower=np.zeros(columns, dtype=np.int64),
        upper=np.ones(columns, dtype=np.int64),
        objective=GatedMean(
            values=values,
            shares=values * np.exp(0.5 * rng.normal(size=values.shape)),
            weights=np.full(rows, 1.0 / rows),
            mean="log",
        ),
        constraints=(LinearRows(coefficients=costs[None], limits=np.array([0.4 * costs.sum()]), names=("energy",)),),
    )


@pytest.mark.usefixtures("tiny")
def test_calls_and_gap_limits() -> None:
    """No more points are evaluated than allowed, and a gap that is allowed ends the search within it."""
    program = wide_program()
    for calls in (0, 1, 20, 300, 1000):
        result = search_gated(program, limits=Limits(oracle_calls=calls, nodes=400))
        assert result.oracle_calls <= calls
    exact = search_gated(program)
    rough = search_gated(program, limits=Limits(absolute_gap=0.1))
    assert exact.status is SearchStatus.OPTIMAL
    assert rough.status is SearchStatus.GAP
    assert rough.nodes < exact.nodes
    assert exact.value <= rough.bound <= rough.value + 0.1


@pytest.mark.usefixtures("tiny")
def test_is_repeatable() -> None:
    """Two searches of one program are the same, and without a proof there is none."""
    program = wide_program()
    one, two = search_gated(program), search_gated(program, keep_proof=False)
    assert (one.value, one.bound, one.nodes, one.oracle_calls) == (two.value, two.bound, two.nodes, two.oracle_calls)
    assert one.proof == search_gated(program).proof
    assert two.proof is None


@pytest.mark.usefixtures("tiny")
def test_stop_keeps_what_is_known() -> None:
    """A stop from a progress report ends the search with its incumbent, its bound and a whole proof."""
    program, stop, reports = wide_program(), Stop(), []

    def report(progress: object) -> None:
        reports.append(progress)
        if len(reports) == 3:
            stop.set()

    result = search_gated(program, stop=stop, on_progress=report)
    assert len(reports) == 3
    assert (result.status, result.limit) == (SearchStatus.FEASIBLE, "interrupt")
    assert result.proof is not None
    assert result.value < shown(program, result.proof) <= result.bound
    late = search_gated(program, limits=Limits(time_s=0.0))
    assert late.limit == "time"
    assert late.bound >= result.value


def test_a_start_is_used_and_a_bad_one_ignored() -> None:
    """With no search at all the result is at least as good as a feasible start; an infeasible start does no harm."""
    program = wide_program()
    best = search_gated(program)
    again = search_gated(program, start=best.incumbent, limits=Limits(oracle_calls=1))
    assert again.value == pytest.approx(best.value)
    assert search_gated(program, start=np.ones(14, dtype=np.int64)).value == best.value
    with pytest.raises(InputError, match="14 integers"):
        search_gated(program, start=np.ones(3, dtype=np.int64))


class _Count:
    def values(self, points: IntArray) -> FloatArray:
        return points.sum(axis=1).astype(np.float64)


def test_other_programs_are_refused() -> None:
    """Another objective, an oracle constraint, and shares beyond float64 get one sentence each."""
    box = {"lower": np.zeros(2, dtype=np.int64), "upper": np.ones(2, dtype=np.int64)}
    ones = np.ones((1, 2))
    facility = MonotonicProgram(**box, objective=FacilityLocation(values=ones, weights=np.ones(1)))
    gate = GatedMean(values=ones, shares=ones, weights=np.ones(1))
    oracle = MonotonicProgram(
        **box, objective=gate, constraints=(MonotoneAtMost(oracle=_Count(), limit=1.0, name="count"),)
    )
    far = GatedMean(values=ones, shares=np.array([[1.0, 1e-250]]), weights=np.ones(1))
    for program, message in (
        (facility, "a deployed gate"),
        (oracle, "linear rows only"),
        (MonotonicProgram(**box, objective=far), "largest of its row"),
    ):
        with pytest.raises(ProblemError, match=message):
            search_gated(program)


def test_a_crossed_box_is_infeasible() -> None:
    """A program whose box holds no point is infeasible."""
    gate = GatedMean(values=np.ones((1, 2)), shares=np.ones((1, 2)), weights=np.ones(1))
    program = MonotonicProgram(lower=np.array([1, 0]), upper=np.array([0, 1]), objective=gate)
    assert search_gated(program).status is SearchStatus.INFEASIBLE
