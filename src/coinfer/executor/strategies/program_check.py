"""What a prompt program must be: names that exist, holes that are filled, loops that end, a bounded number of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coinfer.errors import InputError, Plain
from coinfer.executor.strategies.ask import DECODER, RETRIEVER, REWARD, SANDBOX
from coinfer.executor.strategies.prompt_program import (
    AskStage,
    BranchStage,
    Count,
    ExtractStage,
    LoopStage,
    PromptProgram,
    RankStage,
    SearchStage,
    Stage,
    VoteStage,
    holes,
)

MOST_COUNT = 64
MOST_OPTIONS = 24
MOST_DEPTH = 6
MOST_CALLS = 500
"""Stages and calls of the longest way, of all branches together."""
MOST_TOKENS = 1_000_000
MOST_CHARACTERS = 50_000
"""Of a template."""
ITEM, PROMPT = "item", "prompt"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PROGRAM = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of a result: how many texts it may hold, and whether they are with log-probabilities."""

    most: int
    many: bool
    logprobs: bool = False


_Names = dict[str, _Known]


def check(program: PromptProgram) -> None:
    """Raise InputError, with the place inside the program, for what cannot be run."""
    if not _PROGRAM.fullmatch(program.name):
        raise InputError("name", expected="lower-case letters, digits and underscores", found=program.name)
    options = 1
    for name, numbers in program.settings.items():
        _check_name(f"settings.{name}", name)
        good = numbers and len(set(numbers)) == len(numbers) and all(1 <= each <= MOST_COUNT for each in numbers)
        if not good:
            raise InputError(f"settings.{name}", expected=f"different numbers in 1..{MOST_COUNT}", found=list(numbers))
        options *= len(numbers)
    if options > MOST_OPTIONS:
        raise InputError("settings", expected=f"at most {MOST_OPTIONS} combinations", found=options)
    known: _Names = {}
    checker = _Checker({name: max(numbers) for name, numbers in program.settings.items()})
    calls = checker.stages("stages", program.stages, known, 0)
    if calls > MOST_CALLS:
        found = Plain(f"{calls:,}" if calls < 10**12 else "more than can be counted")
        raise InputError("stages", expected=f"at most {MOST_CALLS} stages and calls in all", found=found)
    if program.answer not in known:
        raise _unknown("answer", program.answer, known)
    if known[program.answer].many:
        raise InputError("answer", expected="a result of one text; vote over it first", found=program.answer)


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name) or name in (ITEM, PROMPT):
        raise InputError(where, expected="a name of letters, digits and underscores, not prompt or item", found=name)


def _unknown(where: str, name: str, known: Mapping[str, object]) -> InputError:
    there = ", ".join(list(known)[:8])
    return InputError(where, expected=f"a result of a stage before it ({there or 'there is none'})", found=name)


