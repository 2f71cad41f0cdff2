"""The one place where a profile and a problem meet: measured facts in, a problem with numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coinfer.errors import Plain, ProblemError, ProfileError
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.data import Basis, Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.profiler.profile import DeviceFacts, Estimate, Profile, Quantity
from coinfer.records import Matrix

Stance = Literal["mean", "pessimistic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A language model on a device that may be selected.

    Attributes
    ----------
    name
        Name of the expert, which is how the profile's entries and the measurement rows name the model.
    device
        Name of its device.
    endpoint
        How it is reached; ``None`` for a plan that is not run.
    """

    name: str
    device: str
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked, and what is promised.

    Attributes
    ----------
    categories
        Application categories with their latency promises.
    weights
        Share of the traffic of each category, in any unit, > 0.
    prompt_tokens, output_tokens
        Typical lengths by category: needed where request times are derived from rates per token.
    """

    categories: tuple[Category, ...]
    weights: tuple[float, ...]
    prompt_tokens: dict[str, float] | None = None
    output_tokens: dict[str, float] | None = None


def assemble(
    profile: Profile,
    *,
    name: str,
    candidates: Sequence[Candidate],
    workload: Workload,
    budgets: Budgets,
    stance: Stance = "mean",
    latency_statistic: Literal["mean", "p95"] = "mean",
    memory_bytes: dict[str, int] | None = None,
    quality: dict[str, dict[str, float]] | None = None,
    expert_memory_bytes: dict[str, int] | None = None,
) -> SelectionProblem:
    """Turn a profile into a selection problem routed by category.

    Latency is the measured time of a request; where only rates per token are known, it is derived from them and the
    workload's lengths. Energy is the measured energy of a request; without one, a device's declared (or published)
    power times the latency, marked as such. What was not measured stays absent.

    Parameters
    ----------
    profile
        Estimates of every candidate.
    candidates
        Who may be selected.
    workload, budgets
        What is asked and promised, and the limits over all of it.
    stance
        ``mean``: plan on the estimates. ``pessimistic``: plan on the bad end of their intervals.
    latency_statistic
        Which statistic of the latency the promises are about.
    memory_bytes
        Memory to plan with, by device; by default what the profile knows of each device.
    quality
        Quality by expert and category, for experts whose quality the profile does not hold.
    expert_memory_bytes
        Memory by expert, for experts whose memory the profile does not hold.

    Raises
    ------
    ProfileError
        If the quality of a candidate in a category is neither measured nor given.
    """
    facts = {device.name: device for device in profile.devices}
    known = expert_memory_bytes or {}
    experts = tuple(
        _expert(
            profile,
            candidate,
            facts=facts.get(candidate.device),
            workload=workload,
            stance=stance,
            statistic=latency_statistic,
            memory_bytes=known.get(candidate.name),
        )
        for candidate in candidates
    )
    rows = [
        [_quality(profile, candidate, category.name, stance, quality) for candidate in candidates]
        for category in workload.categories
    ]
    names = dict.fromkeys(candidate.device for candidate in candidates)
    limits = memory_bytes or {}
    return SelectionProblem(
        name=name,
        devices=tuple(_device(device, facts.get(device), limits.get(device)) for device in names),
        categories=workload.categories,
        experts=experts,
        prompts=tuple(
            Prompt(name=category.name, category=category.name, weight=weight)
            for category, weight in zip(workload.categories, workload.weights, strict=True)
        ),
        quality=Matrix(rows),
        budgets=budgets,
        gate="category",
        latency_statistic=latency_statistic,
    )


def _device(name: str, facts: DeviceFacts | None, memory_bytes: int | None) -> Device:
    if memory_bytes is None and facts is not None:
        memory_bytes = facts.memory_bytes
    idle = facts.idle_power_w if facts is not None else None
    return Device(name=name, memory_bytes=memory_bytes, idle_power_w=None if idle is None else idle.value)


def _expert(
    profile: Profile,
    candidate: Candidate,
    *,
    facts: DeviceFacts | None,
    workload: Workload,
    stance: Stance,
    statistic: Literal["mean", "p95"],
    memory_bytes: int | None,
) -> Expert:
    latency_s: dict[str, float] = {}
    energy_j: dict[str, float] = {}
    bases: set[Basis] = set()
    for category in workload.categories:
        mean = _request_s(profile, candidate, category.name, workload)
        tail = _find(profile, candidate, "request_p95_s", category.name) if statistic == "p95" else mean
        if mean is None or tail is None:
            continue
        latency_s[category.name] = _cautious(tail, stance)
        energy = _energy(profile, candidate, facts, category.name, mean)
        if energy is not None:
            energy_j[category.name] = _cautious(energy, stance)
            bases.add(energy.basis)
    complete = bool(energy_j) and energy_j.keys() == latency_s.keys()
    memory = _find(profile, candidate, "memory_bytes", None)
    order: tuple[Basis, ...] = ("declared", "published", "derived", "measured")
    return Expert(
        name=candidate.name,
        device=candidate.device,
        latency_s=latency_s,
        memory_bytes=memory_bytes if memory is None else round(memory.value),
        energy_j=energy_j if complete else None,
        energy_basis=next((basis for basis in order if basis in bases), None) if complete else None,
        endpoint=candidate.endpoint,
    )


def _request_s(profile: Profile, candidate: Candidate, category: str, workload: Workload) -> Estimate | None:
    """Return the mean time of a request: measured, or derived from rates and lengths."""
    measured = _find(profile, candidate, "request_s", category)
    if measured is not None:
        return measured
    decode = _find(profile, candidate, "decode_s_per_token", None)
    written = (workload.output_tokens or {}).get(category)
    if decode is None or written is None:
        return None
    parts = [(written, decode)]
    prefill = _find(profile, candidate, "prefill_s_per_token", None)
    read = (workload.prompt_tokens or {}).get(category)
    if prefill is not None and read is not None:
        parts.append((read, prefill))
    elif read:
        return None  # the prompt's time is not known, and leaving it out would be a lie
    return _sum(parts, source="tokens times seconds per token")


def _energy(
    profile: Profile, candidate: Candidate, facts: DeviceFacts | None, category: str, request_s: Estimate
) -> Estimate | None:
    """Return the energy of a request: measured, or a power figure times its time."""
    measured = _find(profile, candidate, "request_energy_j", category)
    if measured is not None:
        return measured
    power = _find(profile, candidate, "power_w", None) or (facts.busy_power_w if facts is not None else None)
    if power is None:
        return None
    return Estimate(
        value=power.value * request_s.value,
        low=None if request_s.low is None else power.value * request_s.low,
        high=None if request_s.high is None else power.value * request_s.high,
        samples=request_s.samples,
        basis=power.basis if power.basis != "measured" else "derived",
        source=f"power of {power.value:g} W ({power.basis}) times the time of a request",
    )


def _quality(
    profile: Profile,
    candidate: Candidate,
    category: str,
    stance: Stance,
    given: dict[str, dict[str, float]] | None,
) -> float:
    estimate = _find(profile, candidate, "quality", category)
    if estimate is not None:
        return estimate.low if stance == "pessimistic" and estimate.low is not None else estimate.value
    figure = (given or {}).get(candidate.name, {}).get(category)
    if figure is None:
        where = f"profile: quality of {candidate.name} in {category}"
        raise ProfileError(where, expected="an estimate, or a figure given with the problem", found=Plain("neither"))
    if not 0.0 <= figure <= 1.0:
        raise ProblemError(f"quality.{candidate.name}.{category}", expected="a number in [0, 1]", found=figure)
    return figure


def _find(profile: Profile, candidate: Candidate, quantity: Quantity, category: str | None) -> Estimate | None:
    """Return an estimate of this candidate, of its device first."""
    return profile.find(device=candidate.device, model=candidate.name, quantity=quantity, category=category)


def _cautious(estimate: Estimate, stance: Stance) -> float:
    """Return the value to plan on, for a figure of which less is better."""
    return estimate.high if stance == "pessimistic" and estimate.high is not None else estimate.value


def _sum(parts: list[tuple[float, Estimate]], *, source: str) -> Estimate:
    """Return the sum of ``count * estimate``; its interval adds the ends, which is on the safe side."""
    known = all(part.low is not None for _, part in parts)
    return Estimate(
        value=sum(count * part.value for count, part in parts),
        low=sum(count * (part.low or 0.0) for count, part in parts) if known else None,
        high=sum(count * (part.high or 0.0) for count, part in parts) if known else None,
        samples=min(part.samples for _, part in parts),
        basis="derived" if any(part.basis == "measured" for _, part in parts) else parts[0][1].basis,
        source=source,
    )
