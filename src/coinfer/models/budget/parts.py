"""The parts of a budget problem."""

from __future__ import annotations

import math
from typing import Literal

from coinfer.errors import ProblemError
from coinfer.records import Matrix, Record

LARGEST = 1e15
"""Largest amount of one thing."""
MOST_SAMPLES = 1_000_000
"""Most samples of one option."""
Source = Literal["none", "label", "history", "one_sample", "votes", "features", "oracle"]
"""What told the strata apart. ``oracle`` looked at the outcomes themselves, which nobody can do beforehand."""


class Amount(Record, frozen=True, kw_only=True):
    """So much of a resource.

    Attributes
    ----------
    resource
        ``usd``, ``tokens``, ``s`` (device seconds), ``j`` (joules), ``requests``, or any other name that costs use.
    amount
        At least 0, in the unit that the name says.
    """

    resource: str
    amount: float

    def __post_init__(self) -> None:
        _name("resource", self.resource)
        if not 0.0 <= self.amount <= LARGEST:
            raise ProblemError("amount", expected=f"a number in 0..{LARGEST:g}", found=self.amount)


class Budget(Record, frozen=True, kw_only=True):
    """Most that all prompts together may take of a resource, in expectation.

    Attributes
    ----------
    resource
        See :class:`Amount`.
    limit
        Over all prompts, in the unit of the resource.
    endpoint
        Only what the options of this endpoint take counts (a quota); absent: all options.
    """

    resource: str
    limit: float
    endpoint: str | None = None

    def __post_init__(self) -> None:
        _name("resource", self.resource)
        if not 0.0 <= self.limit < math.inf:
            raise ProblemError("limit", expected="a finite number, at least 0", found=self.limit)


class Option(Record, frozen=True, kw_only=True):
    """One column of the menus: a strategy on a model with a certain effort.

    Attributes
    ----------
    name
        Unique name.
    strategy
        ``samples`` (independent samples, any right one counts: a verifier finds it), ``stop_on_success``, ``majority``,
        ``best_of``, ``revise``, ``beam``, ``lookahead``, ``debate``, ``cascade``, ``single``, ``human``, or another
        name that the executor knows.
    model
        Which language model answers; absent for strategies of several.
    endpoint
        Where it runs: quotas speak of it.
    arm
        In posterior menus: the arm that is sampled.
    samples
        How many samples the option draws at most; needed in posterior menus.
    settings
        Everything else: ``beam_width``, ``sequential_ratio``, ``temperature`` and so on.
    upper_bound
        Why the expected costs of this option are upper bounds and no means, such as a chance that was not measured.
        Absent: they are means.
    """

    name: str
    strategy: str = "single"
    model: str | None = None
    endpoint: str | None = None
    arm: str | None = None
    samples: int | None = None
    settings: dict[str, float] | None = None
    upper_bound: str | None = None

    def __post_init__(self) -> None:
        for field in ("name", "strategy"):
            _name(field, getattr(self, field))
        if self.samples is not None and not 0 <= self.samples <= MOST_SAMPLES:
            raise ProblemError("samples", expected=f"an integer in 0..{MOST_SAMPLES:,}", found=self.samples)
        for key, number in (self.settings or {}).items():
            if not math.isfinite(number):
                raise ProblemError(f"settings.{key}", expected="a finite number", found=number)


class Information(Record, frozen=True, kw_only=True):
    """What the strata are told apart by, and what finding it out costs.

    Attributes
    ----------
    source
        See :data:`Source`.
    cost
        What it takes for one prompt. It is charged: the budgets shrink by it before anything is planned.
    charged
        False leaves the cost out of the budgets; every plan then says so. An ``oracle`` has no cost that could be
        charged.
    description
        In words, for the reader of a plan.
    """

    source: Source
    cost: tuple[Amount, ...] = ()
    charged: bool = True
    description: str | None = None


class LatencyClass(Record, frozen=True, kw_only=True):
    """Prompts that must be answered within a time.

    Attributes
    ----------
    name
        Unique name.
    limit_s
        Longest expected latency of an option that their menus keep, seconds.
    """

    name: str
    limit_s: float

    def __post_init__(self) -> None:
        _name("name", self.name)
        if not 0.0 < self.limit_s < math.inf:
            raise ProblemError("limit_s", expected="a finite number above 0", found=self.limit_s)


