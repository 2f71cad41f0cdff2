"""From a budget plan to sessions: which prompt is answered by which strategy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from coinfer.errors import InputError, PlanMismatch
from coinfer.executor.strategies.registry import option_to_run, strategy_named
from coinfer.executor.strategies.scheduler import Work
from coinfer.executor.strategies.strategy import Prompt, Strategy
from coinfer.models.budget.data import BudgetProblem
from coinfer.models.budget.decision import BudgetDecision


def planned_work(
    problem: BudgetProblem,
    decision: BudgetDecision,
    prompts: Sequence[Prompt],
    stratum_of: Mapping[str, str],
    *,
    seed: int = 0,
    programs: Mapping[str, Strategy] | None = None,
) -> list[Work]:
    """Give each prompt an option of its stratum.

    Where a stratum has several options, its prompts get them in the plan's proportions, in an order drawn with the
    seed: who gets which does not depend on the order of the prompts.

    Parameters
    ----------
    problem, decision
        The plan.
    prompts
        To be answered; their ids are unique.
    stratum_of
        Name of each prompt's stratum, by the prompt's id; names as in the problem, or numbers where it has none.
    seed
        Of the drawing.
    programs
        A user's strategies, by their names.

    Raises
    ------
    PlanMismatch
        If a prompt has no stratum of the plan.
    InputError
        If the plan names a strategy that is not there, or a session cannot begin; see :func:`check_start`.
    """
    names = problem.strata.names or tuple(str(i) for i in range(problem.rows))
    place = {name: i for i, name in enumerate(names)}
    own: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        stratum = stratum_of.get(prompt.id)
        if stratum is None or stratum not in place:
            raise PlanMismatch(f"prompt {prompt.id!r} is of no stratum of the plan: {stratum!r}")
        own.setdefault(place[stratum], []).append(prompt)
    chosen: dict[str, int] = {}
    for row, mine in own.items():
        entries = [(int(option), int(count)) for stratum, option, count in decision.taken.array if int(stratum) == row]
        order = sorted(mine, key=lambda prompt: hashlib.sha256(f"{seed}/{prompt.id}".encode(errors="replace")).digest())
        ends = np.rint(np.cumsum([count for _, count in entries]) / sum(c for _, c in entries) * len(order)).astype(int)
        start = 0
        for (option, _), end in zip(entries, ends.tolist(), strict=True):
            for prompt in order[start:end]:
                chosen[prompt.id] = option
            start = end
    work = []
    for prompt in prompts:
        column = problem.options[chosen[prompt.id]]
        started = option_to_run(column.strategy, column.settings)
        work.append(Work(prompt=prompt, strategy=strategy_named(column.strategy, programs), option=started))
        check_start(work[-1])
    return work


def check_start(item: Work) -> None:
    """Begin a session and ask nothing, so that what cannot be run is said before anything is paid.

    Raises
    ------
    InputError
        If a setting is none, or the prompt lacks what the strategy needs, such as a document.
    """
    session = item.strategy.start(item.prompt, item.option)
    try:
        next(session)
    except StopIteration:
        pass
    except InputError as error:
        raise error.inside(f"{item.prompt.id}, {item.option.name}") from error
    finally:
        session.close()


def work_sha256(work: Sequence[Work]) -> str:
    """Return the hash that a journal knows its work by."""
    digest = hashlib.sha256()
    for item in work:
        prompt = item.prompt
        line = [
            [prompt.id, prompt.text, prompt.max_tokens, prompt.temperature, sorted(prompt.extra.items())],
            [item.option.strategy, sorted(item.option.settings.items())],
        ]
        digest.update(json.dumps(line, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()
