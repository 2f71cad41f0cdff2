"""Recorded outcomes played back: no model runs, and every row says so."""

from __future__ import annotations

import asyncio
import random
from importlib.metadata import version
from pathlib import Path

from coinfer import jsonfile
from coinfer.errors import EndpointError, InputError, Plain
from coinfer.executor.backends.base import Capabilities, Completion, CompletionReply, CompletionRequest, Facts
from coinfer.executor.backends.conversation import cut, plain_text
from coinfer.profiler.measurement import EnergySource
from coinfer.records import Record


class Outcome(Record, frozen=True, kw_only=True):
    """One line of a file of recorded outcomes.

    Attributes
    ----------
    prompt
        Text that was asked; a prompt may stand on several lines, one per recorded sample.
    text
        Text that was answered.
    output_tokens
        Tokens of it.
    seconds
        How long it took, > 0.
    tokens
        The text cut into its tokens; absent: an answer longer than ``max_tokens`` cannot be cut and is an error.
    logprobs
        Log-probability of each token, natural; absent: not recorded.
    prompt_tokens, energy_j, energy_source
        As measured; absent where they were not.
    """

    prompt: str
    text: str
    output_tokens: int
    seconds: float
    tokens: tuple[str, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int | None = None
    energy_j: float | None = None
    energy_source: EnergySource | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < float("inf"):
            raise InputError("seconds", expected="a finite number above 0", found=self.seconds)
        if self.output_tokens < 0:
            raise InputError("output_tokens", expected="an integer, at least 0", found=self.output_tokens)
        if (self.energy_j is None) != (self.energy_source is None):
            raise InputError(
                "energy_source", expected="a source exactly when energy_j stands", found=self.energy_source
            )
        if self.tokens is not None and (len(self.tokens) != self.output_tokens or "".join(self.tokens) != self.text):
            raise InputError("tokens", expected="output_tokens pieces that make up the text", found=self.tokens)
        if self.logprobs is not None and (
            len(self.logprobs) != self.output_tokens or not all(-float("inf") < each <= 0.0 for each in self.logprobs)
        ):
            raise InputError("logprobs", expected="output_tokens finite numbers, at most 0", found=self.logprobs)


class ReplayBackend:
    """Answers from a JSON Lines file of :class:`Outcome` lines, at once, with the recorded times.

    Greedy requests get the first line of their prompt; sampling draws among its lines with the request's seed, each
    line once in a request as long as there are enough. Requests are independent of each other: two of them may get the
    same line. Log-probabilities are offered where every line has them.

    Raises
    ------
    InputError
        With the line number, for a file that is not what it should be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, list[Outcome]] = {}
        for number, line in enumerate(jsonfile.read_text(path).splitlines(), start=1):
            if line.strip():
                where = f"{path}: line {number}"
                outcome = jsonfile.convert(jsonfile.parse(line, where=where), Outcome, where=where)
                self._outcomes.setdefault(outcome.prompt, []).append(outcome)
        if not self._outcomes:
            raise InputError(str(path), expected="at least one recorded outcome", found=Plain("none"))

    @property
    def facts(self) -> Facts:
        """Names the file as the source of every row."""
        return Facts(engine=f"coinfer replay {version('coinfer')}", source=f"replay of {self._path.name}")

    async def start(self) -> None:
        """Nothing is to be loaded here."""

    async def probe(self) -> Capabilities:
        """Return what a file can offer."""
        known = all(each.logprobs is not None for lines in self._outcomes.values() for each in lines)
        return Capabilities(logprobs=known, samples=True, seeds=True, engine=self.facts.engine)

    async def complete(self, request: CompletionRequest) -> CompletionReply:
        """Return recorded outcomes of the prompt."""
        await asyncio.sleep(0)
        asked = plain_text(request)
        recorded = self._outcomes.get(asked)
        if recorded is None:
            raise EndpointError(f"{self._path.name}: no outcome is recorded for the prompt {asked[:60]!r}")
        if request.temperature > 0.0:
            order = random.Random(str(request.seed))
            chosen = [line for _ in range(-(-request.samples // len(recorded))) for line in _shuffled(recorded, order)]
            chosen = chosen[: request.samples]
        else:
            chosen = [recorded[0]] * request.samples
        energies = [outcome.energy_j for outcome in chosen if outcome.energy_j is not None]
        measured = len(energies) == len(chosen)
        return CompletionReply(
            completions=tuple(cut(self._cut(outcome, request.max_tokens), request) for outcome in chosen),
            prompt_tokens=chosen[0].prompt_tokens,
            seconds=sum(outcome.seconds for outcome in chosen),
            energy_j=sum(energies) if measured else None,
            energy_source=chosen[0].energy_source if measured else None,
        )

    async def close(self) -> None:
        """Nothing is held."""

    def _cut(self, outcome: Outcome, max_tokens: int) -> Completion:
        """Return an outcome within ``max_tokens``."""
        if outcome.output_tokens <= max_tokens:
            return Completion(
                text=outcome.text, output_tokens=outcome.output_tokens, finish="stop", logprobs=outcome.logprobs
            )
        if outcome.tokens is None:
            raise EndpointError(
                f"{self._path.name}: the outcome recorded for {outcome.prompt[:60]!r} has {outcome.output_tokens} "
                f"tokens where at most {max_tokens} are asked for, and no token pieces to cut it at"
            )
        text = "".join(outcome.tokens[:max_tokens])
        known = None if outcome.logprobs is None else outcome.logprobs[:max_tokens]
        return Completion(text=text, output_tokens=max_tokens, finish="length", logprobs=known)


def _shuffled(outcomes: list[Outcome], order: random.Random) -> list[Outcome]:
    return order.sample(outcomes, len(outcomes))
