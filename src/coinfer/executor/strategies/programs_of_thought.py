"""Reasoning in words and reasoning in programs, each checking the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from coinfer.executor.backends.base import Completion
from coinfer.executor.checkers.programs import program_of
from coinfer.executor.strategies.agents import Turn, planned, whole
from coinfer.executor.strategies.ask import ANSWER, SANDBOX, Ran, Reply, RunProgram, Sample, Sampled
from coinfer.executor.strategies.session import Session, Step, user
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption, Usage
from coinfer.executor.strategies.tally import weighted_answer

SIZES = ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4), (8, 4), (8, 8), (16, 8))
"""Chains of thought, and programs."""
MOST_SAMPLES = 1000
MOST_OUTPUT_CHARACTERS = 20_000
REASON = "\n\nReason step by step, then give the answer."
PROGRAM = (
    "\n\nWrite a Python program that computes the answer to this and prints it, as the last thing, in a sentence of "
    'the form "The answer is ...". It reads no input. Give the whole program in one fenced block of code.'
)
SENTENCE = "The answer is "
"""Put before the last line that a program prints where the workload's extractor reads no answer in the output."""
Running = Generator[Step, tuple[Reply, ...], tuple[Completion, ...]]


class ChainAndProgram:
    r"""Answers in words that a program agrees with; where none is agreed with, a vote of all.

    n chains of thought and m programs are sampled at once; the programs run in the sandbox. A chain is kept where some
    program printed its answer, and of the answers that are kept the one with the most chains and programs wins. Where
    no program agrees with any chain, all chains and programs that ran vote.

    Settings: ``chains`` n, ``programs`` m. Value: what was measured, or ``None``: it depends on how often words and
    programs err in the same way. Cost: n samples of P + I tokens and m of P + I', each prompt read once, n + m
    completions of T, and m programs in the sandbox.

    Notes
    -----
    Collaborative verification: Liang et al. 2410.05318, section 3; programs of thought: Chen et al. 2211.12588. Their
    trained verifiers are not used.
    """

    name = "chain_and_program"

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return several sizes."""
        return tuple(_option(self.name, prior, chains, programs) for chains, programs in SIZES)

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Reason, write programs, run them, and compare."""
        chains = whole(option.settings, "chains", 1, MOST_SAMPLES)
        return _compared(prompt, chains, whole(option.settings, "programs", 1, MOST_SAMPLES))


def printed(prompt: Prompt, reply: Reply) -> str | None:
    """Return the text of what a program printed in which an answer is read; ``None``: it failed or there is none."""
    if not isinstance(reply, Ran) or reply.ended != "ok":
        return None
    shown = reply.stdout.strip()[-MOST_OUTPUT_CHARACTERS:]
    if not shown:
        return None
    sentence = SENTENCE + shown.splitlines()[-1]
    return next((text for text in (shown, sentence) if prompt.answer_of(text) is not None), None)


def _compared(prompt: Prompt, chains: int, programs: int) -> Session:
    asked = ((REASON, chains), (PROGRAM, programs))
    asks = tuple(
        Sample(
            messages=user(prompt.text + told),
            max_tokens=prompt.max_tokens,
            count=count,
            temperature=prompt.temperature,
        )
        for told, count in asked
    )
    words, code = ((reply.completions if isinstance(reply, Sampled) else ()) for reply in (yield Step(asks=asks)))
    ran = yield from _ran(prompt, code)
    computed = {prompt.answer_of(each.text) for each in ran}
    kept = [each for each in words if prompt.answer_of(each.text) in computed]
    agreed = {prompt.answer_of(each.text) for each in kept}
    # Chains come first, so that their words are handed out for an answer that both have.
    counted = [*kept, *(each for each in ran if prompt.answer_of(each.text) in agreed)] if kept else [*words, *ran]
    details = {"kept": float(len(kept)), "programs": float(len(ran))}
    return weighted_answer(prompt, [(each, 1.0) for each in counted], details=details)


def _ran(prompt: Prompt, code: Sequence[Completion]) -> Running:
    """Run the programs in the completions; return completions with what was printed, where it holds an answer."""
    written = [(each, program) for each in code if (program := program_of(each.text)) is not None]
    if not written:
        return ()
    replies = yield Step(asks=tuple(RunProgram(source=program) for _, program in written))
    found = [(each, printed(prompt, reply)) for (each, _), reply in zip(written, replies, strict=True)]
    return tuple(replace(each, text=text) for each, text in found if text is not None)


def _option(name: str, prior: Prior, chains: int, programs: int) -> StrategyOption:
    turns = (
        Turn(role=ANSWER, template=REASON, samples=chains),
        Turn(role=ANSWER, template=PROGRAM, samples=programs),
    )
    option = planned(name, {"chains": float(chains), "programs": float(programs)}, prior, turns, steps=1.0)
    run = {SANDBOX: Usage(calls=programs)}
    return replace(
        option,
        expected={**option.expected, **run},
        worst={**option.worst, **run},
        needs=frozenset({"completions", "sandbox"}),
    )


STRATEGIES: tuple[Strategy, ...] = (ChainAndProgram(),)
