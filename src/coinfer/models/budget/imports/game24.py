"""Import of the Game of 24 logs of Tree of Thoughts (``princeton-nlp/tree-of-thought-llm``, ``logs/game24/*.json``).

A file is one way of asking: 100 direct answers per problem, 100 chains of thought, or one tree search that keeps five
candidates. A sample of the tree search is the whole search: it is right where one of its candidates is, since a player
can check each. Tokens and dollars are those of the whole run so far; the difference of two records is what one problem
took, shared by its answers. Where a run was taken up again its counters begin at 0 once more: the published chains of
thought do so at record 32, so that their last record shows only two thirds of what was paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from coinfer import jsonfile
from coinfer.errors import InputError, Plain
from coinfer.models.budget.imports.gather import Gathered
from coinfer.models.budget.outcomes import Outcomes
from coinfer.models.budget.validate import LARGEST
from coinfer.solver.program import FloatArray, IntArray

_ROUNDING_USD = 1e-9
DIRECT, CHAIN, TREE = "direct", "chain of thought", "tree of thoughts"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an answer makes 24: 1 or 0."""

    r: bool | int


class RunUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Of the whole run so far."""

    completion_tokens: int
    prompt_tokens: int
    cost: float


class GameRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One problem; other fields are not read."""

    idx: int
    usage_so_far: RunUsage
    accs: tuple[bool | int, ...] | None = None
    infos: tuple[Verdict, ...] | None = None
    steps: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GameLog:
    """One file.

    Attributes
    ----------
    arm
        :data:`DIRECT`, :data:`CHAIN` or :data:`TREE`.
    prompts
        Numbers of the problems.
    right
        (problems, answers): 1 where the answer is right, in the order of the log; for the tree search, its candidates.
    tokens, usd
        (problems,): what all answers to the problem took together.
    restarts
        Positions of records at which the counters of the log begin anew.
    """

    arm: str
    prompts: tuple[int, ...]
    right: IntArray
    tokens: FloatArray
    usd: FloatArray
    restarts: tuple[int, ...]


def import_game24(files: Sequence[Path]) -> tuple[Outcomes, tuple[str, ...]]:
    """Return the outcomes of logs, ways of asking as arms.

    Raises
    ------
    InputError
        With file and record; for two files of one way of asking, and for records with different numbers of answers.
    """
    gathered, notes = Gathered(), []
    for path in files:
        log = read_log(path)
        whole = log.arm == TREE
        drawn = 1 if whole else log.right.shape[1]
        for i, prompt in enumerate(log.prompts):
            right = int(log.right[i].any() if whole else log.right[i].sum())
            spent = {"usd": float(log.usd[i]) / drawn, "tokens": float(log.tokens[i]) / drawn}
            gathered.add(
                f"{path}: [{i}]",
                prompt=f"game of 24 no. {prompt}",
                arm=log.arm,
                right=right,
                drawn=drawn,
                counted=True,
                cost=spent,
            )
        each = f"one search that keeps {log.right.shape[1]} candidates" if whole else "one answer"
        notes.append(f"{log.arm}: a sample is {each}; {drawn} per problem")
        if log.restarts:
            notes.append(f"{log.arm}: counters begin anew at {', '.join(f'record {i}' for i in log.restarts[:8])}")
    outcomes, found = gathered.outcomes(str(files[0]))
    return outcomes, (*notes, *found)


def read_log(path: Path) -> GameLog:
    """Read one log.

    Raises
    ------
    InputError
        See :func:`import_game24`.
    """
    where = str(path)
    records = jsonfile.convert(
        jsonfile.parse(jsonfile.read_text(path), where=where), tuple[GameRecord, ...], where=where
    )
    if not records:
        raise InputError(where, expected="at least one record", found=Plain("none"))
    kinds = [_arm(f"{path}: [{i}]", record) for i, record in enumerate(records)]
    answers = [_answers(f"{path}: [{i}]", record) for i, record in enumerate(records)]
    for i, (kind, found) in enumerate(zip(kinds, answers, strict=True)):
        if kind != kinds[0] or len(found) != len(answers[0]):
            expected = f"{len(answers[0])} answers by {kinds[0]}, as in the first record"
            raise InputError(f"{path}: [{i}]", expected=expected, found=Plain(f"{len(found)} by {kind}"))
    tokens, usd, restarts = _differences(path, records)
    return GameLog(
        arm=kinds[0],
        prompts=tuple(record.idx for record in records),
        right=np.array(answers, dtype=np.int64),
        tokens=tokens,
        usd=usd,
        restarts=tuple(restarts),
    )


def _arm(where: str, record: GameRecord) -> str:
    if (record.accs is None) == (record.infos is None):
        raise InputError(where, expected="'accs' (direct answers) or 'infos'", found=Plain("both or neither"))
    if record.accs is not None:
        return DIRECT
    return CHAIN if record.steps is None else TREE


def _answers(where: str, record: GameRecord) -> list[int]:
    field, bits = ("accs", record.accs) if record.accs is not None else ("infos", [v.r for v in record.infos or ()])
    for j, bit in enumerate(bits):
        if bit not in (0, 1):
            raise InputError(f"{where}.{field}[{j}]", expected="1 or 0", found=bit)
    if not bits:
        raise InputError(f"{where}.{field}", expected="at least one answer", found=Plain("none"))
    return [int(bit) for bit in bits]


def _differences(path: Path, records: tuple[GameRecord, ...]) -> tuple[FloatArray, FloatArray, list[int]]:
    """Return tokens and dollars of each record, and where the counters fell: there they began at 0, as at the start."""
    tokens, usd = np.empty(len(records)), np.empty(len(records))
    restarts = []
    last_tokens, last_usd = 0, 0.0
    for i, record in enumerate(records):
        use = record.usage_so_far
        total = use.completion_tokens + use.prompt_tokens
        if min(use.completion_tokens, use.prompt_tokens, use.cost) < 0 or max(total, use.cost) > LARGEST:
            found = Plain(f"{use.completion_tokens} and {use.prompt_tokens} tokens, {use.cost:g} dollars")
            raise InputError(f"{path}: [{i}].usage_so_far", expected="numbers in 0..1e15", found=found)
        if total < last_tokens or use.cost < last_usd - _ROUNDING_USD:
            restarts.append(i)
            last_tokens, last_usd = 0, 0.0
        tokens[i], usd[i] = total - last_tokens, max(use.cost - last_usd, 0.0)
        last_tokens, last_usd = total, use.cost
    return tokens, usd, restarts
