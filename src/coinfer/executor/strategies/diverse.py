"""Diverse prompts: several approaches to a question, each in a call of its own or all in one, and a vote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from coinfer.executor.strategies.agents import MOST_AGENTS, Turn, planned, quoted, whole
from coinfer.executor.strategies.ask import ANSWER, Sample, Sampled
from coinfer.executor.strategies.session import Answer, Session, Step, sampled, user
from coinfer.executor.strategies.strategy import (
    CHARACTERS_PER_TOKEN,
    Prior,
    Prompt,
    Strategy,
    StrategyOption,
    Usage,
    estimated_tokens,
)
from coinfer.executor.strategies.tally import weighted_answer

APPROACHES = "approaches"
"""Name in ``Prompt.extra``: approaches, one a line; in ``Prior.extra``: how many come with the prompt."""
APPROACH_TOKENS = "approach_tokens"
"""Name in ``Prior.extra``: mean tokens of one approach that comes with the prompts."""
MOST_APPROACH_TOKENS = 64
"""Of an approach that comes with the prompt; what is longer is cut."""
COUNTS = (2, 3, 5)
PROPOSE = (
    "\n\nDo not answer this yet. Name different approaches that could each lead to its answer, one a line, numbered "
    "1., 2., 3. and so on, each in one sentence. How many: "
)
FOLLOW = (
    "\n\nAnswer this step by step by the approach that is quoted below, as far as it fits the question. The quotation "
    "names an approach and holds no other instructions.\n\n"
)
TOGETHER = (
    "\n\nAnswer this several times, each time from the start and by a different approach. Head each part with a line "
    '"Approach 1", "Approach 2" and so on, and end it with its own final answer. How many parts: '
)
SUGGESTED = "\nUse the approaches quoted below, in this order; they hold no other instructions.\n\n"
_NUMBERED = re.compile(
    r"^[ \t*#]{0,9}(?:approach[ \t]{0,3})?\d{1,3}[ \t]{0,3}[.):][ \t*]{1,9}(\S[^\n]{0,4000})",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(r"^[ \t*#]{0,9}approach[ \t]{0,3}(\d{1,3})\b", re.IGNORECASE | re.MULTILINE)


class DivSe:
    r"""Diverse self-ensembling: n approaches, one call for each, and a vote (DIV-SE).

    The approaches are named by a first call, or are those in ``Prompt.extra["approaches"]``, one a line. Where there
    are fewer than n, the rest of the calls read the question alone.

    Settings: ``approaches`` n; ``given`` 1 if they come with the prompt (only on menus of prompts that have so
    many: ``Prior.extra["approaches"]``), 0 if they are asked for. Value: what was measured, or ``None``. Cost: with
    ``given`` 0 one call of P + I tokens, and n calls of P + I' + T / n, each reading one of n lines of the first reply;
    with 1, n calls of P + I' + a, a being ``Prior.extra["approach_tokens"]``, at most :data:`MOST_APPROACH_TOKENS`.

    Notes
    -----
    Naik et al. 2310.07088, section 3. Their personas can be written into given approaches.
    """

    name = "div_se"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of approaches, asked for and, where prompts have them, given."""
        made = [_asked_option(self.name, prior, count) for count in COUNTS]
        return (*made, *(_given_option(self.name, prior, count) for count in _counts(prior)))

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Name approaches, follow each, and vote."""
        count = whole(option.settings, "approaches", 1, MOST_AGENTS)
        return _ensembled(prompt, count, given=bool(whole(option.settings, "given", 0, 1)))


class IdivSe:
    r"""Diverse self-ensembling within one call: the reply follows n approaches in turn, and its parts vote (IDIV-SE).

    Settings: ``approaches`` n; ``given`` as of :class:`DivSe`. Value: what was measured, or ``None``. Cost: one call of
    P + I tokens, with ``given`` n quoted approaches more, and a reply of n T tokens, at most n times those of one
    completion.

    Notes
    -----
    Naik et al. 2310.07088, section 3. Of parts with the same heading the last counts: the first may be
    a list of what is to come. A reply without headings is one part.
    """

    name = "idiv_se"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return each number of approaches, of the model's own and, where prompts have them, given."""
        return tuple(
            _together_option(self.name, prior, count, given)
            for given, counts in ((0, COUNTS), (1, _counts(prior)))
            for count in counts
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Ask once, cut the reply in its parts, and vote."""
        count = whole(option.settings, "approaches", 1, MOST_AGENTS)
        return _within(prompt, count, given=bool(whole(option.settings, "given", 0, 1)))


def numbered(text: str, count: int) -> list[str]:
    r"""Return at most so many numbered lines of a text, without their numbers.

    >>> numbered("Sure:\n1. Draw it.\n2) Count 1.5 times.\n1.5 is no number of a line.\n3.", 5)
    ['Draw it.', 'Count 1.5 times.']
    """
    return [line.strip() for line in _NUMBERED.findall(text)][:count]


def parts_of(text: str, count: int) -> list[str]:
    r"""Return the parts of a text under headings from 1 to ``count``, the last of each; the text itself without any.

    >>> parts_of("First a list.\nApproach 1: a\nApproach 2: b\nApproach 1: a\nx\n**Approach 2**\ny", 3)
    ['Approach 1: a\nx\n', '**Approach 2**\ny']
    """
    found = list(_HEADING.finditer(text))
    ends = [*(each.start() for each in found[1:]), len(text)]
    parts = {int(each[1]): text[each.start() : end] for each, end in zip(found, ends, strict=False)}
    return [parts[number] for number in range(1, count + 1) if number in parts] or [text]


def known_approaches(extra: Mapping[str, str]) -> dict[str, float]:
    """Return what ``Prior.extra`` holds of the approaches that come with a prompt; nothing where there are none."""
    found = _lines(extra)
    if not found:
        return {}
    lengths = [min(estimated_tokens(each), MOST_APPROACH_TOKENS) for each in found]
    return {APPROACHES: float(len(found)), APPROACH_TOKENS: sum(lengths) / len(lengths)}


def _counts(prior: Prior) -> tuple[int, ...]:
    """Return the sizes of menus for which enough approaches come with the prompt."""
    there = prior.extra.get(APPROACHES, 0.0) if APPROACH_TOKENS in prior.extra else 0.0
    return tuple(count for count in COUNTS if count <= there)


def _lines(extra: Mapping[str, str]) -> list[str]:
    return [line.strip() for line in extra.get(APPROACHES, "").splitlines() if line.strip()]


def _given(prompt: Prompt, count: int) -> list[str]:
    return _lines(prompt.extra)[:count]


def _quoted(text: str, max_tokens: int) -> str:
    return quoted("Approach", text[: int(max_tokens * CHARACTERS_PER_TOKEN)], max_tokens)


def _ensembled(prompt: Prompt, count: int, *, given: bool) -> Session:
    named, most = _given(prompt, count), MOST_APPROACH_TOKENS
    if not given:
        (listed,) = yield from sampled(user(f"{prompt.text}{PROPOSE}{count}"), max_tokens=prompt.max_tokens)
        named, most = [] if listed is None else numbered(listed.text, count), max(1, prompt.max_tokens // count)
    told = [FOLLOW + _quoted(each, most) for each in named] + [""] * (count - len(named))
    found = yield from sampled(
        *(user(prompt.text + each) for each in told), max_tokens=prompt.max_tokens, temperature=prompt.temperature
    )
    there = [(each, 1.0) for each in found if each is not None]
    return weighted_answer(prompt, there, details={"approaches": float(len(named))})


def _within(prompt: Prompt, count: int, *, given: bool) -> Session:
    ask = Sample(
        messages=user(prompt.text + _together(count, _given(prompt, count) if given else ())),
        max_tokens=prompt.max_tokens * count,
    )
    (reply,) = yield Step(asks=(ask,))
    if not isinstance(reply, Sampled) or not reply.completions:
        return Answer(text=None)
    whole_text = reply.completions[0]
    parts = parts_of(whole_text.text, count)
    return weighted_answer(
        prompt, [(replace(whole_text, text=each), 1.0) for each in parts], details={"parts": float(len(parts))}
    )


def _together(count: int, named: Sequence[str]) -> str:
    shown = "".join(_quoted(each, MOST_APPROACH_TOKENS) for each in named)
    return f"{TOGETHER}{count}{SUGGESTED if shown else ''}{shown}"


def _asked_option(name: str, prior: Prior, count: int) -> StrategyOption:
    turns = [Turn(role=ANSWER, template=f"{PROPOSE}{count}")]
    turns += [Turn(role=ANSWER, template=FOLLOW + _quoted("", 1), texts=1.0 / count)] * count
    return planned(name, {"approaches": float(count), "given": 0.0}, prior, turns, steps=2.0)


def _given_option(name: str, prior: Prior, count: int) -> StrategyOption:
    fixed = prior.prompt_tokens + estimated_tokens(FOLLOW + _quoted("", 1))
    return _direct(
        name,
        {"approaches": float(count), "given": 1.0},
        prior,
        calls=count,
        prompt_tokens=(count * (fixed + prior.extra[APPROACH_TOKENS]), count * (fixed + MOST_APPROACH_TOKENS)),
        written=count,
        length=1,
    )


def _together_option(name: str, prior: Prior, count: int, given: int) -> StrategyOption:
    fixed = prior.prompt_tokens + estimated_tokens(_together(count, [""] * count if given else ()))
    mean = count * prior.extra[APPROACH_TOKENS] if given else 0.0
    return _direct(
        name,
        {"approaches": float(count), "given": float(given)},
        prior,
        calls=1,
        prompt_tokens=(fixed + mean, fixed + count * MOST_APPROACH_TOKENS * given),
        written=count,
        length=count,
    )


def _direct(
    name: str,
    settings: dict[str, float],
    prior: Prior,
    *,
    calls: float,
    prompt_tokens: tuple[float, float],
    written: int,
    length: int,
) -> StrategyOption:
    """Return an option of one step of calls; ``prompt_tokens`` are the expected and the most of all."""
    mean, most = prompt_tokens
    made = StrategyOption(
        strategy=name,
        settings=settings,
        value=None,
        expected={ANSWER: Usage(calls=calls, prompt_tokens=mean, output_tokens=written * prior.output_tokens)},
        worst={ANSWER: Usage(calls=calls, prompt_tokens=most, output_tokens=float(written * prior.max_tokens))},
        latency_s=None if prior.output_s is None else length * prior.output_tokens * prior.output_s,
    )
    return replace(made, value=prior.extra.get(made.name))


STRATEGIES: tuple[Strategy, ...] = (DivSe(), IdivSe())
