"""What a strategy is: options with what they are worth and take, and a session for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from coinfer.executor.strategies.ask import Decode, Sampled
from coinfer.executor.strategies.session import Session

Need = Literal["completions", "logprobs", "prefix", "reward", "logits", "sandbox", "retriever"]
"""What an endpoint, or the run, must offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one role is asked for. Expected figures may be fractions.

    Attributes
    ----------
    calls
        Completions (or programs, searches, answers to score).
    prompt_tokens
        Tokens read, each completion's prompt counted once where one call gives several.
    output_tokens
        Tokens generated (of a reward model: read).
    """

    calls: float = 0.0
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Return the sum."""
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def times(self, factor: float) -> Usage:
        """Return a multiple."""
        return Usage(
            calls=self.calls * factor,
            prompt_tokens=self.prompt_tokens * factor,
            output_tokens=self.output_tokens * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an option reached and took on a prompt, or on the prompts of a stratum, when it was tried.

    Attributes
    ----------
    value
        Share of right answers.
    usage
        Mean of what each role was asked for.
    """

    value: float
    usage: Mapping[str, Usage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known of a prompt, or of its stratum, before anything is asked. Absent is not known, never 0.

    Attributes
    ----------
    prompt_tokens
        Of the prompt.
    output_tokens
        Mean of one completion.
    max_tokens
        Most of one completion.
    rate
        Chance that one sampled completion of the role is right, by role.
    greedy
        The same of the greedy completion; a role that is absent: as of a sample.
    answers
        Distribution of the answers of one completion, the right one first; they sum to at most 1, the rest being
        answers of their own each time.
    repair_rate
        Chance that one revision of a wrong answer is right.
    scorer
        Pairs (reward, 1 if right else 0) of measured completions: how well the reward tells right from wrong.
    output_s
        Seconds of one output token.
    extra
        What single strategies look for, by name, as their docstrings say.
    measured
        Options that were tried, by their names: for those without a value of their own it stands in the menu.
    """

    prompt_tokens: float
    output_tokens: float
    max_tokens: int
    rate: Mapping[str, float] = field(default_factory=dict)
    greedy: Mapping[str, float] = field(default_factory=dict)
    answers: tuple[float, ...] | None = None
    repair_rate: float | None = None
    scorer: tuple[tuple[float, float], ...] | None = None
    output_s: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyOption:
    """A strategy with its numbers: one column of a menu.

    Attributes
    ----------
    strategy
        Name of the strategy.
    settings
        Its numbers, by the names that its docstring lists.
    value
        Expected chance of a right answer; ``None`` where the prior does not say enough.
    expected, worst
        What each role is asked for, in expectation and at most. A run keeps its caps by ``worst``.
    latency_s
        Expected seconds where every step's asks run at once; ``None`` where the prior has no speed.
    needs
        What must be there; an option whose needs are not met leaves the menu.
    upper_bound
        Why ``expected`` is an upper bound and no mean: a chance that was not measured. Absent: it is a mean.
    """

    strategy: str
    settings: Mapping[str, float]
    value: float | None
    expected: Mapping[str, Usage]
    worst: Mapping[str, Usage]
    latency_s: float | None = None
    needs: frozenset[Need] = frozenset({"completions"})
    upper_bound: str | None = None

    @property
    def name(self) -> str:
        """The strategy with its numbers, as one text."""
        numbers = ", ".join(f"{key} {_shown(number)}" for key, number in self.settings.items())
        return f"{self.strategy} ({numbers})" if numbers else self.strategy


def _shown(number: float) -> str:
    """Return a number, all digits of a whole one: some stand for sets."""
    return f"{number:.0f}" if number.is_integer() else f"{number:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a session is to answer.

    Attributes
    ----------
    id
        Unique in the run; seeds and journal go by it.
    text
        The question.
    max_tokens
        Most tokens of one completion.
    answer_of
        Reads the answer in a completion, ``None`` where there is none: the workload's extractor. Votes are counted by
        what it returns.
    temperature
        Of samples that are to differ.
    extra
        What single strategies take: texts (a long document), by name.
    """

    id: str
    text: str
    max_tokens: int
    answer_of: Callable[[str], str | None] = lambda text: text.strip() or None
    temperature: float = 0.8
    extra: Mapping[str, str] = field(default_factory=dict)


CHARACTERS_PER_TOKEN = 4.0
"""Of English text; what a strategy adds to a prompt is estimated by it, and settled by what the endpoint counts."""


def estimated_tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    return len(text) / CHARACTERS_PER_TOKEN


def metered_usage(ask: Decode, reply: Sampled) -> dict[str, Usage]:
    """Return what each role of a decoded text took; its one call is the first role's."""
    return {
        role: Usage(calls=float(place == 0), prompt_tokens=each.prompt_tokens, output_tokens=each.output_tokens)
        for place, role in enumerate(ask.roles)
        for each in [reply.metered[role]]
    }


NOTHING_KNOWN = "nothing is known of what it takes"


def why_no_option(strategy: Strategy) -> str:
    """Return why a strategy has no option at all: its attribute ``without``, where it has one."""
    return str(getattr(strategy, "without", NOTHING_KNOWN))


class Strategy(Protocol):
    """A way to spend a budget on a prompt. Implementations hold no state and call no model.

    A strategy that may have no option at all says why in an attribute ``without``: what the prior lacks, in words.
    """

    @property
    def name(self) -> str:
        """Unique name, as in plans."""
        ...

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return the options worth considering for a prompt of which ``prior`` is known."""
        ...

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Return a session that answers ``prompt`` within ``option.worst``, whatever the replies are."""
        ...
