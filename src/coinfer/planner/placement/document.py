"""The plan of a placement: decision, what it does to the tokens, and a certificate that a third party can check."""

from __future__ import annotations

from typing import Literal

from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import PlacementScores
from coinfer.planner.claims import FORMAT, Claim
from coinfer.records import Document, Record
from coinfer.solver.certificate.chain import ChainProof
from coinfer.solver.certificate.fan_out import FanOutProof
from coinfer.solver.certificate.levels import LevelProof
from coinfer.solver.certificate.matching import MatchingProof

PlacementProof = ChainProof | MatchingProof | LevelProof | FanOutProof

RECOMPUTED_PLACEMENT = (
    Claim(what="feasibility", standing="verified", method="every limit re-computed from the problem"),
    Claim(what="objective", standing="verified", method="re-computed from the problem's counts"),
)
"""What planner and checker both derive from the problem alone, whatever the engine says."""


class Moment(Record, frozen=True, kw_only=True):
    """What was known at one moment of the search: objective of the best placement, and the bound; absent: none yet."""

    seconds: float
    value: float | None = None
    bound: float | None = None


class PlacementCertificate(Record, frozen=True, kw_only=True):
    """How good the placement is, and the evidence.

    Attributes
    ----------
    status
        ``optimal`` or ``feasible`` (a limit was hit; the gap says how far the optimum can be).
    value
        Objective of the decision, lower is better.
    bound
        No decision has a lower objective; ``claims`` says whether that was re-checked; absent when there is none.
    verified_bound
        The bound that ``proof`` shows; absent without a proof.
    limit
        What ended the search: ``time``, ``nodes``, ``interrupt``, ``gap`` or ``other``; absent for an optimal plan.
    claims
        What was re-checked and what is only claimed.
    proof
        Numbers from which the bound is re-derived without a solver.
    """

    status: Literal["optimal", "feasible"]
    value: float
    claims: tuple[Claim, ...]
    bound: float | None = None
    verified_bound: float | None = None
    limit: str | None = None
    proof: PlacementProof | None = None


class PlacementPlan(Document, frozen=True, kw_only=True, tag_field="kind", tag="placement"):
    """A placement with its certificate.

    Attributes
    ----------
    problem, problem_sha256
        Name of the problem, and the hash of its canonical form.
    decision
        What lies where.
    certificate
        How good it is, and the evidence.
    fit, heldout
        What the placement does to the tokens it was fitted to, and to the ones held out.
    contiguous_fit, contiguous_heldout
        The same for the placement that engines start with: experts in order.
    moved
        Copies to be loaded on devices that do not hold the expert now; absent where nothing runs.
    trajectory
        What was known when, oldest first.
    notes
        What a reader should know.
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
    decision: PlacementDecision
    certificate: PlacementCertificate
    fit: PlacementScores
    contiguous_fit: PlacementScores
    engine: str
    seconds: float
    coinfer_version: str
    heldout: PlacementScores | None = None
    contiguous_heldout: PlacementScores | None = None
    moved: int | None = None
    trajectory: tuple[Moment, ...] = ()
    notes: tuple[str, ...] = ()
