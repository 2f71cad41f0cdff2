"""The plan of a split: decision, what it does to a request, and a certificate that a third party can check."""

from __future__ import annotations

from typing import Literal

from coinfer.models.split.decision import SplitDecision
from coinfer.models.split.evaluate import SplitFigures
from coinfer.planner.claims import FORMAT, Claim
from coinfer.records import Document, Record
from coinfer.solver.certificate.path import PathProof

RECOMPUTED_SPLIT = (
    Claim(what="feasibility", standing="verified", method="every limit re-computed from the problem"),
    Claim(what="objective", standing="verified", method="re-computed from the problem's times and links"),
)
"""What planner and checker both derive from the problem alone, whatever the engine says."""
PATH_METHOD = "prices and potentials, every arc of the layers re-computed"


class SplitCertificate(Record, frozen=True, kw_only=True):
    """How good the split is, and the evidence.

    Attributes
    ----------
    status
        ``optimal`` or ``feasible`` (a limit was hit; the gap says how far the optimum can be).
    value
        Objective of the decision in seconds, lower is better.
    claims
        What was re-checked and what is only claimed.
    bound
        No split has a lower objective; ``claims`` says whether that was re-checked; absent when there is none.
    verified_bound
        The bound that ``proof`` shows; absent without a proof.
    limit
        What ended the search: ``time``, ``nodes``, ``interrupt``, ``gap`` or ``other``; absent for an optimal plan.
    proof
        Numbers from which the bound is re-derived without a solver.
    """

    status: Literal["optimal", "feasible"]
    value: float
    claims: tuple[Claim, ...]
    bound: float | None = None
    verified_bound: float | None = None
    limit: str | None = None
    proof: PathProof | None = None


class SplitPlan(Document, frozen=True, kw_only=True, tag_field="kind", tag="split"):
    """A split of layers over devices, with its certificate.

    Attributes
    ----------
    problem, problem_sha256
        Name of the problem, and the hash of its canonical form.
    decision
        Which device computes which layers.
    certificate
        How good it is, and the evidence.
    figures
        What the split does to a request and to each device.
    engine
        What found the decision.
    seconds
        Wall-clock time of the search and of the proof.
    coinfer_version
        Version that wrote the plan.
    """

    file_format = FORMAT

    problem: str
    problem_sha256: str
    decision: SplitDecision
    certificate: SplitCertificate
    figures: SplitFigures
    engine: str
    seconds: float
    coinfer_version: str
