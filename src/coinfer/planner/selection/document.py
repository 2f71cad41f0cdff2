"""The plan of a selection: decision, predictions, and a certificate that a third party can check."""

from __future__ import annotations

from typing import Literal

import msgspec

from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.decision import SelectionDecision
from coinfer.models.selection.gate_report import GateReport
from coinfer.planner.claims import FORMAT, Claim
from coinfer.records import Document, Record
from coinfer.solver.certificate.boxes import BoxProof
from coinfer.solver.certificate.tree import BoundProof


class Certificate(Record, frozen=True, kw_only=True):
    """How good the decision is, and the evidence.

    Attributes
    ----------
    status
        ``optimal`` or ``feasible`` (a limit was hit; the gap says how far the optimum can be).
    value
        What the decision is worth, in the user's sense (for selection: mean quality, higher is better).
    bound
        No decision is worth more; ``claims`` says whether that was re-checked; absent when there is none.
    verified_bound
        The bound that ``proof`` shows; weaker than ``bound`` where the proof ran into a limit.
    limit
        What ended the search before the optimum was shown: ``time``, ``nodes``, ``interrupt``, ``gap`` (the gap asked
        for was reached) or ``other``; absent for an optimal plan.
    claims
        What was re-checked and what is only claimed.
    proof
        Branch-and-bound tree with linear-programming duals, from which the bound is re-derived without a solver;
        absent when the bound is only claimed, or shown by ``leaves``.
    leaves
        The same for a monotonic search: its boxes, each with the reason why nothing better is in it.
    """

    status: Literal["optimal", "feasible"]
    value: float
    claims: tuple[Claim, ...]
    bound: float | None = None
    verified_bound: float | None = None
    limit: str | None = None
    proof: BoundProof | None = None
    leaves: BoxProof | None = None


class Prediction(Record, frozen=True, kw_only=True):
    """What the plan expects to be measured.

    Attributes
    ----------
    quantity
        ``quality`` (mean, in the user's unit), ``latency_s`` (of the problem's statistic), ``energy_j`` (mean per
        request), ``price_usd`` (mean per request) or ``memory_bytes`` (of one device).
    category
        Category it holds for; absent: the whole workload (or the device named).
    device
        Device it holds for; only with ``memory_bytes``.
    value
        Expected value.
    low, high
        Interval carried over from the profile; absent when the problem carried bare numbers.
    budget
        The limit it must keep; absent without one.
    basis
        ``measured``, ``published``, ``declared`` (a power figure times a time) or ``derived``; the weakest part.
    """

    quantity: Literal["quality", "latency_s", "energy_j", "price_usd", "memory_bytes"]
    value: float
    category: str | None = None
    device: str | None = None
    low: float | None = None
    high: float | None = None
    budget: float | None = None
    basis: str | None = None


class Deployment(Record, frozen=True, kw_only=True):
    """A selected expert and how it is reached."""

    expert: str
    device: str
    endpoint: Endpoint | None = None


class SelectionPlan(Document, frozen=True, kw_only=True, tag_field="kind", tag="selection"):
    """A decision with its certificate.

    Attributes
    ----------
    problem
        Name of the problem.
    problem_sha256
        Hash of the problem's canonical form: the plan fits this problem and no other.
    profile_sha256
        Hash of the profile the problem was assembled from; absent when the problem carried its own numbers.
    decision
        What to do.
    certificate
        How good it is, and the evidence.
    predictions
        What is expected to be measured.
    deployments
        The selected experts and their endpoints.
    alternatives
        What the same selection is worth to other routers, side by side: ``oracle`` and ``category``, and ``gate``
        where the problem has the scores of a gate.
    gate_report
        How good the gate behind the problem's scores is: its regret over subsets of the experts, measured when it was
        trained; absent where the problem has none. ``verify`` only compares it with the problem.
    notes
        Options that left the menu before planning, each with its reason, and what else a reader should know.
    engine
        Engine and version that found the decision.
    seconds
        Wall-clock time of the search and of the proof.
    coinfer_version
        Version that wrote the plan.
    """

    file_format = FORMAT

    problem: str
    problem_sha256: str
    decision: SelectionDecision
    certificate: Certificate
    predictions: tuple[Prediction, ...]
    deployments: tuple[Deployment, ...]
    engine: str
    seconds: float
    coinfer_version: str
    profile_sha256: str | None = None
    alternatives: dict[str, float] = msgspec.field(default_factory=dict)
    gate_report: GateReport | None = None
    notes: tuple[str, ...] = ()
