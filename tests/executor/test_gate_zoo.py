"""The whole way with real models: measure, train a gate, plan, and run new prompts with and without it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from coinfer.executor.demo import bundled_requests, candidates
from coinfer.executor.gate import calibration_texts
from coinfer.executor.profile_machine import profile_machine
from coinfer.executor.request import Request
from coinfer.executor.run import run
from coinfer.models.selection.data import Budgets, Category, Device, Expert, Prompt, SelectionProblem
from coinfer.models.selection.gate import HashedWords, TrainingOptions, gate_from, report_on, train_gate
from coinfer.planner.make import plan
from coinfer.profiler.measurement import read_measurements
from coinfer.records import Matrix
from coinfer.zoo.tasks import solve

pytestmark = pytest.mark.slow

MODELS = ["specialist-arithmetic", "specialist-strings"]


def in_one_category(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """Return the requests as one category, so that only their text tells what they ask for."""
    return tuple(
        msgspec.structs.replace(
            request, category="any", checker="exact", answer=solve(request.category, request.prompt)
        )
        for request in requests
    )


def test_the_gate_finds_the_right_model_for_new_prompts(tmp_path: Path) -> None:
    """Two specialists behind a gate answer far more new prompts rightly than behind a plan that sees no text."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    known, new = (in_one_category(part) for part in bundled_requests(calibration=120, workload=60, seed=5))
    models = candidates(MODELS)
    profile_machine(models, known, measurements_path=tmp_path / "rows")
    right = {(row.prompt, row.model): row.correct for row in read_measurements(tmp_path / "rows") if row.prompt}
    problem = SelectionProblem(
        name="one category",
        devices=(Device(name="local"),),
        categories=(Category(name="any"),),
        experts=tuple(
            Expert(name=item.name, device=item.device, latency_s={"any": 1.0}, endpoint=item.endpoint)
            for item in models
        ),
        prompts=tuple(Prompt(name=request.id, category="any") for request in known),
        quality=Matrix([[right[request.id, name] for name in MODELS] for request in known]),
        budgets=Budgets(),
        gate="category",
        required=tuple(MODELS),
    )
    made = HashedWords(256)
    features = made.features(calibration_texts(problem, known))
    trained = train_gate(features, problem.quality.array, options=TrainingOptions(steps=400))
    report = report_on(trained, tuple(MODELS))
    gate = gate_from(trained, experts=MODELS, features=made.description, report=report, problem=problem.name)

    made_plan = plan(problem)
    with_it = run(made_plan, new, journal_path=tmp_path / "with", gate=gate)
    without = run(made_plan, new, journal_path=tmp_path / "without")
    quality = [float(np.mean([answer.correct for answer in summary.answers])) for summary in (with_it, without)]
    assert set(made_plan.decision.selected) >= set(with_it.by_expert)
    assert quality[0] > quality[1] + 0.2