class Strata(Record, frozen=True, kw_only=True):
    """The rows of the menus: single prompts, or groups of prompts that a planner cannot tell apart.

    Attributes
    ----------
    names
        Of the strata, all different; absent: they are counted from 0.
    prompts
        (strata, 1): prompts in each, whole numbers of at least 1; absent: 1 each.
    latency_class
        (strata, 1): position of the stratum's latency class, counted from 0, or -1 for none; absent: none.
    """

    names: tuple[str, ...] = ()
    prompts: Matrix | None = None
    latency_class: Matrix | None = None


class Cost(Record, frozen=True, kw_only=True):
    """What each option takes of one resource.

    Attributes
    ----------
    resource
        See :class:`Amount`.
    amount
        (strata, options): expected amount for one prompt, at least 0; or (1, options), alike in all strata.
    worst
        The same for the worst case, which a hard cap is kept by; absent: not known.
    """

    resource: str
    amount: Matrix
    worst: Matrix | None = None


class TableMenus(Record, frozen=True, kw_only=True, tag_field="form", tag="table"):
    """Menus as numbers.

    Attributes
    ----------
    value
        (strata, options): expected value of the option for one prompt, at least 0: usually the probability of a right
        answer.
    cost
        One for each resource.
    value_error
        (strata, options): standard error of the value, where it is an estimate; absent: not known.
    latency_s
        (strata, options) or (1, options): expected latency; absent: not known.
    available
        (strata, options): 1 where the stratum has the option, 0 where not; absent: all.
    """

    value: Matrix
    cost: tuple[Cost, ...]
    value_error: Matrix | None = None
    latency_s: Matrix | None = None
    available: Matrix | None = None


class Arm(Record, frozen=True, kw_only=True):
    """Something that can be sampled again and again: a model, or a model with a prompt or a temperature.

    Attributes
    ----------
    name
        Unique name.
    per_sample, per_prompt
        What one sample takes, and what is paid once for a prompt that is sampled at all (a cached prompt, say).
    sample_s
        Expected seconds of one sample; absent: not known.
    parallel
        True where the samples of one prompt run at once: the latency is then that of one sample (a lower limit, since
        the slowest counts), else the sum.
    stop_on_success
        True where a verifier looks at each sample and stops at the first right one, so that later ones are not paid.
    """

    name: str
    per_sample: tuple[Amount, ...]
    per_prompt: tuple[Amount, ...] = ()
    sample_s: float | None = None
    parallel: bool = False
    stop_on_success: bool = False

    def __post_init__(self) -> None:
        _name("name", self.name)
        if self.sample_s is not None and not 0.0 <= self.sample_s <= LARGEST:
            raise ProblemError("sample_s", expected=f"a number in 0..{LARGEST:g}", found=self.sample_s)


class Refit(Record, frozen=True, kw_only=True):
    """Posteriors from a model that was fitted again to prompts drawn with replacement: how uncertain the fit is.

    Attributes
    ----------
    alpha, beta
        (strata, arms): above 0.
    """

    alpha: Matrix
    beta: Matrix


class PosteriorMenus(Record, frozen=True, kw_only=True, tag_field="form", tag="posterior"):
    r"""Menus as formulas: any right one of k samples counts, with :math:`p \sim \mathrm{Beta}(\alpha, \beta)`.

    An option of k samples is worth :math:`1 - B(\alpha, \beta + k) / B(\alpha, \beta)`. Nothing of the size strata
    times options is ever stored.

    Attributes
    ----------
    arms
        See the class.
    alpha, beta
        (strata, arms): parameters of the posterior of the rate of success of one sample; above 0.
    scale
        (strata, arms): factor on the cost of one sample (prompts differ in length); absent: 1.
    refits
        Where all posteriors rest on one fitted model, the same from refits of it: all strata share its error, which
        widens the interval of a plan. At least two, or none. They change no decision.
    """

    arms: tuple[Arm, ...]
    alpha: Matrix
    beta: Matrix
    scale: Matrix | None = None
    refits: tuple[Refit, ...] = ()


def _name(field: str, text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise ProblemError(field, expected="a name of printable characters", found=text)
