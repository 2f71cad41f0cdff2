"""The interpreter of prompt programs: a session that goes through the stages.

What models and retrievers wrote is data. It fills holes, once; it is read for choices that the program names, for lines
and for numbers; it never names a stage, a role or a count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coinfer.executor.backends.base import Completion
from coinfer.executor.strategies.agents import CLOSE, OPEN
from coinfer.executor.strategies.ask import Found, Reply, Sample, Sampled, Score, Scored, Search
from coinfer.executor.strategies.confidence import mean_logprob
from coinfer.executor.strategies.program_check import ITEM, PROMPT
from coinfer.executor.strategies.prompt_program import (
    AskStage,
    BranchStage,
    ExtractStage,
    LoopStage,
    PromptProgram,
    RankStage,
    SearchStage,
    Stage,
    VoteStage,
    filled,
    resolved,
)
from coinfer.executor.strategies.session import Answer, Session, Step, user
from coinfer.executor.strategies.strategy import CHARACTERS_PER_TOKEN, Prompt
from coinfer.executor.strategies.tally import weighted_answer

MOST_QUERY_CHARACTERS = 2_000
_LIST_MARK = re.compile(r"^(?:[-*\u2022]|\(?\d{1,3}[.):])\s+")
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,9}(?:\.\d{1,9})?(?!\w|\.\d)")

Part = Generator[Step, tuple[Reply, ...], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a stage gave.

    Attributes
    ----------
    texts
        Completions, passages, lines; those that are missing are left out.
    tokens
        Most of one text, where it fills a hole.
    many
        Whether they are numbered there, however many have come.
    answer
        How a vote came out.
    """

    texts: tuple[Completion, ...]
    tokens: int
    many: bool = False
    answer: Answer | None = None

    def shown(self) -> str:
        """Return what fills a hole."""
        shown = [plain(each.text, self.tokens) for each in self.texts]
        if self.many:
            return "\n".join(f"[{i}] {text}" for i, text in enumerate(shown, 1))
        return shown[0] if shown else ""


@dataclass(slots=True, kw_only=True)
class _State:
    prompt: Prompt
    settings: Mapping[str, float]
    results: dict[str, Result] = field(default_factory=dict)
    latest: list[Completion] = field(default_factory=list)
    details: dict[str, float] = field(default_factory=dict)


def plain(text: str, tokens: int) -> str:
    """Return the end of a text, at most so many tokens of it, without the marks that fence quotations.

    >>> plain("one >>> two", 2)
    ' \u203a\u203a\u203a two'
    """
    kept = text[-max(1, int(tokens * CHARACTERS_PER_TOKEN)) :]
    return kept.replace(OPEN, "\u2039" * 3).replace(CLOSE, "\u203a" * 3)


def chosen(texts: Sequence[str], choices: Sequence[str]) -> str | None:
    """Return the choice that is named last in a text; of several texts, the most frequent, ties to the first.

    >>> chosen(["Not STEPS, rather: direct."], ["steps", "direct"])
    'direct'
    """
    found: Counter[str] = Counter()
    for text in texts:
        ends = [
            (match.end(), len(choice), choice)
            for choice in choices
            for match in re.finditer(rf"(?<!\w){re.escape(choice)}(?!\w)", text, re.IGNORECASE)
        ]
        if ends:
            found[max(ends)[2]] += 1
    return found.most_common(1)[0][0] if found else None


def last_number(text: str) -> float | None:
    """Return the last number in a text.

    >>> last_number("7 of 10; so 7.5.")
    7.5
    """
    found = _NUMBER.findall(text)
    return float(found[-1]) if found else None


def run(program: PromptProgram, prompt: Prompt, settings: Mapping[str, float]) -> Session:
    """Go through the stages, and hand out the answer.

    Where it is missing, the latest completion in which the workload's extractor reads an answer stands in, else the
    latest of all.
    """
    state = _State(prompt=prompt, settings=settings)
    yield from _stages(program.stages, state)
    result = state.results[program.answer]
    if result.answer is not None and result.answer.text is not None:
        return replace(result.answer, details=state.details)
    last = result.texts[0] if result.texts else None
    if last is None:
        read = (each for each in reversed(state.latest) if prompt.answer_of(each.text) is not None)
        last = next(read, state.latest[-1] if state.latest else None)
    if last is None:
        return Answer(text=None, details=state.details)
    return Answer(text=last.text, value=prompt.answer_of(last.text), details=state.details)


def _stages(stages: Sequence[Stage], state: _State) -> Part:
    for stage in stages:
        if isinstance(stage, AskStage):
            yield from _ask(stage, state)
        elif isinstance(stage, SearchStage):
            yield from _search(stage, state)
        elif isinstance(stage, RankStage):
            yield from _rank(stage, state)
        elif isinstance(stage, ExtractStage):
            state.results[stage.name] = _extracted(stage, state)
        elif isinstance(stage, VoteStage):
            state.results[stage.name] = _voted(stage, state)
        elif isinstance(stage, BranchStage):
            choice = chosen(_texts(stage.on, state), tuple(stage.choices)) or stage.otherwise
            state.details[f"{stage.name}.{choice}"] = state.details.get(f"{stage.name}.{choice}", 0.0) + 1.0
            yield from _stages(stage.choices[choice], state)
        else:
            yield from _loop(stage, state)


