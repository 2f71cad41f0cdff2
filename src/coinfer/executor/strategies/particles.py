"""Particle filter and particle Gibbs over steps: prefixes resampled in proportion to the odds of their reward."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coinfer.errors import RequestError
from coinfer.executor.strategies.agents import MOST_SAMPLES, whole
from coinfer.executor.strategies.ask import ANSWER, REWARD, Reply
from coinfer.executor.strategies.session import Session, Step
from coinfer.executor.strategies.stepwise import Allowance, Path, StepRule, Writer, chosen_answer, shares
from coinfer.executor.strategies.stepwise_costs import NO_STEPS, Pass, mean_steps, step_option, total, worst_usage
from coinfer.executor.strategies.strategy import Prior, Prompt, Strategy, StrategyOption
from coinfer.solver.program import FloatArray, IntArray

CLOSEST = 1e-6
"""Rewards are taken to be at least so far from 0 and from 1: a reward of 1 is no proof."""

Filtered = Generator[Step, tuple[Reply, ...], list[Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """Settings as whole numbers."""

    particles: int
    iterations: int
    references: int
    systematic: bool
    vote: bool

    @property
    def free(self) -> list[int]:
        """Particles of each iteration that are no references: those that are written."""
        sizes = shares(self.particles, self.iterations)
        return [sizes[0], *(size - self.references for size in sizes[1:])]

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Iterations as their costs are counted: every particle is a call of its own after the first step."""
        return tuple(Pass(candidates=size, calls=size) for size in self.free)


class ParticleFilter:
    """Particle filter over steps: N particles of one step each, resampled by reward, until all have ended.

    Settings: ``particles`` N; ``systematic`` 1 for systematic resampling (least noise), 0 for multinomial as in the
    paper; ``vote`` 1 for the answer with the largest sum of weights, 0 for the particle with the largest. The weight
    of a particle is the softmax over particles of the logit of its prefix's reward, which is its odds over the sum of
    odds. A particle that has ended keeps its weight, and is resampled with the others. Resampling is drawn with a seed
    made of the prompt's id, the settings, the iteration and the step: the same replies give the same answer.

    Value: what was measured of the option (``Prior.extra`` by its name), else ``None``. Cost:
    :func:`~coinfer.executor.strategies.stepwise_costs.expected_usage` with N calls a round, also where particles are
    copies of one prefix, so that it does not hang on the rewards; ``Prior.extra["steps"]`` is the mean number of
    steps, without it there is no option. Worst case: N whole completions.

    Parameters
    ----------
    rule
        Where steps end.

    Notes
    -----
    Puri et al. 2502.01618, algorithm 1; systematic resampling as in Kitagawa 1996.
    """

    name = "particle_filter"
    without = NO_STEPS

    def __init__(self, rule: StepRule | None = None) -> None:
        self.rule = rule or StepRule()

    def menu(self) -> tuple[dict[str, float], ...]:
        """Return the settings of the menu."""
        return tuple({"particles": float(n), "systematic": 1.0, "vote": 1.0} for n in (4, 8, 16, 32, 64))

    def options(self, prior: Prior) -> tuple[StrategyOption, ...]:
        """Return filters of several sizes; none where the number of steps is not known."""
        steps = mean_steps(prior, self.rule)
        if steps is None:
            return ()
        return tuple(
            step_option(self.name, settings, prior, self.rule, _numbers(settings).passes, steps)
            for settings in self.menu()
        )

    def start(self, prompt: Prompt, option: StrategyOption) -> Session:
        """Filter."""
        numbers = _numbers(option.settings)
        most = total(*(worst_usage(0.0, prompt.max_tokens, self.rule, each) for each in numbers.passes))
        writer = Writer(
            prompt=prompt,
            rule=self.rule,
            allowance=Allowance(written_tokens=most[ANSWER].output_tokens, scored_tokens=most[REWARD].output_tokens),
        )
        return _sampled(writer, numbers, f"{self.name} {sorted(option.settings.items())} {prompt.id}")


class ParticleGibbs(ParticleFilter):
    """Particle Gibbs: T particle filters of N / T particles, each but the first with references from the one before.

    Settings: those of :class:`ParticleFilter`, ``iterations`` T and ``references`` R, the whole solutions drawn by
    weight from an iteration that stay in the next: they cost nothing again, and particles may go on from their
    prefixes. So N - (T - 1) R particles are written. The answer is by the weights of the particles of all iterations.
    Value and cost: as of the particle filter, added up over the iterations.

    Notes
    -----
    Puri et al. 2502.01618, algorithm 2, after Andrieu et al. 2010; they take the answer from the last iteration alone.
    """

    name = "particle_gibbs"
    without = NO_STEPS

    def menu(self) -> tuple[dict[str, float], ...]:
        """Return the settings of the menu."""
        return tuple(
            {"particles": float(n), "iterations": float(t), "references": 1.0, "systematic": 1.0, "vote": 1.0}
            for n, t in ((8, 2), (16, 2), (16, 4), (32, 2), (32, 4), (64, 4))
        )


