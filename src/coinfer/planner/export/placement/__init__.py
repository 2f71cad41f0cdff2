"""Placements in the form that the engines read, and back.

Each engine has a module with ``write``, ``read`` and ``validate``: the engine's own rules, each broken one a sentence.
What an engine cannot be told, such as the shares of copies, is a note.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coinfer.errors import InputError, Plain
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.planner.export.placement import ascend, exflow, sglang, tensorrt_llm, vllm
from coinfer.planner.export.placement.check import Exported as Exported
from coinfer.planner.export.placement.check import Shape as Shape
from coinfer.planner.export.placement.check import Slots as Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is done for one engine; see the functions of its module."""

    write: Callable[[PlacementProblem, PlacementDecision, Path], Exported]
    read: Callable[[Path, Shape], Slots]
    validate: Callable[[Slots, Shape], tuple[str, ...]]
    title: str


ENGINES: dict[str, Engine] = {
    "sglang": Engine(write=sglang.write, read=sglang.read, validate=sglang.validate, title="SGLang"),
    "vllm": Engine(write=vllm.write, read=vllm.read, validate=vllm.validate, title="vLLM"),
    "vllm_offline": Engine(write=vllm.write_offline, read=vllm.read_offline, validate=vllm.validate, title="vLLM"),
    "tensorrt_llm": Engine(
        write=tensorrt_llm.write, read=tensorrt_llm.read, validate=tensorrt_llm.validate, title="TensorRT-LLM"
    ),
    "ascend": Engine(write=ascend.write, read=ascend.read, validate=ascend.validate, title="vLLM-Ascend"),
    "exflow": Engine(write=exflow.write, read=exflow.read, validate=exflow.validate, title="ExFlow"),
}
"""By name: what can be written and read."""


def export_placement(
    problem: PlacementProblem,
    decision: PlacementDecision,
    engine: str,
    path: str | os.PathLike[str],
    *,
    model_class: str | None = None,
) -> Exported:
    """Write a placement in the form of an engine; the file is either the old or the whole new one.

    Parameters
    ----------
    problem, decision
        What was planned, and its placement.
    engine
        A name of :data:`ENGINES`.
    path
        File to be written.
    model_class
        Class of the model in vLLM, for ``vllm_offline``; absent: as its configuration says, where that is at hand.

    Raises
    ------
    InputError
        Where the engine would not load the placement, or the file cannot be written.
    """
    chosen = _engine(engine)
    if decision.shares is not None and decision.shares.shape != (len(decision.slots), sum(problem.device_slots)):
        found = Plain(str(decision.shares.shape))
        raise InputError("shares", expected="one share for each slot", found=found)
    if engine == "vllm_offline":
        return vllm.write_offline(problem, decision, Path(path), model_class=model_class)
    return chosen.write(problem, decision, Path(path))


def read_placement(
    engine: str,
    path: str | os.PathLike[str],
    *,
    problem: PlacementProblem | None = None,
    shape: Shape | None = None,
    model_class: str | None = None,
) -> Slots:
    """Return the slots that a file of an engine says, checked by the engine's rules.

    Parameters
    ----------
    engine
        A name of :data:`ENGINES`.
    path
        The file.
    problem, shape
        Sizes of the placement: exactly one of the two.
    model_class
        Which model of an offline EPLB document; absent: the only one.

    Raises
    ------
    InputError
        Where the file is another one, or the engine would not load it.
    """
    chosen = _engine(engine)
    if shape is None:
        if problem is None:
            raise InputError("shape", expected="a problem or a shape", found=Plain("neither"))
        shape = Shape.of(problem, chosen.title)
    elif problem is not None:
        raise InputError("shape", expected="a problem or a shape", found=Plain("both"))
    read = partial(vllm.read_offline, model_class=model_class) if engine == "vllm_offline" else chosen.read
    return read(Path(path), shape)


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise InputError("engine", expected=f"one of {', '.join(ENGINES)}", found=name)
    return ENGINES[name]
