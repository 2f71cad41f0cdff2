"""The pattern program against enumeration of small lines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from coinfer.errors import CertificateError, InputError
from coinfer.solver.certificate.pattern import check_any_line, check_stages, stage_rates
from coinfer.solver.certificate.tree import BoundProof, Leaf
from coinfer.solver.limits import Limits
from coinfer.solver.pattern.columns import Columns, column_delays
from coinfer.solver.pattern.program import Delay, PatternProgram, pattern_count, patterns, widest_within
from coinfer.solver.pattern.solve import prove_stages, solve_pattern
from coinfer.solver.result import Status
from coinfer.testing.patterns import best_aligned, pattern_program, pattern_programs


@given(given_program=pattern_programs())
@settings(max_examples=80)
def test_the_best_line_of_stages_is_found_and_proven(given_program: PatternProgram) -> None:
    """In one region the result equals enumeration, and its proof is accepted."""
    truth = best_aligned(given_program)

    result = solve_pattern(given_program)

    assert result.rate == pytest.approx(truth, rel=1e-9)
    assert result.stages_bound == pytest.approx(truth, rel=1e-9)
    assert result.any_bound.rate > truth
    assert result.status is (Status.OPTIMAL if truth else Status.INFEASIBLE)
    proof = prove_stages(given_program, result)
    assert proof is not None
    check_stages(given_program, proof)
    check_any_line(given_program, result.any_bound)


@given(given_program=pattern_programs(regions=2))
@settings(max_examples=40)
def test_regions_joined_by_links_are_bounded(given_program: PatternProgram) -> None:
    """With links between regions the truth of enumeration lies between what is found and its bound."""
    truth = best_aligned(given_program)

    result = solve_pattern(given_program)

    assert result.rate <= truth * (1 + 1e-9) <= result.stages_bound * (1 + 2e-9)
    assert (result.status is Status.OPTIMAL) == (0.0 < result.rate >= result.stages_bound * (1 - 1e-9))
    proof = prove_stages(given_program, result)
    assert proof is not None
    check_stages(given_program, proof)


@pytest.mark.parametrize("seed", range(12))
def test_regions_of_one_type_each_are_solved_exactly(seed: int) -> None:
    """Where all units of a region are alike, what links carry is a product of widths: the result is the truth."""
    random = np.random.default_rng(seed)
    link = float(random.choice([4.0, 6.0, 10.0]))
    two = PatternProgram(
        steps=int(random.integers(3, 6)),
        units=np.array([[int(random.integers(1, 4)), 0], [0, int(random.integers(1, 4))]]),
        rate=np.sort(random.integers(5, 30, size=(2, 2)), axis=1)[:, ::-1].astype(float),
        link=np.array([[np.inf, link], [link, np.inf]]),
        stage_limit=None,
        widest=3,
    )
    truth = best_aligned(two)

    result = solve_pattern(two)

    assert (result.rate, result.stages_bound) == pytest.approx((truth, truth))


@pytest.mark.parametrize(("link", "rate"), [(4.0, 8.0), (3.0, 6.0), (0.0, 4.0), (np.inf, 8.0)])
def test_slow_links_carry_no_more_than_their_number(link: float, rate: float) -> None:
    """A unit of 8 in one region feeds two of 4 in the other: two links of 4 carry 8, two of 3 only 6."""
    two = PatternProgram(
        steps=2,
        units=np.array([[1, 0], [0, 2]]),
        rate=np.array([[8.0], [4.0]]),
        link=np.array([[np.inf, link], [link, np.inf]]),
        stage_limit=None,
        widest=2,
    )

    result = solve_pattern(two)

    assert result.rate == result.stages_bound == pytest.approx(rate)


def test_a_slow_link_is_worth_a_unit_that_its_rate_does_not_need() -> None:
    """One unit of 8 would do on the far side, but only two links of 4 bring it 8; the line needs both regions."""
    two = PatternProgram(
        steps=3,
        units=np.array([[1, 0], [0, 2]]),
        rate=np.array([[8.0, 0.0], [0.0, 8.0]]),
        link=np.array([[np.inf, 4.0], [4.0, np.inf]]),
        stage_limit=None,
        widest=2,
    )

    result = solve_pattern(two)

    assert result.rate == pytest.approx(8.0)
    assert sorted(sum(stage.units) for stage in result.stages) == [1, 2]


def test_a_middle_region_has_different_stages_at_its_two_doors() -> None:
    """Through three regions in line, with links of half the rate, the middle one needs two wide stages."""
    line = PatternProgram(
        steps=4,
        units=np.array([[1, 0, 0], [0, 4, 0], [0, 0, 1]]),
        rate=np.array([[8.0], [4.0], [8.0]]),
        link=np.array([[np.inf, 4.0, 0.0], [4.0, np.inf, 4.0], [0.0, 4.0, np.inf]]),
        stage_limit=None,
        widest=3,
    )

    result = solve_pattern(line)

    assert result.rate == result.stages_bound == pytest.approx(8.0)
    assert [sum(stage.units) for stage in result.stages] == [1, 2, 2, 1]


def test_one_wide_stage_cannot_stand_at_two_doors() -> None:
    """Where the middle region has one wide stage and one narrow one, a door is narrow, and the bound says so."""
    line = PatternProgram(
        steps=4,
        units=np.array([[1, 0, 0, 0], [0, 2, 0, 1], [0, 0, 1, 0]]),
        rate=np.array([[8.0], [4.0], [8.0], [8.0]]),
        link=np.array([[np.inf, 4.0, 0.0], [4.0, np.inf, 4.0], [0.0, 4.0, np.inf]]),
        stage_limit=None,
        widest=3,
    )

    result = solve_pattern(line)

    assert result.rate == result.stages_bound == best_aligned(line) == 4.0


def test_proofs_are_refused_when_they_claim_more() -> None:
    """A bound lowered, a proof of another program, a refuted rate that skips one, a price without a limit."""
    small = pattern_program(6, [[4, 3]], [[9.0, 4.0, 2.0], [8.0, 5.0, 1.0]])
    result = solve_pattern(small)
    proof = prove_stages(small, result)
    assert proof is not None
    assert proof.refuted is not None
    check_stages(small, proof)

    def changed(**fields: object) -> None:
        parts = {name: getattr(proof, name) for name in ("rate", "refuted", "proof")}
        with pytest.raises(CertificateError):
            check_stages(small, type(proof)(**(parts | fields)))

    changed(rate=result.rate - 1.0)
    changed(rate=0.0, refuted=result.rate)
    changed(refuted=proof.refuted + 1.0)
    changed(refuted=None, proof=None)
    for reason in ("infeasible", "bound"):
        changed(proof=BoundProof(nodes=(Leaf(reason=reason, rows=(), multipliers=()),)))
    rates = stage_rates(small)
    changed(rate=float(rates[rates < result.rate][-1]), refuted=result.rate)
    changed(refuted=proof.rate)
    with pytest.raises(CertificateError):
        check_stages(dataclasses.replace(small, units=small.units + 1), proof)
    bound = result.any_bound
    with pytest.raises(CertificateError, match="not proven"):
        check_any_line(small, type(bound)(rate=bound.rate * 0.99, price=0.0))
    with pytest.raises(CertificateError, match="not limited"):
        check_any_line(small, type(bound)(rate=bound.rate, price=1.0))
    with pytest.raises(CertificateError, match="finite"):
        check_any_line(small, type(bound)(rate=-1.0, price=0.0))


@pytest.mark.parametrize(("base", "units"), [([1.0, 9.0], (1, 0)), ([9.0, 1.0], (0, 1))])
def test_of_equal_rates_the_line_passed_soonest_is_returned(base: list[float], units: tuple[int, int]) -> None:
    """Both types make stages of rate 8: the delay decides which is used."""
    both = pattern_program(2, [[2, 2]], [[8.0], [8.0]], widest=1)
    delay = Delay(base=np.array([[base[0]], [base[1]]]), load=np.zeros((2, 1)), hop=0.1)

    result = solve_pattern(dataclasses.replace(both, delay=delay))

    assert result.rate == pytest.approx(8.0)
    assert [stage.units for stage in result.stages] == [units, units]


def test_delays_grow_with_the_flow() -> None:
    """A unit at 8 of at most 10 takes five times its base; two that share the flow take less."""
    one = pattern_program(1, [[2]], [[8.0]], widest=2)
    delay = Delay(base=np.array([[2.0]]), load=np.array([[0.1]]), hop=0.5)
    loaded = dataclasses.replace(one, delay=delay)
    columns = Columns(region=np.zeros(2, int), use=np.array([[1], [2]]), steps=np.ones(2, int), width=np.array([1, 2]))

    assert column_delays(loaded, columns, 8.0) == pytest.approx([2.0 / 0.2 + 0.5, 2.0 / 0.6 + 0.5])
    with pytest.raises(InputError, match="delay"):
        dataclasses.replace(one, delay=Delay(base=np.ones((2, 1)), load=np.ones((1, 1)), hop=0.0))


def test_a_time_limit_keeps_bound_and_status() -> None:
    """Without time nothing is found, and the bound still holds."""
    small = pattern_program(6, [[4, 3]], [[9.0, 4.0, 2.0], [8.0, 5.0, 1.0]])
    truth = solve_pattern(small).rate

    stopped = solve_pattern(small, Limits(time_s=0.0))

    assert stopped.status is Status.UNSOLVED
    assert stopped.rate == 0.0
    assert stopped.stages_bound >= truth


def test_patterns_are_counted_as_they_are_listed() -> None:
    """The count that limits the width is the number of multisets."""
    small = pattern_program(2, [[3, 2], [1, 0]], [[1.0], [1.0]], widest=3)

    assert pattern_count(small.units, 3) == sum(len(patterns(small, region)) for region in (0, 1))
    assert pattern_count(small.units, widest_within(small.units, 6)) <= 6 or widest_within(small.units, 6) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": np.array([[1.0, np.nan]])}, "rate"),
        ({"rate": np.ones((2, 2))}, "rate"),
        ({"units": np.array([[-1]])}, "units"),
        ({"link": np.ones((2, 2))}, "link"),
        ({"stage_limit": 0}, "stage_limit"),
        ({"widest": 0}, "widest"),
    ],
)
def test_programs_that_mean_nothing_are_refused(change: dict[str, object], where: str) -> None:
    """The error names the part."""
    right = pattern_program(2, [[2]], [[2.0, 1.0]])

    with pytest.raises(InputError, match=where):
        dataclasses.replace(right, **change)
