"""The leaves of a deployed gate: what they show is true, and what is not true is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from coinfer.errors import CertificateError
from coinfer.solver.certificate import gated as certificate
from coinfer.solver.certificate.boxes import BoxLeaf, BoxProof
from coinfer.solver.certificate.check_boxes import check_boxes
from coinfer.solver.certificate.gated import gated_leaf
from coinfer.solver.monotonic import gated
from coinfer.solver.monotonic.gated import search_gated
from coinfer.solver.monotonic.gated_bound import GateBounds, price_rows, priced
from coinfer.solver.monotonic.gated_points import GatePoints, Rows
from coinfer.solver.monotonic.program import FacilityLocation, GatedMean, IntArray, LinearRows, MonotonicProgram


def random_program(rng: np.random.Generator, *, mean: str, rule: str) -> MonotonicProgram:
    """Return a gate of up to 8 columns, at times with shares of 0 and ties, and two linear rows."""
    columns, count = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    values = np.exp(rng.normal(size=(count, columns)) * 1.5) - (0.0 if mean == "log" else 1.0)
    shares = np.exp(rng.normal(size=(count, columns)) * 2.0) * (rng.random((count, columns)) < 0.85)
    if rng.random() < 0.3:
        values, shares = np.ceil(values), np.ceil(shares)
        values[values == 0.0] = 1.0
    costs = np.stack([rng.uniform(0.0, 1.0, columns), rng.uniform(-0.5, 1.0, columns)])
    costs[:, rng.random(columns) < 0.2] = 0.0
    return MonotonicProgram(
        lower=np.zeros(columns, dtype=np.int64),
        upper=np.ones(columns, dtype=np.int64),
        objective=GatedMean(
            values=np.abs(values) if mean == "log" else values,
            shares=shares,
            weights=rng.uniform(0.1, 1.0, count),
            mean=mean,  # type: ignore[arg-type]
            rule=rule,  # type: ignore[arg-type]
        ),
        constraints=(
            LinearRows(
                coefficients=costs, limits=np.array([0.6, 0.8]) * np.maximum(costs, 0.0).sum(axis=1), names=("a", "b")
            ),
        ),
    )


def random_box(rng: np.random.Generator, columns: int) -> tuple[IntArray, IntArray]:
    """Return the corners of a box."""
    fixed = rng.random(columns) < 0.5
    ends = (rng.random(columns) < 0.4).astype(np.int64)
    return np.where(fixed, ends, 0), np.where(fixed, ends, 1)


def best_in(program: MonotonicProgram, lower: IntArray, upper: IntArray) -> float:
    """Return the best feasible point of a box by the definition of the objective; ``-inf`` without one."""
    objective = program.objective
    assert isinstance(objective, GatedMean)
    best = -np.inf
    for point in itertools.product(*[range(a, b + 1) for a, b in zip(lower, upper, strict=True)]):
        x = np.array(point)
        if (program.rows.coefficients @ x > program.row_limits).any():
            continue
        own = objective.shares * x
        if (own.sum(axis=1) <= 0.0).any():
            continue
        if objective.rule == "largest":
            means = objective.values[np.arange(len(own)), own.argmax(axis=1)]
        else:
            means = (own * objective.values).sum(axis=1) / own.sum(axis=1)
        best = max(best, float(objective.weights @ (np.log(means) if objective.mean == "log" else means)))
    return best


@pytest.mark.parametrize("rule", ["proportional", "largest"])
@pytest.mark.parametrize("mean", ["identity", "log"])
def test_no_point_exceeds_the_bound_whatever_the_evidence(mean: str, rule: str) -> None:
    """On 3,000 random boxes, at random touching points and prices, no feasible point is worth more than the bound."""
    rng = np.random.default_rng([mean == "log", rule == "largest"])
    compared = 0
    for _ in range(150):
        program = random_program(rng, mean=mean, rule=rule)
        points = [tuple(rng.random(program.variables).round(2).tolist()) for _ in range(5)]
        evaluate = gated_leaf(program, points)
        for table in range(5):
            lower, upper = random_box(rng, program.variables)
            prices = rng.exponential(0.2, 2) * (rng.random(2) < 0.7)
            leaf = BoxLeaf(method="shares", bound=0.0, table=table, rows=(0, 1), row_prices=tuple(prices.tolist()))
            bound, best = evaluate(leaf, lower, upper), best_in(program, lower, upper)
            exact = evaluate(BoxLeaf(method="vertex", bound=0.0), lower, upper)
            assert (exact is None) == (best == -np.inf)
            if exact is not None:
                assert bound is not None
                assert bound >= best
                assert exact == pytest.approx(best, abs=1e-9)
                compared += 1
    assert compared > 300


@pytest.mark.parametrize("rule", ["proportional", "largest"])
@pytest.mark.parametrize("mean", ["identity", "log"])
def test_search_and_checker_agree_on_the_bound(mean: str, rule: str) -> None:
    """The bound of the search and the one of the checker, written apart, are equal to rounding."""
    rng = np.random.default_rng([7, mean == "log", rule == "largest"])
    compared = 0
    for _ in range(150):
        program = random_program(rng, mean=mean, rule=rule)
        objective, rows = program.objective, Rows(program)
        assert isinstance(objective, GatedMean)
        bounds = GateBounds(objective, rows.matrix, rows.limits)
        margin = certificate.MARGIN * certificate.size(objective)
        box = rows.narrowed(*(corner > 0 for corner in random_box(rng, program.variables)))
        if box is None or not bounds.served[box[1]].any(axis=0).all():
            continue
        parts = bounds.majorants(*box)
        point = rng.random(program.variables).round(2)
        constant, slopes = bounds.touching(parts, point[parts.free])
        coefficients, room = rows.matrix[:, parts.free], rows.limits - rows.matrix @ box[0]
        prices = price_rows(slopes, coefficients, room, np.zeros(2))
        own = constant + priced(slopes, coefficients, room, prices)
        leaf = BoxLeaf(method="shares", bound=0.0, table=0, rows=(0, 1), row_prices=tuple(prices.tolist()))
        shown = gated_leaf(program, [point.tolist()])(leaf, *(corner.astype(np.int64) for corner in box))
        assert shown is not None
        assert abs(shown - margin - own) < 0.5 * margin
        compared += 1
    assert compared > 60


@pytest.mark.parametrize("rule", ["proportional", "largest"])
def test_points_are_worth_what_the_definition_says(rule: str) -> None:
    """The objective of many points at a time is that of each point by its definition."""
    rng = np.random.default_rng(11)
    for _ in range(40):
        program = replace(random_program(rng, mean="log", rule=rule), constraints=())
        objective = program.objective
        assert isinstance(objective, GatedMean)
        bounds = GateBounds(objective, np.zeros((0, program.variables)), np.zeros(0))
        points = rng.random((30, program.variables)) < 0.4
        values = GatePoints(objective, bounds.shares, bounds.ranks).values(points)
        for point, value in zip(points.astype(np.int64), values, strict=True):
            assert value == pytest.approx(best_in(program, point, point), abs=1e-9)


def wide_program() -> MonotonicProgram:
    """Return a gate whose search takes some branching."""
    rng = np.random.default_rng(5)
    values, costs = rng.uniform(0.05, 1.0, (30, 10)), rng.uniform(0.5, 1.5, 10)
    return MonotonicProgram(
        lower=np.zeros(10, dtype=np.int64),
        upper=np.ones(10, dtype=np.int64),
        objective=GatedMean(
            values=values,
            shares=values * np.exp(0.5 * rng.normal(size=values.shape)),
            weights=np.full(30, 1.0 / 30),
            mean="log",
        ),
        constraints=(LinearRows(coefficients=costs[None], limits=np.array([0.4 * costs.sum()]), names=("energy",)),),
    )


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> tuple[MonotonicProgram, BoxProof]:
    """A program and its proof, with priced leaves."""
    monkeypatch.setattr(gated, "SMALL", 4)
    program = wide_program()
    result = search_gated(program)
    assert result.proof is not None
    assert check_boxes(program, result.proof).bound == pytest.approx(result.value, abs=1e-9)
    return program, result.proof


def _with_leaf(proof: BoxProof, index: int, **changes: object) -> BoxProof:
    nodes = list(proof.nodes)
    nodes[index] = msgspec.structs.replace(nodes[index], **changes)
    return msgspec.structs.replace(proof, nodes=tuple(nodes))


def test_tampered_leaves_are_refused(proven: tuple[MonotonicProgram, BoxProof]) -> None:
    """A bound stated too low, another touching point, other prices: each is seen in every leaf where it matters."""
    program, proof = proven
    priced_leaves = [
        (i, node) for i, node in enumerate(proof.nodes) if isinstance(node, BoxLeaf) and node.method == "shares"
    ]
    assert len(priced_leaves) > 20
    moved = 0
    for index, leaf in priced_leaves[:12]:
        assert leaf.bound is not None
        with pytest.raises(CertificateError, match=f"leaf {index} .* re-evaluated"):
            check_boxes(program, _with_leaf(proof, index, bound=leaf.bound - 1e-6))
        with pytest.raises(CertificateError, match="re-evaluated"):
            check_boxes(program, _with_leaf(proof, index, rows=(0,), row_prices=(5.0,)))
        tables = [*proof.prices, (1.0,) * program.variables]
        far = msgspec.structs.replace(_with_leaf(proof, index, table=len(tables) - 1), prices=tuple(tables))
        try:
            check_boxes(program, far)
        except CertificateError as error:
            assert "re-evaluated" in str(error)
            moved += 1
    assert moved > 6
    points = [i for i, node in enumerate(proof.nodes) if isinstance(node, BoxLeaf) and node.method == "vertex"]
    with pytest.raises(CertificateError, match="re-evaluated"):
        check_boxes(program, _with_leaf(proof, points[0], bound=-9.0))


def test_leaves_that_are_no_leaves_get_a_sentence(proven: tuple[MonotonicProgram, BoxProof]) -> None:
    """Every malformed leaf, and every one that claims an empty box wrongly, is refused with its reason."""
    program, _ = proven
    lower, upper = program.lower, program.upper
    evaluate = gated_leaf(program, [(0.5,) * 10, (0.5,) * 9, (1.5,) * 10, (float("nan"),) * 10])
    good = {"method": "shares", "bound": 0.0, "table": 0}
    for changes, message in (
        ({"table": None}, "a list of the proof"),
        ({"table": 4}, "a list of the proof from 0 to 3; found 4"),
        ({"table": 1}, "a number from 0 to 1"),
        ({"table": 2}, "a number from 0 to 1"),
        ({"table": 3}, "a number from 0 to 1"),
        ({"rows": (0,), "row_prices": (-1.0,)}, "finite row prices of at least 0"),
        ({"rows": (0,), "row_prices": (float("nan"),)}, "finite row prices of at least 0"),
        ({"rows": (0,), "row_prices": ()}, "one price for each"),
        ({"rows": (0, 0), "row_prices": (1.0, 1.0)}, "each row once"),
        ({"rows": (1,), "row_prices": (1.0,)}, "one price for each"),
        ({"method": "constraint"}, "a linear row from 0 to 0"),
        ({"method": "constraint", "constraint": 0}, "linear row 0 can hold"),
        ({"method": "unserved", "constraint": 30}, "a row of the objective from 0 to 29"),
        ({"method": "unserved", "constraint": 3}, "row 3 of the objective has a share"),
        ({"method": "gains"}, "none of a deployed gate"),
    ):
        with pytest.raises(CertificateError, match=message):
            evaluate(BoxLeaf(**{**good, **changes}), lower, upper)
    assert evaluate(BoxLeaf(**good), lower, upper) is not None


def test_a_leaf_may_not_ask_for_too_many_points(
    proven: tuple[MonotonicProgram, BoxProof], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box with more feasible points than the checker evaluates is refused."""
    program, _ = proven
    monkeypatch.setattr(certificate, "MOST_POINTS", 20)
    with pytest.raises(CertificateError, match="at most 20 feasible points"):
        gated_leaf(program)(BoxLeaf(method="vertex", bound=0.0), program.lower, program.upper)


