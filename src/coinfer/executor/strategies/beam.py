"""Beam search over steps, with lookahead, and diverse verifier tree search: prefixes chosen by a reward model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coinfer.errors import RequestError
from coinfer.executor.strategies.agents import MOST_SAMPLES, whole
from coinfer.executor.strategies.ask import ANSWER, REWARD
from coinfer.executor.strategies.session import Session
from coinfer.executor.strategies.stepwise import Allowance, Path, Paths, StepRule, Writer, chosen_answer, shares
from coinfer.executor.strategies.stepwise_costs import NO_STEPS, Pass, mean_steps, step_option, worst_usage
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption

SIZES = ((4, 2, 0), (8, 2, 0), (8, 4, 0), (16, 4, 0), (32, 4, 0), (64, 4, 0), (64, 8, 0), (8, 4, 1), (16, 4, 1))
"""Candidates, width and lookahead of the menu: M of 4 or the root of N, as in Snell et al."""
TREES = ((4, 2), (8, 2), (8, 4), (16, 4), (32, 4), (64, 4))
"""Candidates and width of independent subtrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """Settings as whole numbers."""

    candidates: int
    width: int
    lookahead: int
    weighted: bool

    @property
    def kept(self) -> int:
        """Candidates that are gone on from: N / M, at least one."""
        return max(1, self.candidates // self.width)

    @property
    def search(self) -> Pass:
        """The search as its costs are counted."""
        return Pass(candidates=self.candidates, calls=self.kept, lookahead=self.lookahead)


class Beam:
    """Beam search over steps: N first steps, the best N / M by reward kept, M continuations of each.

    Settings: ``candidates`` N; ``width`` M; ``lookahead`` k, steps that every candidate is rolled on greedily before
    the reward model scores it; ``weighted`` 1 for the largest sum of scores among equal answers, 0 for the best score.
    Where M does not divide N, N / M is rounded down and the better prefixes get one continuation more: every round has
    N candidates, the first too. A solution that has ended keeps its place by its score and is written no further.

    Value: what was measured of the option (``Prior.extra`` by its name), else ``None``: it depends on how well the
    reward tells good steps, which no prior says. Cost:
    :func:`~coinfer.executor.strategies.stepwise_costs.expected_usage` with K = N / M calls a round and D mean steps
    (``Prior.extra["steps"]``; without it no option); its worst case is N (k + 1) whole completions written, in
    ``rounds`` rounds.

    Parameters
    ----------
    rule
        Where steps end.

    Notes
    -----
    Snell et al. 2408.03314, section 5.2; they roll k steps and charge N (k + 1).
    """

    name = "beam"
    without = NO_STEPS

    def __init__(self, rule: StepRule | None = None) -> None:
        self.rule = rule or StepRule()

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Return candidates, width and lookahead of the menu."""
        return SIZES

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return beams of several sizes; none where the number of steps is not known."""
        steps = mean_steps(prior, self.rule)
        if steps is None:
            return ()
        made = []
        for n, m, k in self.sizes():
            settings = {"candidates": float(n), "width": float(m), "lookahead": float(k), "weighted": 1.0}
            made.append(step_option(self.name, settings, prior, self.rule, (_numbers(settings).search,), steps))
        return tuple(made)

    def trees(self, numbers: _Numbers) -> int:  # noqa: ARG002  # one, whatever they are
        """Return how many searches are made side by side."""
        return 1

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Search."""
        numbers = _numbers(option.settings)
        most = worst_usage(0.0, prompt.max_tokens, self.rule, numbers.search)
        writer = Writer(
            prompt=prompt,
            rule=self.rule,
            allowance=Allowance(written_tokens=most[ANSWER].output_tokens, scored_tokens=most[REWARD].output_tokens),
        )
        return _searched(writer, numbers, self.trees(numbers))


class DiverseTrees(Beam):
    """Diverse verifier tree search: N / M independent subtrees, in each the best of M steps is gone on from.

    Settings, value and cost are those of :class:`Beam`: it takes the same, but no subtree can crowd out another.

    Notes
    -----
    Beeching, Tunstall and Rush 2024, "Scaling test-time compute with open models" (Hugging Face, search-and-learn).
    """

    name = "dvts"
    without = NO_STEPS

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Return candidates, width and lookahead of the menu."""
        return tuple((n, m, 0) for n, m in TREES)

    def trees(self, numbers: _Numbers) -> int:
        """Return how many searches are made side by side."""
        return numbers.kept


def _numbers(settings: Mapping[str, float]) -> _Numbers:
    """Read settings, or raise RequestError."""
    n, m = (whole(settings, name, 1, MOST_SAMPLES) for name in ("candidates", "width"))
    k = whole({"lookahead": 0.0, **settings}, "lookahead", 0, MOST_SAMPLES)
    if m > n:
        raise RequestError("settings", expected="candidates from the width up, width from 1", found=(n, m, k))
    return _Numbers(
        candidates=n, width=m, lookahead=k, weighted=bool(whole({"weighted": 1.0, **settings}, "weighted", 0, 1))
    )


@dataclass(slots=True, kw_only=True)
class _Tree:
    """One search: what is gone on from, whole solutions, and solutions that could not be gone on with."""

    size: int
    kept: int
    growing: list[Path]
    ended: list[Path]
    lost: list[Path]

    @property
    def counts(self) -> list[int]:
        """Continuations of each growing path, best first: places of whole solutions are not handed on."""
        return shares(self.size, self.kept)[: len(self.growing)]

    def select(self, children: Sequence[Path]) -> None:
        """Keep the best; whole solutions stay, whatever their place."""
        self.ended += [path for path in children if path.ended]
        going = [path for path in children if not path.ended]
        best = sorted([*self.ended, *going], key=lambda path: -path.score)[: self.kept]
        self.growing = [path for path in best if not path.ended]


def _searched(writer: Writer, numbers: _Numbers, trees: int) -> Session:
    """Search in every tree, all of them in the same rounds."""
    forest = [
        _Tree(size=size, kept=max(1, numbers.kept // trees), growing=[], ended=[], lost=[])
        for size in shares(numbers.candidates, trees)
    ]
    rounds = 0
    (first,) = yield from writer.extended([Path()], [numbers.candidates], temperature=writer.prompt.temperature)
    groups = [first[sum(t.size for t in forest[:i]) :][: tree.size] for i, tree in enumerate(forest)]
    while any(groups):
        rounds += 1
        flat = [path for group in groups for path in group]
        scored = yield from _scored(writer, flat, numbers.lookahead)
        places = iter(scored)
        for tree, group in zip(forest, groups, strict=True):
            tree.select([next(places) for _ in group])
        parents = [
            (i, path, count) for i, t in enumerate(forest) for path, count in zip(t.growing, t.counts, strict=True)
        ]
        if rounds == writer.rule.rounds or not parents:
            break
        children = yield from writer.extended(
            [path for _, path, _ in parents], [count for *_, count in parents], temperature=writer.prompt.temperature
        )
        groups = [[] for _ in forest]
        for (i, path, _), own in zip(parents, children, strict=True):
            groups[i] += own
            forest[i].lost += [] if own else [path]
    whole = [path for tree in forest for path in tree.ended]
    found = whole or [path for tree in forest for path in (*tree.growing, *tree.lost)]
    details = {"rounds": float(rounds), "solutions": float(len(whole))}
    weights = [max(0.0, path.score) for path in found]
    return chosen_answer(
        writer.prompt, found, weights, vote=numbers.weighted, separator=writer.rule.separator, details=details
    )


def _scored(writer: Writer, paths: list[Path], lookahead: int) -> Paths:
    """Score paths by where they lead when each is rolled on greedily."""
    rolled = list(paths)
    for _ in range(lookahead):
        going = [i for i, path in enumerate(rolled) if not path.ended]
        if not going:
            break
        further = yield from writer.extended([rolled[i] for i in going], [1] * len(going), temperature=0.0)
        for i, own in zip(going, further, strict=True):
            rolled[i] = own[0] if own else rolled[i]
    seen = yield from writer.scored(rolled)
    return [
        path if len(path.steps) == len(path.scores) else replace(path, scores=(*path.scores, ahead.score))
        for path, ahead in zip(paths, seen, strict=True)
    ]


STRATEGIES: tuple[Strategy, ...] = (Beam(), DiverseTrees())
