"""Check an answer by the checker its request names; what a model writes decides nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from coinfer.errors import InputError, Plain, RequestError
from coinfer.executor import sandbox
from coinfer.executor.checkers import CHECKERS, RUN_PROGRAMS
from coinfer.executor.request import Request
from coinfer.zoo import tasks


def check_gradable(requests: Sequence[Request]) -> None:
    """Reject requests whose checker could never give a verdict, before anything is sent.

    Raises
    ------
    RequestError
        Naming the request; also where its checker runs programs and there is no sandbox on this machine.
    """
    for request in requests:
        where = f"request {request.id!r}"
        if request.checker == "task":
            try:
                tasks.solve(request.category, request.prompt)
            except InputError as error:
                raise RequestError(f"{where}: {error.where}", expected=error.expected, found=error.found) from error
        elif request.checker is not None:
            expected = CHECKERS[request.checker].expected(request.answer or "")
            if expected is not None:
                raise RequestError(f"{where}: answer", expected=expected, found=request.answer)
            if request.checker in RUN_PROGRAMS and (reason := sandbox.available()) is not None:
                expected = f"a sandbox, since the checker is {request.checker!r}"
                raise RequestError(f"{where}: checker", expected=expected, found=Plain(f"none: {reason}"))


def grade(request: Request, text: str) -> float | None:
    """Return how right an answer is, 0..1, ``None`` where the request names no checker.

    ``task`` derives the answer again from the prompt; the others are those of :mod:`coinfer.executor.checkers`.
    """
    if request.checker is None:
        return None
    if request.checker == "task":
        return float(tasks.is_correct(request.category, request.prompt, text))
    return CHECKERS[request.checker].grade(text, request.answer or "")


def grades(requests: Sequence[Request], texts: Sequence[str], *, workers: int | None = None) -> list[float | None]:
    """Return how right each text is as an answer to its request, as :func:`grade` says; equal pairs are graded once.

    Parameters
    ----------
    requests, texts
        As many texts as requests.
    workers
        How many are graded at once, for checkers that run programs; absent: as many as there are processors.
    """
    keys = [(request.id, text) for request, text in zip(requests, texts, strict=True)]
    different = dict(zip(keys, requests, strict=True))
    with ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1) as pool:
        found = pool.map(grade, different.values(), [text for _, text in different])
        graded = dict(zip(different, found, strict=True))
    return [graded[key] for key in keys]


def read_answer(request: Request, text: str) -> str | None:
    """Return the answer in a text, by which votes are counted; ``None`` where there is none. The reference is not read.

    It is what the request's checker reads: equal numbers, letters or steps are one answer. Without a checker, and for
    ``task``, it is the trimmed text.
    """
    if request.checker is None or request.checker == "task":
        return text.strip() or None
    return CHECKERS[request.checker].answer_of(text)