class _Checker:
    """Goes through stages in the order in which they are done."""

    def __init__(self, settings: Mapping[str, int]) -> None:
        self._settings = settings

    def stages(self, where: str, stages: Sequence[Stage], known: _Names, depth: int) -> int:
        """Check stages, add their results to ``known``, and return how many stages and calls they are."""
        if depth > MOST_DEPTH:
            raise InputError(where, expected=f"stages nested at most {MOST_DEPTH} deep", found=Plain("deeper ones"))
        if not stages and not depth:
            raise InputError(where, expected="at least one stage", found=Plain("none"))
        return sum(self._stage(f"{where}[{i}]", stage, known, depth) for i, stage in enumerate(stages))

    def _stage(self, where: str, stage: Stage, known: _Names, depth: int) -> int:
        _check_name(f"{where}.name", stage.name)
        if isinstance(stage, BranchStage):
            return 1 + self._branch(where, stage, known, depth)
        if isinstance(stage, LoopStage):
            return 1 + self._loop(where, stage, known, depth)
        calls, result = self._single(where, stage, known)
        before = known.get(stage.name)
        if before is not None and (before.most, before.many) != (result.most, result.many):
            expected = f"as many texts as {stage.name!r} had before ({before.most})"
            raise InputError(f"{where}.name", expected=expected, found=result.most)
        known[stage.name] = result
        return 1 + calls

    def _single(
        self, where: str, stage: AskStage | SearchStage | RankStage | ExtractStage | VoteStage, known: _Names
    ) -> tuple[int, _Known]:
        if isinstance(stage, AskStage):
            return self._ask(where, stage, known)
        if isinstance(stage, SearchStage):
            self._template(f"{where}.query", stage.query, known)
            _check_tokens(where, stage.max_tokens)
            return 1, _Known(most=self._count(f"{where}.count", stage.count), many=True)
        if isinstance(stage, RankStage):
            return self._rank(where, stage, known)
        if isinstance(stage, ExtractStage):
            self._result(f"{where}.source", stage.source, known)
            _check_tokens(where, stage.max_tokens)
            if (stage.how == "after") != bool(stage.mark):
                raise InputError(f"{where}.mark", expected="a mark, with how 'after' only", found=stage.mark)
            most = self._count(f"{where}.most", stage.most)
            return 0, _Known(most=most if stage.how == "lines" else 1, many=stage.how == "lines")
        if not stage.over:
            raise InputError(f"{where}.over", expected="at least one result", found=Plain("none"))
        for i, name in enumerate(stage.over):
            voters = self._result(f"{where}.over[{i}]", name, known)
            if stage.weight == "probability" and not voters.logprobs:
                raise InputError(f"{where}.over[{i}]", expected="a result asked for with logprobs", found=name)
        return 0, _Known(most=1, many=False)

    def _ask(self, where: str, stage: AskStage, known: _Names) -> tuple[int, _Known]:
        samples = self._count(f"{where}.samples", stage.samples)
        calls, many = samples, samples > 1 or isinstance(stage.samples, str)
        if stage.each is not None:
            if stage.samples != 1:
                raise InputError(f"{where}.samples", expected="1 with each", found=stage.samples)
            calls, many = self._several(f"{where}.each", stage.each, known).most, True
        self._template(f"{where}.template", stage.template, known, item=stage.each is not None)
        _check_role(f"{where}.role", stage.role)
        if stage.max_tokens is not None:
            _check_tokens(where, stage.max_tokens)
        return calls, _Known(most=calls, many=many, logprobs=stage.logprobs)

    def _rank(self, where: str, stage: RankStage, known: _Names) -> tuple[int, _Known]:
        source = self._several(f"{where}.source", stage.source, known)
        _check_role(f"{where}.role", stage.role)
        _check_tokens(where, stage.max_tokens)
        if stage.template is not None:
            self._template(f"{where}.template", stage.template, known, item=True)
        keep = self._count(f"{where}.keep", stage.keep)
        return source.most, _Known(most=min(keep, source.most), many=True, logprobs=source.logprobs)

    def _branch(self, where: str, stage: BranchStage, known: _Names, depth: int) -> int:
        self._result(f"{where}.on", stage.on, known)
        if not 1 <= len(stage.choices) <= MOST_COUNT:
            raise InputError(f"{where}.choices", expected=f"1..{MOST_COUNT} choices", found=len(stage.choices))
        _check_choices(f"{where}.choices", tuple(stage.choices))
        if stage.otherwise not in stage.choices:
            raise InputError(f"{where}.otherwise", expected="one of the choices", found=stage.otherwise)
        chances = stage.chances
        if chances is not None:
            numbers = list(chances.values())
            good = all(0.0 <= each <= 1.0 for each in numbers) and abs(sum(numbers) - 1.0) < 1e-6
            if set(chances) != set(stage.choices) or not good:
                raise InputError(f"{where}.chances", expected="a chance for each choice, summing to 1", found=chances)
        calls, ends = 0, []
        for choice, own in stage.choices.items():
            after = dict(known)
            calls += self.stages(f"{where}.choices.{choice}", own, after, depth + 1)
            ends.append(after)
        for name in set.intersection(*(set(each) for each in ends)):
            shapes = [each[name] for each in ends]
            if len({(each.most, each.many) for each in shapes}) > 1:
                expected = f"every choice to give {name!r} as many texts"
                raise InputError(f"{where}.choices", expected=expected, found=[each.most for each in shapes])
            with_logprobs = all(each.logprobs for each in shapes)
            known[name] = _Known(most=shapes[0].most, many=shapes[0].many, logprobs=with_logprobs)
        return calls

    def _loop(self, where: str, stage: LoopStage, known: _Names, depth: int) -> int:
        most = self._count(f"{where}.most", stage.most)
        if not stage.stages:
            raise InputError(f"{where}.stages", expected="at least one stage", found=Plain("none"))
        _check_choices(where, (stage.ends, stage.goes_on))
        if stage.chance is not None and not 0.0 <= stage.chance <= 1.0:
            raise InputError(f"{where}.chance", expected="a number in 0..1", found=stage.chance)
        calls = self.stages(f"{where}.stages", stage.stages, known, depth + 1)
        if stage.until not in known:
            raise _unknown(f"{where}.until", stage.until, known)
        return most * calls

    def _count(self, where: str, count: Count) -> int:
        if isinstance(count, str):
            if count not in self._settings:
                raise InputError(where, expected="a number, or the name of a setting", found=count)
            return self._settings[count]
        if not 1 <= count <= MOST_COUNT:
            raise InputError(where, expected=f"a number in 1..{MOST_COUNT}", found=count)
        return count

    def _result(self, where: str, name: str, known: _Names) -> _Known:
        if name not in known:
            raise _unknown(where, name, known)
        return known[name]

    def _several(self, where: str, name: str, known: _Names) -> _Known:
        found = self._result(where, name, known)
        if not found.many:
            raise InputError(where, expected="a result that holds several texts", found=name)
        return found

    def _template(self, where: str, template: str, known: _Names, *, item: bool = False) -> None:
        if not template.strip() or len(template) > MOST_CHARACTERS:
            expected = f"a text of at most {MOST_CHARACTERS:,} characters"
            raise InputError(where, expected=expected, found=Plain(f"{len(template):,}"))
        for name in holes(template):
            if name not in known and name != PROMPT and not (item and name == ITEM):
                there = ", ".join(["prompt", *(["item"] if item else []), *list(known)[:8]])
                raise InputError(where, expected=f"holes of {there}", found=f"{{{name}}}")


def _check_tokens(where: str, tokens: int) -> None:
    if not 1 <= tokens <= MOST_TOKENS:
        raise InputError(f"{where}.max_tokens", expected=f"a number in 1..{MOST_TOKENS:,}", found=tokens)


def _check_role(where: str, role: str) -> None:
    if not role.strip() or not role.isprintable() or role in (REWARD, SANDBOX, RETRIEVER, DECODER):
        raise InputError(where, expected="the role of a language model", found=role)


def _check_choices(where: str, choices: Sequence[str]) -> None:
    if len({each.casefold() for each in choices}) < len(choices):
        raise InputError(where, expected="choices that differ", found=list(choices))
    for each in choices:
        if each != each.strip() or not each or len(each) > 64 or not each.isprintable():
            raise InputError(where, expected="choices of 1 to 64 printable characters", found=each)
