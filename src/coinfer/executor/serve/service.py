"""What the front does with a request: check it, find its stratum, answer it by the plan."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coinfer.errors import InputError, Plain
from coinfer.executor.budget import Amount
from coinfer.executor.strategies.registry import option_to_run, strategy_named
from coinfer.executor.strategies.scheduler import SessionScheduler, Work
from coinfer.executor.strategies.session import Answer
from coinfer.executor.strategies.strategy import Prompt, Strategy
from coinfer.executor.strategies.work import check_start
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision

MODEL = "coinfer"
"""Name of the model; ``coinfer/STRATUM`` names the stratum too."""
UNSUPPORTED = ("tools", "functions", "tool_choice", "function_call", "audio", "modalities", "prediction")
MOST_MESSAGES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was understood.

    Attributes
    ----------
    text
        The conversation as one text.
    stratum
        Row of the plan.
    max_tokens, temperature
        Of one completion.
    stream, with_usage
        Whether the answer comes in pieces, and its usage in the last.
    """

    text: str
    stratum: int
    max_tokens: int
    temperature: float
    stream: bool
    with_usage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer with what it took, the option that gave it, and why a reply did not come."""

    answer: Answer
    used: Amount
    option: str
    why: str | None = None


class Service:
    """Answers requests by a plan.

    Parameters
    ----------
    problem, decision
        The plan.
    scheduler
        With the endpoints, the caps and the journal.
    max_tokens
        Of one completion where a request does not say, and the most that one may ask for.
    first
        Number of the first request: a resumed journal must not take a new request for an old one.
    programs
        A user's strategies, by their names.
    """

    def __init__(
        self,
        problem: BudgetProblem,
        decision: BudgetDecision,
        scheduler: SessionScheduler,
        *,
        max_tokens: int,
        first: int = 0,
        programs: Mapping[str, Strategy] | None = None,
    ) -> None:
        self._problem, self._scheduler, self._max_tokens, self._programs = problem, scheduler, max_tokens, programs
        names = problem.strata.names or tuple(str(i) for i in range(problem.rows))
        self._place = {name: i for i, name in enumerate(names)}
        self._entries: dict[int, list[tuple[int, int]]] = {}
        for row, option, count in decision.taken.array.astype(int).tolist():
            self._entries.setdefault(row, []).append((option, count))
        self._numbers = itertools.count(first)
        for option in {option for own in self._entries.values() for option, _ in own}:
            column = problem.options[option]
            strategy = strategy_named(column.strategy, programs)  # what cannot be run is said before anybody asks
            nobody = Prompt(id="any request", text="?", max_tokens=max_tokens, temperature=0.8)
            check_start(Work(prompt=nobody, strategy=strategy, option=option_to_run(column.strategy, column.settings)))

    @property
    def models(self) -> tuple[str, ...]:
        """Names that requests may give: with several strata, one for each."""
        return (MODEL, *(f"{MODEL}/{name}" for name in self._place)) if len(self._place) > 1 else (MODEL,)

    def understand(self, body: Any) -> Asked:
        """Read the body of a request to ``/v1/chat/completions``.

        Raises
        ------
        InputError
            In one sentence, for what is no request or asks for what a plan cannot give.
        """
        if not isinstance(body, dict):
            raise InputError("body", expected="a JSON object", found=Plain(type(body).__name__))
        for name in UNSUPPORTED:
            if body.get(name):
                raise InputError(name, expected="none: a plan answers in text", found=Plain("some"))
        if body.get("n") not in (None, 1):
            raise InputError("n", expected="1: the plan decides how many samples there are", found=body["n"])
        stream = body.get("stream") or False
        options = body.get("stream_options") or {}
        if not isinstance(stream, bool) or not isinstance(options, dict):
            raise InputError(
                "stream", expected="true or false, and an object of options", found=Plain("something else")
            )
        most = body.get("max_completion_tokens", body.get("max_tokens"))
        most = self._max_tokens if most is None else most
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= self._max_tokens:
            raise InputError("max_tokens", expected=f"an integer in 1..{self._max_tokens}", found=most)
        heat = body.get("temperature")
        heat = 0.8 if heat is None else heat
        if isinstance(heat, bool) or not isinstance(heat, int | float) or not 0.0 <= heat <= 2.0:
            raise InputError("temperature", expected="a number in 0..2", found=heat)
        return Asked(
            text=conversation(body.get("messages")),
            stratum=self._stratum(body),
            max_tokens=most,
            temperature=float(heat),
            stream=stream,
            with_usage=options.get("include_usage") is True,
        )

    async def answer(self, asked: Asked) -> Given:
        """Answer a request."""
        number = next(self._numbers)
        option = self._problem.options[self._option(asked, number)]
        name = f"request-{number}-{hashlib.sha256(asked.text.encode(errors='replace')).hexdigest()[:12]}"
        prompt = Prompt(id=name, text=asked.text, max_tokens=asked.max_tokens, temperature=asked.temperature)
        strategy = strategy_named(option.strategy, self._programs)
        started = option_to_run(option.strategy, option.settings)
        answer = await self._scheduler.answer(Work(prompt=prompt, strategy=strategy, option=started))
        lost = self._scheduler.lost.pop(name, None)
        why = None if lost is None else lost.reason
        return Given(answer=answer, used=self._scheduler.used.pop(name), option=started.name, why=why)

    def _stratum(self, body: Mapping[str, Any]) -> int:
        """Return the row of a request: by its model's name, else by ``metadata.category``, else the only one."""
        model = body.get("model", MODEL)
        if not isinstance(model, str) or model.partition("/")[0] != MODEL:
            raise InputError("model", expected=f"one of {', '.join(self.models)}", found=model)
        metadata = body.get("metadata")
        name = model.partition("/")[2] or (metadata.get("category") if isinstance(metadata, dict) else None)
        if not name and len(self._place) == 1:
            return 0
        if name not in self._place:
            expected = f"a stratum of the plan, in the model's name or in metadata.category: {', '.join(self._place)}"
            raise InputError("model", expected=expected, found=name or model)
        return self._place[name]

    def _option(self, asked: Asked, number: int) -> int:
        """Return the option of a request; where a stratum has several, they alternate in the plan's proportions."""
        entries = self._entries[asked.stratum]
        total = sum(count for _, count in entries)
        draw = int.from_bytes(hashlib.sha256(f"{number}".encode()).digest()[:6]) % total
        for option, count in entries:
            if draw < count:
                return option
            draw -= count
        return entries[-1][0]


def conversation(messages: Any) -> str:
    """Return a conversation as one text: a single question as it is, turns with their speakers' names.

    Raises
    ------
    InputError
        For what is no conversation that ends with the user.
    """
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise InputError("messages", expected="a list of messages, at least one", found=Plain("something else"))
    turns: list[tuple[str, str]] = []
    for i, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant"):
            raise InputError(f"messages[{i}].role", expected="system, user or assistant", found=role)
        turns.append((role, _text(message.get("content"), i)))
    if turns[-1][0] != "user":
        raise InputError("messages", expected="the user's turn at the end", found=turns[-1][0])
    if len(turns) == 1:
        return turns[0][1]
    names = {"system": "System", "developer": "System", "user": "User", "assistant": "Assistant"}
    return "\n\n".join(f"{names[role]}: {text}" for role, text in turns)


def _text(content: Any, index: int) -> str:
    """Return the text of a message: a string, or parts of type text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        texts = [part.get("text") for part in content]
        if all(isinstance(text, str) for text in texts):
            return "".join(texts)
    raise InputError(f"messages[{index}].content", expected="text", found=Plain("something else"))
