"""Placements through plan and verify: best of all where that is claimed, and no false claim is accepted."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import arrayfile, jsonfile
from coinfer.errors import CertificateError, CoinferError, Infeasible, InputError, PlanMismatch
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import copies, evaluate
from coinfer.models.placement.formulate import contiguous, slots_of
from coinfer.models.placement.parts import LinkCost, LoadCap, Place, PlacementDevice, Running, Shrinkage
from coinfer.planner.make import plan
from coinfer.planner.placement.document import PlacementPlan
from coinfer.planner.placement.replan import replan_placement
from coinfer.planner.plan import read_plan
from coinfer.planner.report import build_placement
from coinfer.planner.verify import verify
from coinfer.profiler.trace import RoutingCounts
from coinfer.records import Matrix
from coinfer.solver.limits import Limits
from coinfer.testing.placement import placement_problem


def every_placement(problem: PlacementProblem) -> float:
    """Return the least value of all placements with one copy of each expert, looked at one by one."""
    room = problem.device_slots
    rows = [
        row
        for row in itertools.product(range(len(room)), repeat=problem.experts)
        if all(row.count(g) <= room[g] for g in range(len(room)))
    ]
    best = np.inf
    for part in itertools.product(rows, repeat=problem.layers):
        decision = PlacementDecision(slots=slots_of(np.array(part), problem))
        found = evaluate(problem, decision)
        if not found.violations:
            best = min(best, found.value)
    return best


@st.composite
def options(draw: st.DrawFn) -> dict[str, object]:
    """Draw what a problem may have beside its counts."""
    made: dict[str, object] = {"objective": draw(st.sampled_from(["transitions", "transitions", "fan_out"]))}
    if draw(st.booleans()):
        made["load_cap"] = LoadCap(imbalance=draw(st.sampled_from([1.0, 1.1, 1.3, 1.8])), over="worst_layer")
    elif made["objective"] == "transitions" and draw(st.booleans()):
        made["load_cap"] = LoadCap(imbalance=draw(st.sampled_from([1.05, 1.2])), over="mean")
    if draw(st.booleans()):
        made["pinned"] = (Place(layer=0, expert=draw(st.integers(0, 3)), device="gpu1"),)
    if draw(st.booleans()):
        made["forbidden"] = (Place(layer=1, expert=draw(st.integers(0, 3)), device="gpu0"),)
    if draw(st.booleans()):
        made["link_cost"] = LinkCost(within_node=2.0, between_nodes=5.0)
    if draw(st.booleans()):
        made["devices"] = (PlacementDevice(name="gpu0", slots=3), PlacementDevice(name="gpu1", slots=2))
    elif draw(st.booleans()):
        slots = Matrix(np.tile(draw(st.permutations(range(4))), (3, 1)))
        made["running"] = Running(slots=slots, migration_cost=draw(st.sampled_from([0.0, 3.0])))
    if made["objective"] == "transitions" and draw(st.booleans()):
        made["shrinkage"] = Shrinkage(strength=draw(st.sampled_from([0.0, 4.0])))
    return made


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), more=options())
def test_a_plan_is_the_best_of_all_placements_where_it_says_so(seed: int, more: dict[str, object]) -> None:
    """Value and bound enclose the enumerated optimum, an optimal plan equals it, and verify derives the same."""
    problem = placement_problem(seed, **more)
    best = every_placement(problem)
    try:
        made = plan(problem, limits=Limits(time_s=1.0))
    except Infeasible:
        assert np.isinf(best)
        return
    except CoinferError:
        return  # a limit was reached; nothing is claimed
    certificate = made.certificate
    assert certificate.bound is not None
    assert certificate.bound <= best + 1e-9
    assert certificate.value >= best - 1e-9
    if certificate.status == "optimal":
        assert certificate.value == pytest.approx(best, rel=1e-6, abs=1e-9)
    checked = verify(problem, made)
    assert checked.value == certificate.value
    assert checked.bound is not None
    assert checked.bound <= best + 1e-9


@settings(max_examples=6)
@given(seed=st.integers(0, 1000), dispatch=st.sampled_from(["split", "local"]), cap=st.sampled_from([None, 1.3]))
def test_plans_with_replicas_hold_and_their_bound_is_below_any_placement(
    seed: int, dispatch: str, cap: float | None
) -> None:
    """Whatever copies are placed by hand, none is worth less than the bound of the plan."""
    load_cap = None if cap is None else LoadCap(imbalance=cap, over="worst_layer")
    problem = placement_problem(seed, replicas=2, dispatch=dispatch, load_cap=load_cap)
    try:
        made = plan(problem, limits=Limits(time_s=1.0))
    except CoinferError:
        return
    checked = verify(problem, made)
    random = np.random.default_rng(seed)
    bound = checked.bound or 0.0
    for _ in range(30):
        slots = tuple(
            tuple(int(e) for side in (0, 1) for e in [*row[2 * side : 2 * side + 2], row[(2 * side + 2) % 4]])
            for row in (random.permutation(4) for _ in range(3))
        )
        decision = PlacementDecision(slots=slots)
        found = evaluate(problem, decision)
        if not found.violations:
            assert bound <= found.value + 1e-9


def test_the_objective_imbalance_is_planned_from_loads_alone() -> None:
    """Without transitions the loads are evened out, and the bound follows from the loads."""
    problem = placement_problem(objective="imbalance", transitions=None, heldout=None, token_sets=None, replicas=2)
    made = plan(problem)
    checked = verify(problem, made)
    assert checked.bound is not None
    assert 1.0 <= checked.bound <= made.certificate.value <= made.contiguous_fit.imbalance_mean + 1e-9


def test_engines_agree(problem: PlacementProblem) -> None:
    """The dynamic program, the search and HiGHS on ExFlow's program find the same value."""
    values = {
        engine: plan(problem, engine=engine, limits=Limits(time_s=20.0)) for engine in ("chain", "search", "highs")
    }
    assert len({round(made.certificate.value, 9) for made in values.values()}) == 1
    with pytest.raises(InputError, match="engine"):
        plan(problem, engine="monotonic")


