"""A plan whose leaves were changed is refused by a sentence, and no change makes the leaves show what is not true."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer import jsonfile
from coinfer.errors import CertificateError, CoinferError, PlanMismatch
from coinfer.models.selection.data import Gate, SelectionProblem
from coinfer.planner.claims import Verification
from coinfer.planner.make import plan
from coinfer.planner.selection.document import SelectionPlan
from coinfer.planner.verify import verify
from coinfer.records import Matrix

Large = Callable[..., SelectionProblem]
Change = Callable[[dict[str, Any]], None]
LEAF = r"leaf \d+ \((variable \d+ [<>]= \d|the whole box)"


def written(made: SelectionPlan) -> dict[str, Any]:
    """The plan as its file has it."""
    data: dict[str, Any] = json.loads(json.dumps(jsonfile.to_builtins(made)))
    del data["format"]
    return data


def checked(problem: SelectionProblem, data: dict[str, Any]) -> Verification:
    """Read a plan file and verify it."""
    return verify(problem, jsonfile.convert(data, SelectionPlan, where="plan.json"))


def leaves(data: dict[str, Any]) -> Any:
    return data["certificate"]["leaves"]


def first(data: dict[str, Any], method: str) -> Any:
    """The first leaf of a method that prices rows, where it prices any."""
    found = [node for node in leaves(data)["nodes"] if node.get("method") == method]
    return max(found, key=lambda node: len(node.get("rows", ())))


def dropped(data: dict[str, Any]) -> None:
    leaves(data)["nodes"].pop()


def assignment_price(data: dict[str, Any]) -> None:
    leaves(data)["prices"][first(data, "prices").get("table", 0)][0] += 5.0


def row_price(data: dict[str, Any]) -> None:
    first(data, "prices")["row_prices"][0] += 5.0


def touching_point(data: dict[str, Any]) -> None:
    leaves(data)["prices"][first(data, "shares").get("table", 0)].pop()


def negative_price(data: dict[str, Any]) -> None:
    leaves(data)["prices"][first(data, "prices").get("table", 0)][0] = -0.25


def negative_row_price(data: dict[str, Any]) -> None:
    first(data, "prices")["row_prices"][0] = -0.25


def branch_value(data: dict[str, Any]) -> None:
    """Put all of a box below a branch, and nothing above."""
    next(node for node in leaves(data)["nodes"] if node["node"] == "branch")["value"] = 1


def appended(data: dict[str, Any]) -> None:
    leaves(data)["nodes"].append({"node": "box", "method": "constraint", "constraint": 0})


def emptied(data: dict[str, Any]) -> None:
    """Say that the last of the constraints, the one on the mean energy, leaves nothing in a box that holds points."""
    leaf = first(data, "mixed")
    last = max(node["constraint"] for node in leaves(data)["nodes"] if node.get("method") == "constraint")
    leaf.update(method="constraint", constraint=last)


def leaf_bound(method: str) -> Change:
    def lower(data: dict[str, Any]) -> None:
        first(data, method)["bound"] -= 0.01

    return lower


def verified_bound(data: dict[str, Any]) -> None:
    data["certificate"]["verified_bound"] -= 1e-6


def children(data: dict[str, Any]) -> None:
    for node in leaves(data)["nodes"]:
        if node["node"] == "branch":
            node["below"], node["above"] = node["above"], node["below"]
            return


def method(old: str, new: str) -> Change:
    def replace(data: dict[str, Any]) -> None:
        first(data, old)["method"] = new

    return replace


FREE = [
    (branch_value, r"branch 0: expected a value that splits 0 to 1; found 1"),
    (appended, r"proof: 1 of \d+ nodes hang on no branch"),
    (negative_price, LEAF + r".*: prices \d+: expected a finite number of at least 0"),
    (negative_row_price, LEAF + r".*: expected finite row prices of at least 0"),
    (dropped, r"branch \d+: expected two children behind it"),
    (assignment_price, LEAF + r".*: states a bound of"),
    (row_price, LEAF + r".*: states a bound of"),
    (leaf_bound("prices"), LEAF + r".*: states a bound of"),
    (verified_bound, r"certificate.verified_bound: the plan says .*, at leaf \d+"),
    (children, LEAF),
    (method("prices", "vertex"), LEAF + r".*: states a bound of"),
    (method("prices", "mixed"), LEAF + r".*: the method 'mixed' is none of a facility location"),
    (method("prices", "constraint"), LEAF + r".*: the linear rows .* can hold in the box"),
    (method("constraint", "prices"), LEAF),
]
GATED = [
    (dropped, r"branch \d+: expected two children behind it"),
    (leaf_bound("shares"), LEAF + r".*: states a bound of"),
    (leaf_bound("vertex"), LEAF + r".*: states a bound of"),
    (children, LEAF),
    (method("shares", "mixed"), LEAF + r".*: states a bound of"),
    (method("vertex", "constraint"), LEAF),
    (touching_point, LEAF + r".*: expected"),
]
WIDE = {"kept": 6, "memory_bytes": 70}
LIMITED = [
    (emptied, LEAF + r".*: constraint \d+ \(energy\) can hold in its box"),
    (dropped, r"branch \d+: expected two children behind it"),
    (leaf_bound("mixed"), LEAF + r".*: states a bound of"),
    (verified_bound, r"certificate.verified_bound: the plan says .*, at leaf \d+"),
    (children, LEAF),
    (method("mixed", "constraint"), LEAF + r".*: expected a constraint from 0"),
    (method("mixed", "prices"), LEAF + r".*: prices is no method for GatedMean"),
    (method("constraint", "mixed"), LEAF + r".*: expected a box that its method shows to be empty"),
    (method("constraint", "unserved"), LEAF + r".*: (expected a|row \d+ of the objective)"),
]


@pytest.mark.parametrize(
    ("gate", "limits", "sizes", "change", "sentence"),
    [("oracle", {}, (12, 40), *case) for case in FREE]
    + [("softmax", {"energy_j": 3.5}, (12, 40), *case) for case in LIMITED]
    + [(gate, WIDE, (22, 10), *case) for case in GATED for gate in ("softmax", "top_1")],
)
def test_a_changed_proof_is_refused(
    gate: Gate, limits: dict[str, Any], sizes: tuple[int, int], change: Change, sentence: str, large_problem: Large
) -> None:
    """Each change is refused by one sentence, which names the leaf wherever one is at fault."""
    problem = large_problem(gate=gate, experts=sizes[0], prompts=sizes[1], **limits)
    data = written(plan(problem))
    assert checked(problem, data).proven
    change(data)
    with pytest.raises(CertificateError, match=sentence) as caught:
        checked(problem, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("gate", "limits"), [("oracle", {}), ("softmax", {"energy_j": 3.5})])
def test_the_proof_of_another_problem_is_refused(gate: Gate, limits: dict[str, float], large_problem: Large) -> None:
    """Leaves of a like problem do not show anything of this one."""
    problem = large_problem(gate=gate, seed=0, **limits)
    data, other = written(plan(problem)), written(plan(large_problem(gate=gate, seed=2, **limits)))
    data["certificate"]["leaves"] = other["certificate"]["leaves"]
    with pytest.raises(CertificateError, match=LEAF):
        checked(problem, data)


@pytest.mark.parametrize("selected", [False, True])
def test_a_changed_quality_is_noticed(selected: bool, large_problem: Large) -> None:
    """The hash shows that a value was changed; with the hash of the new problem, the value or a leaf does."""
    problem = large_problem()
    made = plan(problem)
    if selected:
        name, more = next(route.expert for route in made.decision.routes if route.prompt == "p0"), -1e-4
    else:  # so much that another selection becomes the best one
        name, more = next(e.name for e in problem.experts if e.name not in made.decision.selected), 50.0
    table = problem.quality.array.copy()
    table[0, [expert.name for expert in problem.experts].index(name)] += more
    changed = msgspec.structs.replace(problem, quality=Matrix(table))
    data = written(made)
    with pytest.raises(PlanMismatch, match="another problem"):
        checked(changed, data)
    data["problem_sha256"] = jsonfile.sha256(changed)
    with pytest.raises(CertificateError, match="certificate.value" if selected else LEAF) as caught:
        checked(changed, data)
    assert "\n" not in str(caught.value)


def test_two_proofs_are_one_too_many(large_problem: Large) -> None:
    """A certificate with a tree of duals and leaves is refused, whatever each of them shows."""
    problem = large_problem()
    data, other = written(plan(problem)), written(plan(problem, engine="highs"))
    data["certificate"]["proof"] = other["certificate"]["proof"]
    with pytest.raises(CertificateError, match="expected one proof; found two"):
        checked(problem, data)


def test_leaves_prove_nothing_where_the_routing_is_coupled(large_problem: Large) -> None:
    """A problem without a monotonic program has no use for leaves, and the sentence says why."""
    problem = large_problem(energy_j=3.5)
    data = written(plan(problem))
    data["certificate"].update(proof=None, leaves=written(plan(large_problem()))["certificate"]["leaves"])
    with pytest.raises(CertificateError, match=r"no monotonic program: budgets.energy_j limits a mean"):
        checked(problem, data)


NUMBERS = [0, 1, -1, 2, 3, 7, 60, 2**31, 2**62, 2**63, -(2**63), 10**30, 0.5, 1e-9, 1e150, 1e300, -1e300, 1.7e308]
JUNK = [None, True, "", "x", [], {}, [0], [1.0], [1e308], "branch", "box"]
METHODS = ["constraint", "unserved", "vertex", "gains", "prices", "mixed", "shares"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place below a JSON value; of lists of numbers, only the first three."""
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if isinstance(value, list) and value and not isinstance(value[0], dict | list):
        keys = range(min(3, len(value)))
    return [(*path, key) for key in keys] + [p for key in keys for p in places(value[key], (*path, key))]


