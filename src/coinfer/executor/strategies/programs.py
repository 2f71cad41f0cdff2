"""Prompt programs as strategies: those that come with the package, and a user's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources

from coinfer import jsonfile
from coinfer.errors import InputError, RequestError
from coinfer.executor.strategies.program_check import MOST_COUNT
from coinfer.executor.strategies.program_cost import expected_usage, worst_usage
from coinfer.executor.strategies.program_run import run
from coinfer.executor.strategies.prompt_program import (
    FORMAT,
    AskStage,
    BranchStage,
    LoopStage,
    PromptProgram,
    RankStage,
    SearchStage,
    Stage,
    read_program,
)
from coinfer.executor.strategies.session import Session
from coinfer.executor.strategies.strategy import Need, Prior, Prompt, Strategy, StrategyOption

SHIPPED = ("iep", "far", "coin", "idp", "thinksum", "thinksum_vote", "search_rank_extract")
"""Programs in the folder ``prompt_programs``, by their files' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStrategy:
    """A prompt program, run stage by stage.

    Settings: those of the program; each combination is an option. Value: what was measured of the option, or
    ``Prior.extra`` by the option's name, else ``None``. Cost: derived from the stages, see
    :mod:`coinfer.executor.strategies.program_cost`. ``Prior.extra`` may say, of the program ``PROGRAM``:
    ``PROGRAM.BRANCH.CHOICE``, how often a choice is taken (else the program's ``chances``, else all alike);
    ``PROGRAM.LOOP``, the chance that a round is the last (else the program's ``chance``, else 0);
    ``PROGRAM.RESULT.tokens`` and ``PROGRAM.RESULT.items``, mean tokens of each text of a result, and their number (else
    as many as there may be).

    Attributes
    ----------
    program
        The program.
    name
        Of the strategy. A user's program is named with eight digits of its hash: a plan holds for the program that was
        piloted, and for no other that took its name.
    """

    program: PromptProgram
    name: str

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return an option for each combination of settings."""
        return tuple(self._option(settings, prior) for settings in self.program.combinations())

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Go through the stages."""
        for name in self.program.settings:
            found = option.settings.get(name, 0.0)
            if not (1 <= found <= MOST_COUNT and found == int(found)):
                expected = f"a whole number from 1 to {MOST_COUNT}"
                raise RequestError(f"settings.{name}", expected=expected, found=found)
        return run(self.program, prompt, option.settings)

    def _option(self, settings: dict[str, float], prior: Prior) -> StrategyOption:
        mean = expected_usage(self.program, settings, prior)
        made = StrategyOption(
            strategy=self.name,
            settings=settings,
            value=None,
            expected=mean.usage,
            worst=worst_usage(self.program, settings, prior).usage,
            latency_s=None if prior.output_s is None else mean.seconds,
            needs=needs_of(self.program.stages),
        )
        return replace(made, value=prior.extra.get(made.name))


def needs_of(stages: tuple[Stage, ...]) -> frozenset[Need]:
    """Return what stages need."""
    found: set[Need] = set()
    for stage in stages:
        if isinstance(stage, AskStage):
            found |= {"completions", "logprobs"} if stage.logprobs else {"completions"}
        elif isinstance(stage, SearchStage):
            found.add("retriever")
        elif isinstance(stage, RankStage):
            found.add("reward" if stage.template is None else "completions")
        elif isinstance(stage, BranchStage):
            found |= frozenset[Need]().union(*(needs_of(own) for own in stage.choices.values()))
        elif isinstance(stage, LoopStage):
            found |= needs_of(stage.stages)
    return frozenset(found)


def own_program(path: str | os.PathLike[str]) -> PromptStrategy:
    """Return the strategy of a user's file.

    Raises
    ------
    InputError
        If the file is no prompt program.
    """
    program = read_program(path)
    return PromptStrategy(program=program, name=f"{program.name}@{jsonfile.sha256(program)[:8]}")


def own_programs(paths: Iterable[str | os.PathLike[str]]) -> dict[str, PromptStrategy]:
    """Return the strategies of a user's files, by their names.

    Raises
    ------
    InputError
        If a file is no prompt program, or two programs have the same name.
    """
    found: dict[str, PromptStrategy] = {}
    for path in paths:
        made = own_program(path)
        if any(each.program.name == made.program.name for each in found.values()):
            raise InputError(f"{path}: name", expected="each program once", found=made.program.name)
        found[made.name] = made
    return found


def _shipped(name: str) -> PromptStrategy:
    """Return a program of the package."""
    where = f"prompt_programs/{name}.json"
    text = resources.files(__package__).joinpath("prompt_programs", f"{name}.json").read_text(encoding="utf-8")
    data = jsonfile.parse(text, where=where)
    if data.pop("format") != FORMAT:
        raise InputError(where, expected=FORMAT, found=text[:40])
    return PromptStrategy(program=jsonfile.convert(data, PromptProgram, where=where), name=name)


STRATEGIES: tuple[Strategy, ...] = tuple(_shipped(name) for name in SHIPPED)