def test_a_plan_survives_its_file(problem: PlacementProblem, tmp_path: Path) -> None:
    """Written with its arrays beside it and read back, the plan is the same and verifies."""
    made = plan(problem, engine="search", limits=Limits(time_s=1.5))
    for most in (0, 10**6):
        arrayfile.write(tmp_path / "plan.json", made, most_inline=most)
        again = read_plan(tmp_path / "plan.json")
        assert verify(problem, again).value == made.certificate.value
        arrayfile.write(tmp_path / "problem.json", problem, most_inline=most)
        assert jsonfile.read(tmp_path / "problem.json", PlacementProblem, format_name="coinfer/problem/1") == problem


@pytest.fixture(scope="module")
def made() -> PlacementPlan:
    """A proven plan."""
    return plan(placement_problem())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": 0.01}, "certificate.value"),
        ({"bound": 0.9}, "certificate.bound"),
        ({"verified_bound": 0.9}, "certificate.verified_bound"),
        ({"verified_bound": None}, "certificate.verified_bound"),
        ({"status": "feasible"}, "certificate.status"),
        ({"limit": "time"}, "certificate.limit"),
        ({"claims": ()}, "certificate.claims"),
        ({"proof": None}, "certificate"),
    ],
)
def test_false_certificates_are_refused(
    problem: PlacementProblem, made: PlacementPlan, change: dict[str, object], words: str
) -> None:
    """A changed value, bound, status, limit, claim or proof is refused by a sentence that names it."""
    wrong = msgspec.structs.replace(made, certificate=msgspec.structs.replace(made.certificate, **change))
    with pytest.raises(CertificateError, match=words):
        verify(problem, wrong)


