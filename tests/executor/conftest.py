"""Plans and recorded outcomes for the tests of the executor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from coinfer.executor.request import Request
from coinfer.models.endpoint import Endpoint
from coinfer.models.selection.decision import Route, SelectionDecision
from coinfer.planner.selection.document import Certificate, Deployment, Prediction, SelectionPlan

MakePlan = Callable[..., SelectionPlan]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: tiny models only lose by more threads


@pytest.fixture
def make_plan() -> MakePlan:
    """Return a function that makes a plan over endpoints by expert; everything goes to the first one by default."""

    def make(
        endpoints: Mapping[str, Endpoint],
        *,
        routes: Sequence[Route] | None = None,
        preference: Mapping[str, tuple[str, ...]] | None = None,
        predictions: Sequence[Prediction] = (),
    ) -> SelectionPlan:
        names = tuple(endpoints)
        return SelectionPlan(
            problem="test",
            problem_sha256="0" * 64,
            decision=SelectionDecision(
                selected=names,
                routes=tuple(routes if routes is not None else [Route(category="c", expert=names[0], fraction=1.0)]),
                preference=dict(preference or {"c": names}),
            ),
            certificate=Certificate(status="feasible", value=0.0, claims=()),
            predictions=tuple(predictions),
            deployments=tuple(
                Deployment(expert=name, device="d", endpoint=endpoint) for name, endpoint in endpoints.items()
            ),
            engine="test",
            seconds=0.0,
            coinfer_version="0",
        )

    return make


@pytest.fixture
def requests() -> tuple[Request, ...]:
    """Return twelve requests of category ``c``; the recorded answer to each is its number."""
    return tuple(
        Request(id=f"r{i}", prompt=f"ask {i}", category="c", max_tokens=8, answer=str(i), checker="exact")
        for i in range(12)
    )


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a file of outcomes for the prompts ``ask 0`` to ``ask 99``: the number, in as many tokens as digits."""
    path = tmp_path / "outcomes.jsonl"
    lines = [
        {"prompt": f"ask {i}", "text": str(i), "output_tokens": len(str(i)), "seconds": 0.5, "tokens": list(str(i))}
        for i in range(100)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
