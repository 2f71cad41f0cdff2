"""Bounds of layered assignments, re-derived from their proofs without a solver."""

from __future__ import annotations

from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.chain import ChainProof, check_chain
from coinfer.solver.certificate.levels import LevelProof, check_levels
from coinfer.solver.certificate.matching import MatchingProof, check_matching

AssignmentProof = ChainProof | MatchingProof | LevelProof


def check_assignment(program: LayeredAssignment, proof: AssignmentProof) -> float:
    """Return the lower bound that ``proof`` shows on the objective of any feasible assignment.

    Raises
    ------
    CertificateError
        With one sentence, if the proof is malformed.
    """
    if isinstance(proof, ChainProof):
        return check_chain(program, proof)
    if isinstance(proof, MatchingProof):
        return check_matching(program, proof)
    return check_levels(program, proof)
