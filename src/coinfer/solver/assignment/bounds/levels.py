"""The bound of a whole program: distances split into nested partitions, one semidefinite bound for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coinfer.solver.assignment.bounds.cuts import broken
from coinfer.solver.assignment.bounds.priced import PricedCuts
from coinfer.solver.assignment.bounds.splitting import Splitting
from coinfer.solver.assignment.program import LayeredAssignment
from coinfer.solver.certificate.levels import Level, LevelProof, check_levels, known_parts, least_cost
from coinfer.solver.certificate.semidefinite import SemidefiniteProof, kept_at_most
from coinfer.solver.limits import Limits
from coinfer.solver.program import FloatArray
from coinfer.solver.progress import Stop

LOOK_EVERY = 25
"""Sweeps between two looks at the bound."""
CUT_EVERY = 100
"""Sweeps between two searches for broken inequalities."""
LEAST_GAIN = 1e-4
"""Relative gain of the bound, from one look to another, below which the sweeps without cuts have done their part."""
MOST_TRIANGLES = 200
MOST_CUTS = 40_000

OnBound = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounded:
    """A lower bound, its proof, and approximate co-membership of consecutive layers at the finest level."""

    value: float
    proof: LevelProof
    guides: tuple[FloatArray, ...]


def bound_levels(
    program: LayeredAssignment,
    *,
    limits: Limits,
    stop: Stop,
    on_bound: OnBound | None = None,
    target: float | None = None,
    cuts: bool = True,
) -> Bounded:
    """Bound the objective of any feasible assignment from below.

    Parameters
    ----------
    program
        What is to be assigned. Caps on loads and forbidden places are left out, which only weakens the bound.
    limits
        Of time (absent: until nothing is gained), and of ``nodes``: sweeps at each level.
    stop
        Ends it early, with the bound so far.
    on_bound
        Called with each better bound.
    target
        The bound is good enough here; only looked at where there is one level.
    cuts
        Whether 2-partition inequalities are looked for.
    """
    began = time.perf_counter()
    levels: list[Level] = []
    guides: tuple[FloatArray, ...] = ()
    split = nested(program.distance)
    base, total, found = least_cost(program), float(program.weights.sum()), [0.0] * len(split)
    for index, (groups, weight) in enumerate(split):
        left = None if limits.time_s is None else limits.time_s - (time.perf_counter() - began)
        ascent = _Ascent(program, groups, threads=limits.threads)
        alone = len(split) == 1

        def told(kept: float, index: int = index, weight: float = weight, alone: bool = alone) -> bool:
            found[index] = max(found[index], weight * (total - kept))
            reached = base + sum(found)  # a level that is not looked at yet adds 0 at least
            if on_bound is not None:
                on_bound(reached * (1.0 - 1e-12))
            return alone and target is not None and reached >= target

        ascent.run(
            time_s=None if left is None else max(0.0, left / (len(split) - index)),
            sweeps=limits.nodes,
            stop=stop,
            told=told,
            cuts=cuts,
        )
        levels.append(Level(groups=tuple(groups.tolist()), weight=weight, multipliers=ascent.best))
        guides = tuple(ascent.splitting.entries)
    proof = LevelProof(levels=tuple(levels))
    return Bounded(value=check_levels(program, proof), proof=proof, guides=guides)


def nested(distance: FloatArray) -> list[tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float]]:
    """Split the largest ultrametric below ``distance`` into partitions of the parts, coarsest first.

    The ultrametric is the longest step on the best path between two parts (single linkage); level ``k`` separates parts
    whose distance is at least its height, and weighs what the height adds to the one below.
    """
    path = distance.copy()
    for middle in range(len(path)):
        np.minimum(path, np.maximum(path[:, middle, None], path[None, middle]), out=path)
    heights = np.unique(path[path > 0.0])
    found = []
    for below, height in zip(np.concatenate([[0.0], heights])[:-1], heights, strict=True):
        _, groups = np.unique((path < height).argmax(axis=1), return_inverse=True)
        found.append((groups.astype(np.int64), float(height - below)))
    return found[::-1]


class _Ascent:
    """Sweeps at one level, with the best multipliers so far."""

    def __init__(
        self,
        program: LayeredAssignment,
        groups: np.ndarray[tuple[int], np.dtype[np.int64]],
        *,
        threads: int,
    ) -> None:
        self.weights = program.weights
        self.known = known_parts(program, tuple(groups.tolist()))
        self.splitting = Splitting(program.weights, self.known, threads=threads)
        self.best: SemidefiniteProof = self.splitting.proof()
        self.kept = self._kept(self.best)
        self.rounds = 0

    def _kept(self, proof: SemidefiniteProof) -> float:
        return min(kept_at_most(self.weights, self.known, proof), float(self.weights.sum()))

    def run(
        self,
        *,
        time_s: float | None,
        sweeps: int | None,
        stop: Stop,
        told: Callable[[float], bool],
        cuts: bool,
    ) -> None:
        """Sweep until a limit, or until nothing is gained."""
        began, done, settled = time.perf_counter(), 0, False
        while not stop and (sweeps is None or done < sweeps):
            spent = time.perf_counter() - began
            if time_s is not None and spent >= time_s:
                break
            self.splitting.sweep()
            done += 1
            slow = spent / done > 1.0  # large programs: look more often
            if done % (5 if slow else LOOK_EVERY):
                continue
            self.splitting.balance()
            gained = self._look(told)
            if gained is None:
                return
            settled = settled or gained < LEAST_GAIN
            if settled and not cuts:
                return
            if settled and (done % CUT_EVERY == 0 or not self.splitting.cuts.cuts) and not self._cut():
                return

    def _look(self, told: Callable[[float], bool]) -> float | None:
        """Compute the bound; return its relative gain, or ``None`` where the target is reached."""
        proof = self.splitting.proof()
        kept = self._kept(proof)
        gained = (self.kept - kept) / max(self.kept, 1e-300)
        if kept < self.kept:
            self.kept, self.best = kept, proof
            if told(kept):
                return None
        return gained

    def _cut(self) -> bool:
        """Drop inequalities without a price and add broken ones; return whether there is any."""
        state, now = self.splitting, self.splitting.cuts
        priced = {cut: float(price) for cut, price in zip(now.cuts, now.prices, strict=True) if price > 1e-7}
        self.rounds += 1
        for cut in broken(state.blocks(), room=int(self.known.capacity.max()), most=MOST_TRIANGLES, seed=self.rounds):
            if len(priced) >= MOST_CUTS:
                break
            priced.setdefault(cut, 0.0)
        state.cuts = PricedCuts(now.pairs, now.items, list(priced), np.array(list(priced.values())))
        return bool(priced)
