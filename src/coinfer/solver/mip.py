"""Solves a mixed-integer program through one of several engines, with one meaning of every answer."""

from __future__ import annotations

import math
import queue
import threading
import time
from dataclasses import dataclass, replace
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from coinfer.errors import InputError
from coinfer.solver.engines import settle
from coinfer.solver.engines.cbc import Cbc
from coinfer.solver.engines.cp_sat import CpSat
from coinfer.solver.engines.highs import Highs
from coinfer.solver.engines.scaling import equilibrate
from coinfer.solver.engines.scip import Scip
from coinfer.solver.engines.task import Engine, Outcome, Task
from coinfer.solver.limits import Limits
from coinfer.solver.program import MixedIntegerProgram
from coinfer.solver.progress import OnProgress, Progress, Stop
from coinfer.solver.result import Result, Status

_ENGINES: MappingProxyType[str, type[Engine]] = MappingProxyType(
    {"highs": Highs, "cp-sat": CpSat, "scip": Scip, "cbc": Cbc}
)
ENGINES: tuple[str, ...] = tuple(_ENGINES)
"""Names that :func:`solve` takes."""

_WAIT_S = 0.02
_ROUNDING = 1e-9


def solve(
    program: MixedIntegerProgram,
    *,
    engine: str = "highs",
    limits: Limits | None = None,
    start: NDArray[np.float64] | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Result:
    """Solve ``program``.

    The engine runs in a thread; this function waits for it, so Ctrl-C in the main thread ends the solve with its
    incumbent and its bound. A second Ctrl-C is raised at once.

    Parameters
    ----------
    program
        What to solve.
    engine
        One of :data:`ENGINES`. ``"cp-sat"`` takes integer variables, and continuous ones where rounding loses
        nothing.
    limits
        When to stop; by default at the proven optimum.
    start
        Point to start from, (variables,). An infeasible one is ignored; the answer is never worse than a feasible one.
    on_progress
        Called in this thread with each better value or bound; at least once.
    stop
        Flag that ends the solve from another thread; Ctrl-C sets it.

    Returns
    -------
    Result
        Incumbent feasible to 1e-6 after rows are scaled to coefficients of at least 1, with exact integers. The
        bound is the engine's, lowered by what it is known to round or prune away, and never below what the bounds
        of the variables prove. It may exceed the value by up to the tolerance on rows, and then stays as it is.

    Raises
    ------
    InputError
        If there is no such engine, or it cannot take this program or limit.
    BackendMissing
        If the engine's package is not installed.
    """
    began = time.perf_counter()
    limits = limits if limits is not None else Limits()
    if engine not in _ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)}", found=engine)
    if start is not None and np.shape(start) != (program.variables,):
        raise InputError("start", expected=f"{program.variables} numbers", found=np.shape(start))
    chosen = _ENGINES[engine]()
    tightened = settle.whole_bounds(program)
    chosen.check(tightened, limits)
    known = settle.settle(tightened, np.asarray(start, dtype=np.float64), repair=False) if start is not None else None
    stop = stop if stop is not None else Stop()  # an unset flag is false
    watch = _Watch(program=tightened, began=began, start=known, on_progress=on_progress, stop=stop)
    outcome = settle.trivial(tightened, known, engine)
    if outcome is None:
        outcome = _run(chosen, tightened, limits, known, watch)
        if outcome.status is Status.UNBOUNDED:
            outcome = _tell_apart(chosen, tightened, outcome, known, watch)
    outcome = replace(outcome, bound=max(outcome.bound, watch.bound))  # some engines forget what they proved
    result = _result(tightened, limits, outcome, known, time.perf_counter() - began)
    watch.close(result)
    return result


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Best value and bound so far, told to the caller; and the caller's wish to stop."""

    program: MixedIntegerProgram
    began: float
    start: NDArray[np.float64] | None
    on_progress: OnProgress | None
    stop: Stop
    value: float = math.inf
    bound: float = -math.inf
    interrupts: int = 0

    def __post_init__(self) -> None:
        self.bound = settle.box_bound(self.program)
        self.value = math.inf if self.start is None else self.program.value(self.start)
        if self.start is not None:
            self.tell(None)

    def report(self, value: float, bound: float, nodes: int | None) -> None:
        """Pass on what is better than before; engines repeat themselves and, in between, contradict themselves."""
        better = value < self.value or bound > self.bound
        self.value, self.bound = min(self.value, value), max(self.bound, bound)
        if better:
            self.tell(nodes)

    def close(self, result: Result) -> None:
        """Report the end; what was reported stands, should rounding have moved the value."""
        self.value, self.bound = min(self.value, result.value), max(self.bound, result.bound)
        self.tell(result.nodes)

    def tell(self, nodes: int | None) -> None:
        if self.on_progress is not None:
            seconds = time.perf_counter() - self.began
            self.on_progress(
                Progress(seconds=seconds, value=self.value, bound=min(self.bound, self.value), nodes=nodes)
            )


