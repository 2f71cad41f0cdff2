"""Options of test-time strategies tried on simulated models of any kind: what they reach, and what they take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from coinfer.executor.strategies.strategy import Measured, Prompt, Strategy, StrategyOption, Usage
from coinfer.testing.strategies import Respond, drive


def measured(
    strategy: Strategy, option: StrategyOption, respond: Callable[[int], Respond], prompt: Prompt, *, runs: int = 400
) -> Measured:
    """Return the share of runs that end with the right answer ("0"), and the mean usage.

    Parameters
    ----------
    strategy, option, prompt
        The session.
    respond
        The models of a run, by its number: those of :class:`coinfer.testing.strategies.Simulated`, or others whose
        replies have the form that a strategy asks for.
    runs
        How many.
    """
    total: defaultdict[str, Usage] = defaultdict(Usage)
    right = 0
    for run in range(runs):
        done = drive(strategy.start(prompt, option), respond(run))
        right += done.answer.value == "0"
        for role, used in done.usage.items():
            total[role] = total[role].plus(used)
    return Measured(value=right / runs, usage={role: used.times(1.0 / runs) for role, used in total.items()})
