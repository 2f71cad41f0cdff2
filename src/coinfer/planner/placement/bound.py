"""What the proof of a placement shows, in the unit of its objective; used by planner and checker alike."""

from __future__ import annotations

from dataclasses import dataclass

from coinfer.errors import CertificateError
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.evaluate import scale
from coinfer.models.placement.formulate import fan_out_program, layered_assignment
from coinfer.models.placement.least_imbalance import least_imbalance
from coinfer.planner.placement.document import PlacementProof
from coinfer.solver.certificate.assignment import check_assignment
from coinfer.solver.certificate.chain import ChainProof
from coinfer.solver.certificate.fan_out import FanOutProof, check_fan_out
from coinfer.solver.certificate.levels import LevelProof
from coinfer.solver.certificate.matching import MatchingProof
from coinfer.solver.certificate.replicas import extra_kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What evidence shows: the bound in the unit of the objective, and how it was derived."""

    bound: float
    method: str


METHODS: dict[type, str] = {
    ChainProof: "potentials of a dynamic program, every arc re-computed",
    MatchingProof: "dual prices of assignments, every pair re-computed",
    LevelProof: "multipliers of a semidefinite program, every eigenvalue re-computed",
}


def shown_by(problem: PlacementProblem, proof: PlacementProof | None) -> Shown | None:
    """Return the lower bound that ``proof`` shows on the objective of any placement; ``None`` without evidence.

    The bound on the imbalance needs no data: it follows from the loads alone.

    Raises
    ------
    CertificateError
        If the proof is malformed, or of another kind of problem.
    """
    if problem.objective == "imbalance":
        method = "least copies that each load needs, re-computed from the loads"
        return Shown(bound=least_imbalance(problem), method=method)
    if proof is None:
        return None
    if (problem.objective == "fan_out") != isinstance(proof, FanOutProof):
        raise CertificateError("certificate.proof: it is the proof of another objective")
    if isinstance(proof, FanOutProof):
        method = "tangents below the number of devices, every layer re-computed"
        return Shown(bound=float(check_fan_out(fan_out_program(problem), proof).sum()) / scale(problem), method=method)
    program = layered_assignment(problem)
    lower = check_assignment(program, proof)
    method = METHODS[type(proof)]
    if problem.replicas:
        if isinstance(proof, ChainProof | MatchingProof):
            raise CertificateError("certificate.proof: it holds only where each expert has one copy")
        if problem.dispatch == "local":
            lower -= float(program.distance.max()) * extra_kept(program.weights, program.capacity, problem.replicas)
            method += ", less what copies can keep at home"
    return Shown(bound=max(0.0, lower) / scale(problem), method=method)