def _run(
    engine: Engine, program: MixedIntegerProgram, limits: Limits, start: NDArray[np.float64] | None, watch: _Watch
) -> Outcome:
    """Run one engine in a thread of its own, on like-sized rows, and return its answer in the program's units."""
    scaled, factor = equilibrate(program) if engine.equilibrate else (program, 1.0)
    events: queue.SimpleQueue[tuple[float, float, int | None] | Outcome | BaseException] = queue.SimpleQueue()
    task = Task(
        program=scaled,
        limits=msgspec.structs.replace(limits, absolute_gap=limits.absolute_gap * factor),
        start=start,
        report=lambda value, bound, nodes: events.put((value / factor, bound / factor, nodes)),
        interrupted=threading.Event(),
    )

    def work() -> None:
        try:
            events.put(engine.solve(task))
        except BaseException as error:
            events.put(error)

    worker = threading.Thread(target=work, daemon=True, name="coinfer-solve")
    worker.start()
    outcome = _wait(engine, task, events, watch)
    worker.join()
    return replace(outcome, bound=outcome.bound / factor, scaling_error=outcome.scaling_error / factor)


def _wait(
    engine: Engine,
    task: Task,
    events: queue.SimpleQueue[tuple[float, float, int | None] | Outcome | BaseException],
    watch: _Watch,
) -> Outcome:
    """Pass on progress until the engine answers; on Ctrl-C, or an error in the caller's callback, end the solve."""
    failure: Exception | None = None
    while True:
        try:
            if watch.stop or failure is not None:
                task.interrupted.set()
                engine.interrupt()
            event = events.get(timeout=_WAIT_S)
            if isinstance(event, Outcome):
                break
            if isinstance(event, BaseException):
                raise failure or event
            if failure is None:
                failure = _told(watch, event)
        except queue.Empty:
            continue
        except KeyboardInterrupt:
            watch.interrupts += 1
            watch.stop.set()
            if watch.interrupts > 1:
                raise
    if failure is not None:
        raise failure
    return event


def _told(watch: _Watch, event: tuple[float, float, int | None]) -> Exception | None:
    try:
        watch.report(*event)
    except Exception as error:
        return error
    return None


def _tell_apart(
    engine: Engine, program: MixedIntegerProgram, claim: Outcome, start: NDArray[np.float64] | None, watch: _Watch
) -> Outcome:
    """Decide between unbounded and infeasible, which engines confuse, by asking for any point, costs aside."""
    if math.isfinite(settle.box_bound(program)):
        return replace(claim, status=Status.INFEASIBLE)
    if start is not None:
        return claim
    free = replace(program, cost=np.zeros(program.variables), offset=0.0)
    quiet = replace(watch, on_progress=None)
    answer = _run(engine, free, Limits(), None, quiet)
    if answer.status in (Status.INFEASIBLE, Status.UNBOUNDED):  # without costs, nothing is unbounded
        return replace(claim, status=Status.INFEASIBLE)
    return claim if answer.point is not None else replace(claim, status=Status.UNSOLVED, limit=answer.limit)


def _result(
    program: MixedIntegerProgram, limits: Limits, outcome: Outcome, start: NDArray[np.float64] | None, seconds: float
) -> Result:
    """Check the engine's claims and keep the better of its point and the start."""
    points = [start] if start is not None else []
    if outcome.point is not None:
        settled = settle.settle(program, outcome.point, repair=True)
        points += [settled] if settled is not None else []
    incumbent = min(points, key=program.value, default=None)
    value = math.inf if incumbent is None else program.value(incumbent)
    bound = outcome.bound
    if value < bound <= value + _ROUNDING * max(1.0, abs(value)):
        bound = value
    status = _status(outcome, limits, value, bound)
    limit = None
    if status in (Status.FEASIBLE, Status.UNSOLVED):
        limit = outcome.limit or "other"
    if status is Status.INFEASIBLE:
        bound = math.inf
    elif status is Status.UNBOUNDED:
        incumbent, value, bound = None, math.inf, -math.inf
    return Result(
        status=status,
        limit=limit,
        incumbent=incumbent,
        value=value,
        bound=bound,
        nodes=outcome.nodes,
        seconds=seconds,
        engine=outcome.engine,
        scaling_error=outcome.scaling_error,
    )


def _status(outcome: Outcome, limits: Limits, value: float, bound: float) -> Status:
    """Say what the claims amount to once the point has been checked."""
    if outcome.status is Status.UNBOUNDED:
        return Status.UNBOUNDED
    if value == math.inf:
        return Status.INFEASIBLE if outcome.status is Status.INFEASIBLE else Status.UNSOLVED
    tolerance = max(limits.absolute_gap, limits.relative_gap * abs(value), _ROUNDING * max(1.0, abs(value)))
    # HiGHS and CBC prune what gains less than 1e-9 of the largest cost: for tiny values that is more than tolerance.
    claimed = outcome.status is Status.OPTIMAL and outcome.scaling_error == 0.0
    if claimed and limits.relative_gap == limits.absolute_gap == 0.0 and outcome.point is not None:
        tolerance = math.inf
    return Status.OPTIMAL if value - bound <= tolerance else Status.FEASIBLE
