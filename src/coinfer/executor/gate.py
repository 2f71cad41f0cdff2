"""A trained gate at work: the texts it learns from, and what it says of the requests of a run."""

from __future__ import annotations

from collections.abc import Sequence

from coinfer.errors import Plain, PlanMismatch, RequestError
from coinfer.executor.request import Request
from coinfer.models.selection.data import SelectionProblem
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.gate import Gate
from coinfer.planner.selection.document import SelectionPlan


def request_scores(gate: Gate, plan: SelectionPlan, requests: Sequence[Request]) -> dict[str, dict[str, float]]:
    """Return, by id of a request, what the gate says of each selected expert; higher is better.

    Raises
    ------
    PlanMismatch
        If the plan decides something other than a selection, or selects an expert that the gate does not know.
    BackendMissing, InputError
        If the gate's encoder is not installed, or is not the one of its training.
    """
    decision = plan.decision
    if not isinstance(decision, SelectionDecision):
        raise PlanMismatch(f"the plan of {plan.problem!r} selects no experts, so a gate has nothing to choose from")
    column = {name: n for n, name in enumerate(gate.experts)}
    experts = dict.fromkeys([*decision.selected, *(name for names in decision.preference.values() for name in names)])
    for expert in experts:
        if expert not in column:
            raise PlanMismatch(
                f"the gate does not know expert {expert!r}, which the plan selects; it was trained for "
                f"{', '.join(gate.experts)}"
            )
    table = gate.scores([request.prompt for request in requests])
    return {
        request.id: {expert: float(row[column[expert]]) for expert in experts}
        for request, row in zip(requests, table, strict=True)
    }


def calibration_texts(problem: SelectionProblem, requests: Sequence[Request]) -> list[str]:
    """Return the texts of the problem's prompts, in its order, from the requests with their names as ids.

    Raises
    ------
    RequestError
        If a prompt has no text, or its category is another one there.
    """
    known = {request.id: request for request in requests}
    texts = []
    for prompt in problem.prompts:
        found = known.get(prompt.name)
        if found is None:
            expected = f"a request with id {prompt.name!r}, since the problem has this prompt"
            raise RequestError("texts", expected=expected, found=Plain("none"))
        if found.category != prompt.category:
            where = f"texts: request {prompt.name!r}: category"
            raise RequestError(where, expected=f"{prompt.category!r}, as in the problem", found=found.category)
        texts.append(found.prompt)
    return texts
