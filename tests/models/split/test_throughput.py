"""Types of units told from rates, clusters as programs, and their answers as pipelines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coinfer.errors import ProblemError
from coinfer.models.split.kinds import UnitKind, fit_kind
from coinfer.solver.pattern.solve import solve_pattern
from coinfer.testing.pipelines import pipeline_cluster


def test_the_time_of_a_token_is_told_from_rates() -> None:
    """Rates made by the law give back the time they were made with, and the batches behind them."""
    room = tuple((1e5 - 1000.0 * k) / k for k in range(1, 7))
    rates = tuple(1.0 / (k * (7e-5 + 2e-3 / (1e-3 * tokens))) for k, tokens in enumerate(room, start=1))

    fitted = fit_kind("x", rate=rates, cache_tokens=room, read_s=2e-3)

    assert fitted.kind.token_s == pytest.approx(7e-5, rel=1e-9)
    assert fitted.misfit < 1e-9
    assert [fitted.kind.batch_tokens(k) for k in (1, 4)] == [99, 24]


def test_misfits_are_reported() -> None:
    """Rates that do not follow the law show by how much."""
    room = tuple((1e5 - 1000.0 * k) / k for k in range(1, 4))

    assert fit_kind("x", rate=(300.0, 100.0, 70.0), cache_tokens=room, read_s=1e-3).misfit > 0.05


def test_bad_tables_are_refused() -> None:
    """Too few rates, no room, a time of a token below 0."""
    for rate, room in (((5.0,), (9.0,)), ((5.0, 4.0), (9.0, 0.0)), ((5.0, 1.0), (9.0, 8.0))):
        with pytest.raises(ProblemError, match="kind x"):
            fit_kind("x", rate=rate, cache_tokens=room, read_s=1e-3)
    with pytest.raises(ProblemError, match="as many rates as rooms"):
        UnitKind(name="x", rate=(1.0,), read_s=0.0, token_s=1.0, cache_tokens=())
    with pytest.raises(ProblemError, match="links within a region"):
        replace(pipeline_cluster(), bytes_per_s=np.full((1, 1), 1e3)).program()


def test_a_pipeline_passes_what_its_flow_says() -> None:
    """Units of the plan hold all layers, their shares are those of the flow, and none is asked for more than it can."""
    small = pipeline_cluster()
    result = solve_pattern(small.program())

    plan = small.pipeline(result.ranges, result.flow)

    names = [unit.name for unit in plan.units]
    assert len(set(names)) == len(names)
    assert set(names) <= {"L0", "L1", "S0", "S1", "S2", "S3"}
    assert {layer for unit in plan.units for layer in range(unit.start, unit.stop)} == set(range(8))
    for unit, share in zip(plan.units, plan.shares(), strict=True):
        assert share * result.rate <= unit.tokens_per_s * 1.03  # batches are whole tokens


def test_caches_hold_flow_down_in_the_program() -> None:
    """A stay makes each unit pass at most its room over the stay."""
    small = pipeline_cluster()

    held = small.program(stay_s=100.0)

    assert held.rate[1, 0] == pytest.approx(min(small.kinds[1].rate[0], 99_000 / 100.0))
    assert (held.rate <= small.program().rate).all()