def _loop(stage: LoopStage, state: _State) -> Part:
    for _ in range(resolved(stage.most, state.settings)):
        state.details[stage.name] = state.details.get(stage.name, 0.0) + 1.0
        yield from _stages(stage.stages, state)
        said = _texts(stage.until, state)
        if not said or chosen(said, (stage.ends, stage.goes_on)) == stage.ends:
            return


def _texts(name: str, state: _State) -> list[str]:
    return [each.text for each in state.results[name].texts]


def _asked(template: str, state: _State, item: str = "") -> str:
    def text_of(name: str) -> str:
        if name == PROMPT:
            return state.prompt.text
        return item if name == ITEM else state.results[name].shown()

    return filled(template, text_of)


def _ask(stage: AskStage, state: _State) -> Part:
    tokens = min(stage.max_tokens or state.prompt.max_tokens, state.prompt.max_tokens)
    samples = resolved(stage.samples, state.settings)
    varied = stage.varied or samples > 1
    items = [""]
    if stage.each is not None:
        source = state.results[stage.each]
        items = [plain(each.text, source.tokens) for each in source.texts]
    asks = tuple(
        Sample(
            messages=user(_asked(stage.template, state, item)),
            max_tokens=tokens,
            count=samples,
            temperature=state.prompt.temperature if varied else 0.0,
            role=stage.role,
            logprobs=stage.logprobs,
        )
        for item in items
    )
    found: list[Completion] = []
    if asks:
        for reply in (yield Step(asks=asks)):
            found += reply.completions if isinstance(reply, Sampled) else ()
    many = stage.each is not None or isinstance(stage.samples, str) or samples > 1
    state.results[stage.name] = Result(texts=tuple(found), tokens=tokens, many=many)
    state.latest += found


def _search(stage: SearchStage, state: _State) -> Part:
    count = resolved(stage.count, state.settings)
    query = _asked(stage.query, state)[:MOST_QUERY_CHARACTERS]
    (reply,) = yield Step(asks=(Search(query=query, count=count),))
    passages = reply.passages[:count] if isinstance(reply, Found) else ()
    texts = tuple(_text(passage[: int(stage.max_tokens * CHARACTERS_PER_TOKEN)]) for passage in passages)
    state.results[stage.name] = Result(texts=texts, tokens=stage.max_tokens, many=True)


def _rank(stage: RankStage, state: _State) -> Part:
    source = state.results[stage.source]
    scores: list[float | None] = []
    if not source.texts:
        pass
    elif stage.template is None:
        answers = tuple((plain(each.text, source.tokens),) for each in source.texts)
        (reply,) = yield Step(asks=(Score(messages=user(state.prompt.text), answers=answers),))
        given = reply.scores if isinstance(reply, Scored) else ()
        scores = [each[-1] if each else None for each in given]
    else:
        tokens = min(stage.max_tokens, state.prompt.max_tokens)
        items = [plain(each.text, source.tokens) for each in source.texts]
        asked = tuple(
            Sample(messages=user(_asked(stage.template, state, item)), max_tokens=tokens, role=stage.role)
            for item in items
        )
        replies = yield Step(asks=asked)
        said = [reply.completions if isinstance(reply, Sampled) else () for reply in replies]
        scores = [last_number(each[0].text) if each else None for each in said]
    scores += [None] * (len(source.texts) - len(scores))
    worth = [-math.inf if each is None or math.isnan(each) else each for each in scores]
    order = sorted(range(len(source.texts)), key=lambda i: -worth[i])  # equal ones stay in the order they were in
    kept = order[: resolved(stage.keep, state.settings)]
    state.results[stage.name] = Result(texts=tuple(source.texts[i] for i in kept), tokens=source.tokens, many=True)


def _extracted(stage: ExtractStage, state: _State) -> Result:
    found: list[str] = []
    for text in _texts(stage.source, state):
        if stage.how == "lines":
            lines = (_LIST_MARK.sub("", line.strip()).strip() for line in text.splitlines())
            found += [line for line in lines if line]
        elif stage.how == "after":
            matches = list(re.finditer(re.escape(stage.mark or ""), text, re.IGNORECASE))
            rest = text[matches[-1].end() :] if matches else ""
            line = (rest.splitlines() or [""])[0].strip()
            found += [line] if line else []
        else:
            value = state.prompt.answer_of(text)
            found += [] if value is None else [value]
    many = stage.how == "lines"
    most = resolved(stage.most, state.settings) if many else 1
    room = int(stage.max_tokens * CHARACTERS_PER_TOKEN)
    texts = tuple(_text(each[:room]) for each in found[:most])
    return Result(texts=texts, tokens=stage.max_tokens, many=many)


def _voted(stage: VoteStage, state: _State) -> Result:
    votes = [each for name in stage.over for each in state.results[name].texts]
    weighed = [(each, math.exp(mean_logprob(each)) if stage.weight == "probability" else 1.0) for each in votes]
    answer = weighted_answer(state.prompt, weighed)
    texts = () if answer.text is None else (_text(answer.text),)
    return Result(texts=texts, tokens=max(state.results[name].tokens for name in stage.over), answer=answer)


def _text(text: str) -> Completion:
    """Return a text that no model wrote just now."""
    return Completion(text=text, output_tokens=0, finish="stop", logprobs=None)
