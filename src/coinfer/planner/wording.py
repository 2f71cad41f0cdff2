"""What the value of a plan is called, what routers would make of it, and what its proof is: words for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from coinfer.models.selection.data import SCORED, SelectionProblem
from coinfer.models.selection.gate_report import GateReport
from coinfer.planner.selection.document import Certificate
from coinfer.planner.units import amount, count, digits, precise

LEAVES = {  # by the method or reason of a leaf
    "bound": "bounded by duals",
    "infeasible": "shown by duals to be empty",
    "constraint": "where a limit cannot hold",
    "unserved": "where a prompt has no expert",
    "vertex": "evaluated",
    "gains": "bounded by gains",
    "prices": "bounded by prices",
    "mixed": "bounded at two corners",
    "shares": "bounded by lines above the gate's shares",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How the value of a plan is written for a person.

    Attributes
    ----------
    title
        What it is: ``Mean quality``, ``Energy per request``, ``Cost of a pass``.
    unit
        Unit as in :mod:`coinfer.planner.units`.
    per
        What stands behind a figure, as `` per request``.
    cost
        True where the value of a plan is minus what people pay, so that less of the figure is better.
    """

    title: str
    unit: str
    per: str
    cost: bool

    def figure(self, value: float) -> float:
        """Return a value with the sign that people expect."""
        return 0.0 - value if self.cost else value

    def amount(self, value: float) -> str:
        """Write a value: ``0.7100``, ``12.30 J``, ``$0.004200``."""
        return amount(self.figure(value), self.unit, significant=4)

    def reach(self, value: float) -> str:
        """Write a value that is reached: ``0.7100``, ``12.30 J per request``."""
        return self.amount(value) + self.per

    def phrase(self, value: float) -> str:
        """Write a value with its name: ``mean quality 0.7100``, ``12.30 J per request``."""
        return self.reach(value) if self.cost else f"{self.title.lower()} {self.amount(value)}"

    def exact(self, value: float) -> str:
        """Write a value like :meth:`phrase`, with nine digits."""
        written = precise(self.figure(value), self.unit)
        return written + self.per if self.cost else f"{self.title.lower()} {written}"

    def apart(self, gap: float) -> str:
        """Write how far from the best possible a plan is: ``0.012 below the best possible``."""
        side = "above the least possible" if self.cost else "below the best possible"
        return f"{amount(gap, self.unit, significant=2)}{self.per} {side}"

    def size(self, difference: float) -> str:
        """Write a difference of values, without its sign."""
        return amount(abs(difference), self.unit, significant=2)

    @property
    def limit(self) -> str:
        """What stands before the bound: ``at most`` where more is better, else ``at least``."""
        return "at least" if self.cost else "at most"

    @property
    def beyond(self) -> str:
        """Where nothing is, seen from the bound."""
        return "below" if self.cost else "above"


QUALITY = Worth(title="Mean quality", unit="", per="", cost=False)


def worth_of(problem: SelectionProblem) -> Worth:
    """Return how the value of a plan for ``problem`` is written."""
    if problem.objective == "quality":
        return QUALITY
    if problem.objective == "cost_of_pass":
        return Worth(title="Cost of a pass", unit="USD", per=" per pass", cost=True)
    idle = problem.arrival_rate_per_s is not None and any(device.idle_power_w for device in problem.devices)
    title = "Energy per request above idle" if idle else "Energy per request"
    return Worth(title=title, unit="J", per=" per request above idle" if idle else " per request", cost=True)


def routers(alternatives: Mapping[str, float], worth: Worth, problem: SelectionProblem | None = None) -> str:
    """Say what the selected experts reach behind a perfect router and behind the one there is.

    Parameters
    ----------
    alternatives
        Of the plan; empty gives no words.
    worth
        How values are written.
    problem
        What was planned; absent: nothing is said of its gate and of the limits that these values leave aside.
    """
    if "oracle" not in alternatives:
        return ""
    side = "a lower limit" if worth.cost else "an upper limit"
    perfect = worth.reach(alternatives["oracle"])
    told = f"The same experts behind a perfect router would reach {perfect}: {side}, not a promise. "
    if "gate" in alternatives:
        told += f"Your gate{_gate(problem)} reaches {worth.reach(alternatives['gate'])}."
    else:
        told += f"A router that knows only the category reaches {worth.reach(alternatives['category'])}."
    aside = [] if problem is None else _means(problem)
    if problem is not None and aside:
        subject = "The perfect router is not" if problem.gate in SCORED else "Neither is"
        told += f" {subject} held to the limits on means ({', '.join(aside)})."
    return told


def regret(report: GateReport) -> str:
    """Say what the one gate loses on subsets of the experts, on prompts it never met."""
    found, unit = report.heldout_regret, f" {report.loss_unit}" if report.loss_unit == "nats" else " of quality"
    return (
        f"Beside gates trained for one subset of the experts each, your gate loses {digits(found.mean)}{unit} in the "
        f"mean and at most {digits(found.largest)}, on {count(report.heldout_prompts, 'prompt')} it had never met "
        f"({count(report.subsets, 'subset')})."
    )


def proof(certificate: Certificate) -> str | None:
    """Say how many leaves of what kind of proof a certificate has, and what they show; ``None`` without a proof."""
    if certificate.proof is not None:
        reasons, kind = Counter[str](leaf.reason for leaf in certificate.proof.leaves), "branch-and-bound tree"
    elif certificate.leaves is not None:
        reasons, kind = Counter[str](leaf.method for leaf in certificate.leaves.leaves), "monotonic search"
    else:
        return None
    head = f"{count(reasons.total(), 'leaf', 'leaves')} of a {kind}"
    parts = [f"{number} {LEAVES[name]}" for name, number in reasons.most_common()]
    if len(parts) > 1:
        return f"{head}: {', '.join(parts)}"
    return f"{head}, {'all ' if reasons.total() > 1 else ''}{LEAVES[next(iter(reasons))]}" if parts else head


def evident(certificate: Certificate) -> bool:
    """Whether a certificate carries data from which its bound can be derived again."""
    return certificate.proof is not None or certificate.leaves is not None


def _gate(problem: SelectionProblem | None) -> str:
    if problem is None:
        return ""
    return f" ({problem.gate})" if problem.gate in SCORED else " (its first choice)"


def _means(problem: SelectionProblem) -> list[str]:
    """Return the means over the traffic that are limited."""
    budgets, loaded = problem.budgets, problem.arrival_rate_per_s is not None
    limits = {
        "energy": budgets.energy_j is not None,
        "money": budgets.price_usd is not None,
        "device time": loaded and any(device.max_utilisation for device in problem.devices),
        "quality": problem.quality_floor is not None,
    }
    return [name for name, limited in limits.items() if limited]
