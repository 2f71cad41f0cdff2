r"""What a prompt program takes, derived from its stages.

A call reads :math:`I + k P + \sum_h n_h t_h` tokens: the template, the prompt where the template has it (k times), and
for each other hole the n texts of t tokens of its result; it writes T tokens for each sample. Stages add up. A branch
adds :math:`\sum_c p_c C_c`, at most :math:`\max_c C_c` of each role; a loop of R rounds, of which each is the last with
the chance s, adds :math:`\sum_{r<R} (1-s)^r C_r`, at most all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coinfer.executor.strategies.ask import RETRIEVER, REWARD
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
    holes,
    resolved,
)
from coinfer.executor.strategies.strategy import Prior, Usage, estimated_tokens

_ITEM_MARK = "[1] \n"
Usages = Mapping[str, Usage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long a result is: texts, and tokens of each."""

    items: float
    tokens: float
    many: bool

    def filling(self) -> float:
        """Return the tokens that it fills a hole with."""
        marks = max(0.0, estimated_tokens(_ITEM_MARK) * self.items - estimated_tokens("\n")) if self.many else 0.0
        return self.items * self.tokens + marks

    def mixed(self, other: Size, share: float) -> Size:
        """Return the mean of two, the other with a share."""
        items = (1.0 - share) * self.items + share * other.items
        tokens = (1.0 - share) * self.tokens + share * other.tokens
        return Size(items=items, tokens=tokens, many=self.many)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What stages take: of each role, and seconds where they wait for each other."""

    usage: Usages = field(default_factory=dict)
    seconds: float = 0.0

    def plus(self, other: Taken, share: float = 1.0) -> Taken:
        """Return the sum with a share of another."""
        usage = dict(self.usage)
        for role, used in other.usage.items():
            usage[role] = usage.get(role, Usage()).plus(used.times(share))
        return Taken(usage=usage, seconds=self.seconds + share * other.seconds)

    def most(self, other: Taken) -> Taken:
        """Return the larger of each figure."""
        usage = dict(self.usage)
        for role, used in other.usage.items():
            own = usage.get(role, Usage())
            usage[role] = Usage(
                calls=max(own.calls, used.calls),
                prompt_tokens=max(own.prompt_tokens, used.prompt_tokens),
                output_tokens=max(own.output_tokens, used.output_tokens),
            )
        return Taken(usage=usage, seconds=max(self.seconds, other.seconds))


_Sizes = dict[str, Size]


def expected_usage(program: PromptProgram, settings: Mapping[str, float], prior: Prior) -> Taken:
    """Return what a program takes in the mean: see :class:`coinfer.executor.strategies.programs.PromptStrategy`."""
    return _Mean(program, settings, prior).stages(program.stages, {})


def worst_usage(program: PromptProgram, settings: Mapping[str, float], prior: Prior) -> Taken:
    """Return what a program takes at most."""
    return _Most(program, settings, prior).stages(program.stages, {})


class _Mean:
    """The stages in expectation."""

    def __init__(self, program: PromptProgram, settings: Mapping[str, float], prior: Prior) -> None:
        self._program, self._settings, self._prior = program, settings, prior

    def stages(self, stages: Sequence[Stage], sizes: _Sizes) -> Taken:
        """Return what stages take one after the other, and add their results to the sizes."""
        total = Taken()
        for stage in stages:
            if isinstance(stage, BranchStage):
                total = total.plus(self.branch(stage, sizes))
            elif isinstance(stage, LoopStage):
                total = total.plus(self.loop(stage, sizes))
            else:
                taken, sizes[stage.name] = self._single(stage, sizes)
                total = total.plus(taken)
        return total

    def known(self, name: str, default: float) -> float:
        """Return a figure of the program that was measured, else a default."""
        return self._prior.extra.get(f"{self._program.name}.{name}", default)

    def written(self, name: str, most: int) -> float:
        """Return the tokens of a completion."""
        return min(self.known(f"{name}.tokens", self._prior.output_tokens), self._capped(most))

    def length(self, name: str, guess: float, most: int) -> float:
        """Return the tokens of a passage or of what is extracted, which is at most so long."""
        return min(self.known(f"{name}.tokens", guess), float(most))

    def items(self, name: str, most: float) -> float:
        """Return the texts of a result that may hold so many."""
        return min(self.known(f"{name}.items", most), most)

    def _capped(self, most: int | None) -> int:
        return min(most or self._prior.max_tokens, self._prior.max_tokens)

    def branch(self, stage: BranchStage, sizes: _Sizes) -> Taken:
        """Return the mean of the choices by their chances, measured ones first."""
        names = list(stage.choices)
        given = stage.chances or dict.fromkeys(names, 1.0 / len(names))
        weights = [max(0.0, self.known(f"{stage.name}.{choice}", given[choice])) for choice in names]
        total = sum(weights)
        shares = [weight / total if total > 0.0 else 1.0 / len(names) for weight in weights]
        taken, ends, so_far = Taken(), dict[str, Size](), 0.0
        for choice, share in zip(names, shares, strict=True):
            after = dict(sizes)
            taken = taken.plus(self.stages(stage.choices[choice], after), share)
            so_far += share
            part = share / so_far if so_far > 0.0 else 0.0
            ends = {name: ends[name].mixed(size, part) if name in ends else size for name, size in after.items()}
        sizes.update(ends)
        return taken

    def loop(self, stage: LoopStage, sizes: _Sizes) -> Taken:
        """Return the rounds by the chance that they take place."""
        last = min(1.0, max(0.0, self.known(stage.name, stage.chance or 0.0)))
        most = resolved(stage.most, self._settings)
        taken, left, so_far = Taken(), 1.0, 0.0
        ends: dict[str, Size] = {}
        for r in range(most):
            taken = taken.plus(self.stages(stage.stages, sizes), left)
            ending = left if r == most - 1 else left * last
            so_far += ending
            part = ending / so_far if so_far > 0.0 else 1.0
            ends = {name: ends[name].mixed(size, part) if name in ends else size for name, size in sizes.items()}
            left *= 1.0 - last
        sizes.update(ends)
        return taken

    def _single(
        self, stage: AskStage | SearchStage | RankStage | ExtractStage | VoteStage, sizes: _Sizes
    ) -> tuple[Taken, Size]:
        if isinstance(stage, AskStage):
            return self._ask(stage, sizes)
        if isinstance(stage, SearchStage):
            count = resolved(stage.count, self._settings)
            tokens = self.length(stage.name, float(stage.max_tokens), stage.max_tokens)
            size = Size(items=self.items(stage.name, count), tokens=tokens, many=True)
            return Taken(usage={RETRIEVER: Usage(calls=1)}), size
        if isinstance(stage, RankStage):
            return self._rank(stage, sizes)
        if isinstance(stage, ExtractStage):
            many = stage.how == "lines"
            items = self.items(stage.name, resolved(stage.most, self._settings)) if many else 1.0
            tokens = self.length(stage.name, sizes[stage.source].tokens, stage.max_tokens)
            return Taken(), Size(items=items, tokens=tokens, many=many)
        tokens = max(sizes[name].tokens for name in stage.over)
        return Taken(), Size(items=1.0, tokens=tokens, many=False)

    def _ask(self, stage: AskStage, sizes: _Sizes) -> tuple[Taken, Size]:
        samples = resolved(stage.samples, self._settings)
        asks, item = 1.0, None
        if stage.each is not None:
            item = sizes[stage.each]
            asks = item.items
        written = self.written(stage.name, self._capped(stage.max_tokens))
        used = Usage(
            calls=asks * samples,
            prompt_tokens=asks * self._read(stage.template, sizes, item),
            output_tokens=asks * samples * written,
        )
        many = stage.each is not None or isinstance(stage.samples, str) or samples > 1
        seconds = written * (self._prior.output_s or 0.0)
        return Taken(usage={stage.role: used}, seconds=seconds), Size(items=asks * samples, tokens=written, many=many)

    def _rank(self, stage: RankStage, sizes: _Sizes) -> tuple[Taken, Size]:
        source = sizes[stage.source]
        keep = min(float(resolved(stage.keep, self._settings)), source.items)
        size = Size(items=keep, tokens=source.tokens, many=True)
        if stage.template is None:
            read = source.items * source.tokens
            used = Usage(calls=source.items, prompt_tokens=source.items * self._prior.prompt_tokens, output_tokens=read)
            return Taken(usage={REWARD: used}), size
        written = self.written(stage.name, self._capped(stage.max_tokens))
        used = Usage(
            calls=source.items,
            prompt_tokens=source.items * self._read(stage.template, sizes, source),
            output_tokens=source.items * written,
        )
        return Taken(usage={stage.role: used}, seconds=written * (self._prior.output_s or 0.0)), size

    def _read(self, template: str, sizes: _Sizes, item: Size | None) -> float:
        total = estimated_tokens(filled(template, lambda _: ""))
        for name in holes(template):
            if name == PROMPT:
                total += self._prior.prompt_tokens
            elif name == ITEM and item is not None:
                total += item.tokens
            else:
                total += sizes[name].filling()
        return total


class _Most(_Mean):
    """The stages at their worst: every text as long, and every way as dear, as it may be."""

    def known(self, name: str, default: float) -> float:  # noqa: ARG002  # what was measured is no bound
        """Return the default."""
        return default

    def written(self, name: str, most: int) -> float:  # noqa: ARG002
        """Return all tokens."""
        return float(most)

    def length(self, name: str, guess: float, most: int) -> float:  # noqa: ARG002
        """Return all tokens."""
        return float(most)

    def branch(self, stage: BranchStage, sizes: _Sizes) -> Taken:
        """Return the most that any choice takes of each role."""
        taken, ends = Taken(), dict[str, Size]()
        for own in stage.choices.values():
            after = dict(sizes)
            taken = taken.most(self.stages(own, after))
            ends = {name: _longer(ends.get(name, size), size) for name, size in after.items()} | {
                name: size for name, size in ends.items() if name not in after
            }
        sizes.update(ends)
        return taken

    def loop(self, stage: LoopStage, sizes: _Sizes) -> Taken:
        """Return all rounds."""
        taken = Taken()
        ends: dict[str, Size] = {}
        for _ in range(resolved(stage.most, self._settings)):
            taken = taken.plus(self.stages(stage.stages, sizes))
            ends = {name: _longer(ends.get(name, size), size) for name, size in sizes.items()}
        sizes.update(ends)
        return taken


def _longer(first: Size, second: Size) -> Size:
    items, tokens = max(first.items, second.items), max(first.tokens, second.tokens)
    return Size(items=items, tokens=tokens, many=first.many)