def _numbers(settings: Mapping[str, float]) -> _Numbers:
    """Read settings, or raise RequestError."""
    given = {"iterations": 1.0, "references": 1.0, "systematic": 1.0, "vote": 1.0, **settings}
    n, t = (whole(given, name, 1, MOST_SAMPLES) for name in ("particles", "iterations"))
    r = whole(given, "references", 0, MOST_SAMPLES)
    if t > 1 and n // t <= r:
        raise RequestError("settings", expected="more particles in each iteration than references", found=(n, t, r))
    return _Numbers(
        particles=n,
        iterations=t,
        references=r,
        systematic=bool(whole(given, "systematic", 0, 1)),
        vote=bool(whole(given, "vote", 0, 1)),
    )


def weights(paths: Sequence[Path]) -> FloatArray:
    """Return the weights of particles, (particles,), which sum to 1: the odds of their rewards, made to."""
    reward = np.clip([path.score for path in paths], CLOSEST, 1.0 - CLOSEST)
    odds = reward / (1.0 - reward)
    made: FloatArray = odds / odds.sum()
    return made


def resampled(weight: FloatArray, count: int, random: np.random.Generator, *, systematic: bool) -> IntArray:
    """Return whose place each of ``count`` particles takes, (count,), particle i on average count x weight i times.

    Systematic: one uniform u, and the particles at (u + 0, 1, ...) / count of the summed weights, so that a particle's
    number is off by less than one. Multinomial: independent draws.
    """
    points = (random.random() + np.arange(count)) / count if systematic else np.sort(random.random(count))
    ends = np.cumsum(weight)
    return np.minimum(np.searchsorted(ends / ends[-1], points, side="right"), len(weight) - 1)


def _sampled(writer: Writer, numbers: _Numbers, seed: str) -> Session:
    """Run the iterations and choose the answer."""
    found: list[Path] = []
    references: list[Path] = []
    for iteration, free in enumerate(numbers.free):
        own = yield from _filtered(writer, free, references, f"{seed}/{iteration}", systematic=numbers.systematic)
        found += own
        pool = [*own, *references]
        if not pool:
            break
        random = _random(f"{seed}/{iteration}/references")
        draws = resampled(weights(pool), numbers.references, random, systematic=True) if numbers.references else ()
        references = [pool[i] for i in draws if pool[i].ended]
    whole = [path for path in found if path.ended]
    kept = whole or found
    details = {"particles": float(len(found)), "solutions": float(len(whole))}
    share = weights(kept).tolist() if kept else []
    return chosen_answer(
        writer.prompt, kept, share, vote=numbers.vote, separator=writer.rule.separator, details=details
    )


def _filtered(writer: Writer, free: int, references: Sequence[Path], seed: str, *, systematic: bool) -> Filtered:
    """Run one filter of ``free`` particles beside references; return the particles at its end."""
    temperature = writer.prompt.temperature
    (first,) = yield from writer.extended([Path()], [free], temperature=temperature)
    particles = yield from writer.scored(first)
    for step in range(1, writer.rule.rounds):
        if all(path.ended for path in particles):
            break
        pool = [*particles, *(_cut(path, step) for path in references)]
        random = _random(f"{seed}/{step}")
        chosen = [pool[i] for i in resampled(weights(pool), len(particles), random, systematic=systematic)]
        going = [i for i, path in enumerate(chosen) if not path.ended]
        children = yield from writer.extended([chosen[i] for i in going], [1] * len(going), temperature=temperature)
        if not any(children):
            return chosen
        for i, own in zip(going, children, strict=True):
            chosen[i] = own[0] if own else chosen[i]
        particles = yield from writer.scored(chosen)
    return particles


def _cut(path: Path, steps: int) -> Path:
    """Return a whole solution as it was after some steps."""
    if len(path.steps) <= steps:
        return path
    return Path(steps=path.steps[:steps], scores=path.scores[:steps], lengths=path.lengths[:steps])


def _random(seed: str) -> np.random.Generator:
    digest = hashlib.sha256(seed.encode(errors="replace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


STRATEGIES: tuple[Strategy, ...] = (ParticleFilter(), ParticleGibbs())
