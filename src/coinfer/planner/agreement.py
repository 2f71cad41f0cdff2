"""Whether a plan says what was re-computed: the comparisons that every checker makes."""

from __future__ import annotations

import math
from typing import Any

from coinfer.errors import CertificateError
from coinfer.planner.claims import Claim

TINY = 1e-300
MARGIN = 1e-9
"""Largest relative difference allowed between a figure in the plan and the same figure re-computed."""
TOLERANCE = 1e-7
"""Difference, relative to the value, below which a value and a lower bound count as equal."""


def same(where: str, stated: float, derived: float) -> None:
    """Refuse a figure that is not the one re-computed."""
    if not math.isclose(stated, derived, rel_tol=MARGIN, abs_tol=TINY):
        raise CertificateError(f"{where}: the plan says {stated!r}; re-computed from the problem it is {derived!r}")


def same_or_absent(where: str, stated: float | None, derived: float | None) -> None:
    """Refuse a figure that is not the one re-computed, or that stands on one side alone."""
    if (stated is None) != (derived is None):
        raise CertificateError(f"{where}: the plan says {stated}; re-computed it is {derived}")
    if stated is not None and derived is not None:
        same(where, stated, derived)


def no_higher(where: str, stated: float, proven: float, scale: float) -> None:
    """Refuse a stated lower bound above the one that was proven."""
    if stated > proven + MARGIN * scale:
        raise CertificateError(f"{where}: the plan says {stated!r}; its proof shows no better than {proven!r}")


def closed(value: float, bound: float) -> bool:
    """Return whether a lower bound leaves nothing to be gained."""
    return value - bound <= TOLERANCE * value


def check_lower_bound(certificate: Any, bound: float | None, *, method: str, engine: str) -> Claim:
    """Compare what a certificate says of a lower bound with the one its proof shows, and its words with its numbers.

    Parameters
    ----------
    certificate
        With ``status``, ``value``, ``bound``, ``verified_bound``, ``limit`` and ``claims``.
    bound
        What the proof shows, at most the value; ``None`` without a proof.
    method
        How it was shown.
    engine
        Who claims it otherwise.

    Raises
    ------
    CertificateError
        At the first statement that is not true.
    """
    claim = _bound_claim(certificate, bound, method=method, engine=engine)
    if sorted(each.what for each in certificate.claims) != ["bound", "feasibility", "objective"]:
        raise CertificateError("certificate.claims: feasibility, objective and bound must each have one standing")
    done = certificate.bound is not None and closed(certificate.value, certificate.bound)
    if (certificate.status == "optimal") != done:
        numbers = f"value {certificate.value!r} and bound {certificate.bound!r}"
        raise CertificateError(f"certificate.status: {certificate.status!r}, with {numbers}")
    if (certificate.limit is None) != done:
        raise CertificateError(f"certificate.limit: {certificate.limit!r} does not go with {certificate.status!r}")
    return claim


def _bound_claim(certificate: Any, bound: float | None, *, method: str, engine: str) -> Claim:
    stated = next((claim for claim in certificate.claims if claim.what == "bound"), None)
    if (certificate.verified_bound is None) != (bound is None):
        raise CertificateError("certificate.verified_bound: stands without a proof, or the proof without it")
    if bound is not None and certificate.verified_bound is not None:
        no_higher("certificate.verified_bound", certificate.verified_bound, bound, certificate.value)
    if certificate.bound is not None and certificate.bound > certificate.value * (1.0 + MARGIN):
        raise CertificateError(
            f"certificate.bound: {certificate.bound!r} is above the value {certificate.value!r} of the plan itself"
        )
    if stated is None or stated.standing == "claimed":
        return Claim(what="bound", standing="claimed", method=stated.method if stated else engine)
    if bound is None or certificate.bound is None:
        raise CertificateError("certificate.claims: the bound is called verified, but there is no proof of it")
    no_higher("certificate.bound", certificate.bound, bound, certificate.value)
    return Claim(what="bound", standing="verified", method=method)
