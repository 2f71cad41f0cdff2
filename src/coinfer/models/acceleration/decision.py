"""What was chosen, on which figures, and what is worth measuring next."""

from __future__ import annotations

import os
from typing import ClassVar, Literal

from coinfer import jsonfile
from coinfer.models.acceleration.data import Figure, Stance
from coinfer.models.acceleration.predict import Predictor
from coinfer.records import Document, Record

FORMAT = "coinfer/acceleration-decision/1"

Basis = Literal["measured", "predicted"]
Reason = Literal["may be better", "choice may be worse", "choice may break a limit", "unknown range"]


class Estimate(Record, frozen=True, kw_only=True):
    """One figure of one way to serve one request of a task.

    Attributes
    ----------
    value
        What was measured or is predicted.
    basis
        Which of the two.
    low, high
        Interval; absent where the history cannot calibrate one. Equal to ``value`` for what was measured.
    level
        Coverage the interval has, which is less than what was asked where there are few groups; absent for what was
        measured and where there is no interval.
    """

    value: float
    basis: Basis
    low: float | None = None
    high: float | None = None
    level: float | None = None


class Choice(Record, frozen=True, kw_only=True):
    """What serves a task.

    Attributes
    ----------
    task, model, device, method
        Names.
    figures
        What is known of it, per request.
    """

    task: str
    model: str
    device: str
    method: str
    figures: dict[Figure, Estimate]


class Suggestion(Record, frozen=True, kw_only=True):
    """A measurement that can change the choice.

    Attributes
    ----------
    task, model, device, method
        What to measure.
    figures
        Which figures.
    reason
        ``may be better``: at the favourable ends of its intervals it would be part of a better choice.
        ``choice may be worse``: it is chosen, and at the unfavourable ends something else would be better.
        ``choice may break a limit``: it is chosen, and at the unfavourable ends a limit or budget is not kept.
        ``unknown range``: nothing is known about the error of its prediction.
    gain
        Most that the objective can improve by knowing, over all requests; absent where the range is unknown, and
        where a limit is at stake.
    """

    task: str
    model: str
    device: str
    method: str
    figures: tuple[Figure, ...]
    reason: Reason
    gain: float | None = None


class AccelerationDecision(Document, frozen=True, kw_only=True):
    """The choice of a method for each task.

    Attributes
    ----------
    problem, problem_sha256
        Name and hash of the problem it belongs to.
    objective, stance, predictor
        What was minimised, on which end of the intervals, predicted how.
    status
        ``optimal`` on the planned figures as the engine claims, or ``feasible`` where a limit ended the search.
    value
        Objective over all requests, on the planned figures.
    bound
        Least value that the engine leaves possible; absent where it has none.
    choices
        One per task that has something to choose from.
    totals
        Planned sums over all requests by figure; a figure that is unknown for some choice is absent.
    single_method, single_value
        The one method that would be best for all tasks, and its objective; absent where none serves them all.
    best_case
        Objective of the best choice if every figure came out at the favourable end of its interval; absent where some
        interval is unknown. No measurement is worth more than the distance to it.
    suggestions
        What to measure next, the largest possible gain first.
    notes
        What left the menu, in words.
    """

    file_format: ClassVar[str] = FORMAT

    problem: str
    problem_sha256: str
    objective: Figure
    stance: Stance
    predictor: Predictor
    status: Literal["optimal", "feasible"]
    value: float
    choices: tuple[Choice, ...]
    totals: dict[Figure, float]
    suggestions: tuple[Suggestion, ...]
    bound: float | None = None
    single_method: str | None = None
    single_value: float | None = None
    best_case: float | None = None
    notes: tuple[str, ...] = ()


def read_decision(path: str | os.PathLike[str]) -> AccelerationDecision:
    """Read a decision file.

    Raises
    ------
    InputError
        With the file, the path inside it, what was expected and what was found.
    """
    return jsonfile.read(path, AccelerationDecision, format_name=FORMAT)