def mutate(draw: Any, root: Any) -> None:
    """Change one place: another value of the same kind, anything, nothing, or two places swapped."""
    path = draw(st.sampled_from(places(root)))
    holder = root
    for key in path[:-1]:
        holder = holder[key]
    key, kind = path[-1], draw(st.sampled_from(["like", "like", "like", "junk", "drop", "swap", "twice"]))
    old = holder[key]
    if kind == "like" and isinstance(old, str):
        holder[key] = draw(st.sampled_from(METHODS))
    elif kind == "like" and isinstance(old, int | float):
        holder[key] = draw(st.sampled_from([old + 1, old - 1, -old, old * 0.5, old * 2, old * 1.0001, *NUMBERS]))
    elif kind == "drop":
        del holder[key]
    elif kind in {"swap", "twice"} and isinstance(holder, list):
        other = draw(st.integers(0, len(holder) - 1))
        if kind == "swap":
            holder[key], holder[other] = holder[other], old
        else:
            holder.insert(other, copy.deepcopy(old))
    else:
        holder[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))


@pytest.fixture(scope="module")
def plans(large_problem: Large) -> list[tuple[SelectionProblem, float, dict[str, Any]]]:
    """Problems with their optimum and a plan file that claims no more than its leaves will show."""
    found = []
    for gate, limits, sizes in (
        ("oracle", {}, (12, 40)),
        ("softmax", {"energy_j": 3.5}, (8, 6)),
        ("top_1", {"energy_j": 3.5}, (8, 6)),
        ("softmax", WIDE, (22, 10)),
    ):
        problem = large_problem(gate=gate, experts=sizes[0], prompts=sizes[1], **limits)
        made = plan(problem, engine="monotonic")
        data = written(made)
        data["certificate"].update(bound=1e9, verified_bound=1e9, status="feasible", limit="other")
        found.append((problem, made.certificate.value, data))
    return found


@given(data=st.data(), which=st.integers(0, 3), changes=st.integers(1, 3))
@settings(max_examples=500)
def test_no_change_makes_the_leaves_show_what_is_not_true(
    data: st.DataObject, which: int, changes: int, plans: list[tuple[SelectionProblem, float, dict[str, Any]]]
) -> None:
    """Whatever is done to the leaves: a sentence, or a bound that the optimum keeps."""
    problem, truth, original = plans[which]
    changed = copy.deepcopy(original)
    for _ in range(changes):
        if places(leaves(changed)):
            mutate(data.draw, leaves(changed))
    try:
        shown = checked(problem, changed).bound
    except CoinferError as error:
        assert "\n" not in str(error)
        return
    assert shown is not None
    assert shown >= truth - 1e-12