def test_empty_boxes_are_seen() -> None:
    """A row of the objective without a share, and a linear row that cannot hold, empty a box."""
    gate = GatedMean(values=np.ones((2, 2)), shares=np.array([[1.0, 1.0], [0.0, 1.0]]), weights=np.ones(2))
    rows = LinearRows(coefficients=np.array([[1.0, -1.0]]), limits=np.array([-1.0]), names=("second",))
    program = MonotonicProgram(
        lower=np.zeros(2, dtype=np.int64), upper=np.ones(2, dtype=np.int64), objective=gate, constraints=(rows,)
    )
    evaluate = gated_leaf(program)
    first = np.array([1, 0])
    assert evaluate(BoxLeaf(method="constraint", constraint=0), first, first) is None
    assert evaluate(BoxLeaf(method="vertex"), first, first) is None
    free = gated_leaf(replace(program, constraints=()))
    assert free(BoxLeaf(method="unserved", constraint=1), first, first) is None
    with pytest.raises(CertificateError, match="row 0"):
        free(BoxLeaf(method="unserved", constraint=0), first, first)


def test_another_program_is_refused() -> None:
    """The leaves are those of a gate with linear rows."""
    box = {"lower": np.zeros(2, dtype=np.int64), "upper": np.ones(2, dtype=np.int64)}
    with pytest.raises(CertificateError, match="deployed gate"):
        gated_leaf(MonotonicProgram(**box, objective=FacilityLocation(values=np.ones((1, 2)), weights=np.ones(1))))