def test_false_figures_are_refused(problem: PlacementProblem, made: PlacementPlan) -> None:
    """Scores that the decision does not have, another decision, and another problem are refused."""
    better = msgspec.structs.replace(made.fit, crossing=0.0)
    for wrong, words in (
        (msgspec.structs.replace(made, fit=better), "fit.crossing"),
        (msgspec.structs.replace(made, heldout=None), "heldout"),
        (msgspec.structs.replace(made, contiguous_fit=made.fit), "contiguous_fit"),
        (msgspec.structs.replace(made, moved=3), "moved"),
        (msgspec.structs.replace(made, decision=PlacementDecision(slots=((0, 1, 2, 3),) * 2)), "decision.slots"),
        (msgspec.structs.replace(made, decision=PlacementDecision(slots=((0, 1, 2, 2),) * 3)), "feasibility"),
        (msgspec.structs.replace(made, decision=PlacementDecision(slots=((0, 1, 2, 9),) * 3)), "decision.slots"),
    ):
        with pytest.raises(CertificateError, match=words):
            verify(problem, wrong)
    with pytest.raises(PlanMismatch):
        verify(placement_problem(1), made)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"top_k": 9}, "top_k"),
        ({"devices": ()}, "devices"),
        ({"devices": tuple(PlacementDevice(name=f"g{i}") for i in range(3))}, "divides"),
        ({"devices": (PlacementDevice(name="a", memory_bytes=1), PlacementDevice(name="b"))}, "expert_bytes"),
        ({"transitions": Matrix(np.zeros((3, 4)))}, "transitions"),
        ({"transitions": Matrix(-np.ones((8, 4)))}, "a count"),
        ({"transitions": None}, "transitions"),
        ({"objective": "fan_out", "token_sets": None}, "token_sets"),
        ({"objective": "fan_out", "replicas": 2}, "replicas"),
        ({"token_sets": Matrix([[0.0, 1.0, 2.0, 2.0]])}, "differ"),
        ({"cost_matrix": Matrix([[0.0, 1.0], [2.0, 0.0]])}, "symmetric"),
        ({"pinned": (Place(layer=0, expert=9, device="gpu0"),)}, "expert"),
        ({"forbidden": (Place(layer=0, expert=0, device="gpu7"),)}, "device"),
        ({"running": Running(slots=Matrix(np.zeros((3, 3))), migration_cost=0.0)}, "running.slots"),
        ({"layer_ids": (2, 1, 0), "model_layers": 3}, "layer_ids"),
        ({"shrinkage": Shrinkage(strength=1.0, toward="other_choices")}, "prior"),
    ],
)
def test_problems_that_mean_nothing_are_refused(more: dict[str, object], words: str) -> None:
    """Each field that does not fit the others is refused by a sentence that names it."""
    with pytest.raises(CoinferError, match=words):
        placement_problem(**more)


def test_an_impossible_cap_is_explained() -> None:
    """Where one expert alone breaks the load cap, the plan says so."""
    loads = np.ones((3, 4))
    loads[1, 2] = 100.0
    problem = placement_problem(loads=Matrix(loads), load_cap=LoadCap(imbalance=1.1, over="worst_layer"))
    with pytest.raises(Infeasible, match="layer 1"):
        plan(problem)


def test_replanning_moves_less_where_moving_costs_more() -> None:
    """With a high migration cost the old placement stays; without one the new counts decide."""
    problem, other = placement_problem(3), placement_problem(4)
    old = plan(problem)
    assert other.transitions is not None
    counts = RoutingCounts(
        layers=3,
        experts=4,
        top_k=2,
        tokens=25,
        loads=other.loads.array.astype(np.int64),
        transitions=other.transitions.array.astype(np.int64).reshape(2, 4, 4),
    )
    free, dear = (replan_placement(problem, old, counts=counts, migration_cost=cost) for cost in (0.0, 1e6))
    assert dear.plan.moved == 0
    assert not dear.changed
    assert free.plan.certificate.value <= free.previous.value
    assert verify(free.problem, free.plan).proven
    with pytest.raises(PlanMismatch, match="layers"):
        replan_placement(problem, old, counts=of_two_layers(counts))


def of_two_layers(counts: RoutingCounts) -> RoutingCounts:
    """Return counts of a model with other layers."""
    return RoutingCounts(
        layers=2, experts=4, top_k=2, tokens=1, loads=counts.loads[:2], transitions=np.zeros((1, 4, 4), dtype=np.int64)
    )


def test_contiguous_placements_keep_the_slots() -> None:
    """Experts in order fill the devices evenly, whatever spare room there is."""
    for sizes in ((2, 2), (3, 2), (4, 4)):
        devices = tuple(PlacementDevice(name=f"g{i}", slots=size) for i, size in enumerate(sizes))
        problem = placement_problem(devices=devices)
        decision = PlacementDecision(slots=contiguous(problem))
        assert evaluate(problem, decision).violations == ()
        assert copies(problem, decision).held.sum() == 12


@pytest.mark.parametrize("more", [{}, {"objective": "fan_out"}, {"replicas": 2}])
def test_the_page_shows_what_the_plan_knows(more: dict[str, object]) -> None:
    """The report holds every section, no script and no address, and says the crossing of the plan."""
    problem = placement_problem(**more)
    found = plan(problem, limits=Limits(time_s=1.5))
    page = build_placement(problem=problem, plan=found)
    for words in ("Crossings by layer", "Affinity, reordered by device", "Load by device", "What is proven"):
        assert words in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert build_placement(problem=problem, plan=found) == page
