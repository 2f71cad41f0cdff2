"""Helix's shipped instances, scored inside Helix's own integer program, and a small one written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from coinfer.errors import InputError, ProblemError
from coinfer.models.split.kinds import UnitKind
from coinfer.planner.split.from_helix import (
    flow_in_program,
    helix_cache_tokens,
    helix_pipeline_cluster,
    helix_rates,
    layout_of,
    ranges_of_layout,
)
from coinfer.profiler.imports.helix import HelixCluster, HelixLink, read_helix_cluster, read_helix_layout
from coinfer.solver.certificate.pattern import check_any_line, check_stages
from coinfer.solver.lp_file import NamedProgram, read_program
from coinfer.solver.pattern.flow import max_flow
from coinfer.solver.pattern.solve import prove_stages, solve_pattern

SMALL = """Maximize
 flow_source_0 + flow_source_1
Subject To
 hold_constraint_0: hold_0_1 + hold_0_2 = 1
 hold_constraint_1: hold_1_1 + hold_1_2 = 1
 end_0: start_0 + hold_0_1 + 2 hold_0_2 <= 2
 end_1: start_1 + hold_1_1 + 2 hold_1_2 <= 2
 node_flow_0: flow_source_0 + flow_1_0 - flow_0_1 - flow_0_sink = 0
 node_flow_1: flow_source_1 + flow_0_1 - flow_1_0 - flow_1_sink = 0
 node_throughput_constraint_0: - 9 hold_0_1 - 4 hold_0_2 + flow_source_0 + flow_1_0 <= 0
 node_throughput_constraint_1: - 9 hold_1_1 - 4 hold_1_2 + flow_source_1 + flow_0_1 <= 0
 first_0: start_0 + 2 switch_source_0 <= 2
 first_1: start_1 + 2 switch_source_1 <= 2
 carry_source_0: flow_source_0 - 99 switch_source_0 <= 0
 carry_source_1: flow_source_1 - 99 switch_source_1 <= 0
 last_0: 2 switch_0_sink - start_0 - hold_0_1 - 2 hold_0_2 <= 0
 last_1: 2 switch_1_sink - start_1 - hold_1_1 - 2 hold_1_2 <= 0
 carry_0_sink: flow_0_sink - 99 switch_0_sink <= 0
 carry_1_sink: flow_1_sink - 99 switch_1_sink <= 0
 next_0_1: start_0 + hold_0_1 + 2 hold_0_2 - start_1 + 2 switch_0_1 <= 2
 next_1_0: start_1 + hold_1_1 + 2 hold_1_2 - start_0 + 2 switch_1_0 <= 2
 same_0_1: start_1 - start_0 - hold_0_1 - 2 hold_0_2 + 2 switch_0_1 <= 2
 same_1_0: start_0 - start_1 - hold_1_1 - 2 hold_1_2 + 2 switch_1_0 <= 2
 carry_0_1: flow_0_1 - 99 switch_0_1 <= 0
 carry_1_0: flow_1_0 - 99 switch_1_0 <= 0
Bounds
 start_0 <= 2
 start_1 <= 2
Binaries
 hold_0_1 hold_0_2 hold_1_1 hold_1_2
 switch_source_0 switch_source_1 switch_0_sink switch_1_sink switch_0_1 switch_1_0
Generals
 start_0 start_1
End
"""
NEAR = HelixLink(bytes_per_s=1e9, latency_s=0.001)


@pytest.fixture
def small(tmp_path: Path) -> NamedProgram:
    """Helix's form for two nodes of one type and two layers."""
    path = tmp_path / "model.lp"
    path.write_text(SMALL)
    return read_program(path)


def kinds(rates: dict[str, tuple[float, ...]]) -> dict[str, UnitKind]:
    """Types for static flow: caches do not matter."""
    return {
        name: UnitKind(name=name, rate=rate, read_s=0.0, token_s=1.0 / rate[0], cache_tokens=(1.0,) * len(rate))
        for name, rate in rates.items()
    }


def test_a_small_instance_is_solved_in_both_programs(small: NamedProgram) -> None:
    """Two in line pass 9, two side by side 8: the pattern program finds the line, and Helix's program agrees."""
    cluster = HelixCluster(kinds=("T", "T"), links={(0, 1): NEAR}, source={0: NEAR, 1: NEAR}, sink={0: NEAR, 1: NEAR})
    rates = helix_rates(small, cluster.kinds)
    ours = helix_pipeline_cluster(cluster, kinds(rates), layers=2, hidden_bytes=100.0)

    result = solve_pattern(ours.program())

    assert rates == {"T": (9.0, 4.0)}
    assert result.rate == pytest.approx(9.0)
    assert flow_in_program(small, layout_of(ours, result.ranges))[0] == pytest.approx(9.0)
    assert flow_in_program(small, {0: (0, 2), 1: (0, 2)})[0] == pytest.approx(8.0)
    assert flow_in_program(small, {1: (0, 2)})[0] == pytest.approx(4.0)  # the other node gets the first layer
    with pytest.raises(InputError, match="hold_0_3"):
        flow_in_program(small, {0: (0, 3)})


@pytest.mark.parametrize(
    ("name", "cluster_file", "layers", "hidden_bytes", "least"),
    [
        ("quality_10", "cluster10.ini", 60, 13312.0, 286.5874097546421),
        ("single_24", "cluster24.ini", 80, 16384.0, 1.55 * 1289.555770275147),
    ],
)
def test_shipped_instances_are_solved_and_proven(
    name: str, cluster_file: str, layers: int, hidden_bytes: float, least: float, shared_data: Path
) -> None:
    """The proved optimum of 10 nodes is met, the plan of 24 beaten by half, each with checked bounds."""
    folder = shared_data / "helix" / name
    read = read_helix_cluster(folder / cluster_file)
    program = read_program(folder / "ilp_model.lp")
    cluster = helix_pipeline_cluster(
        read, kinds(helix_rates(program, read.kinds)), layers=layers, hidden_bytes=hidden_bytes
    )

    result = solve_pattern(cluster.program())
    value, _ = flow_in_program(program, layout_of(cluster, result.ranges))
    proof = prove_stages(cluster.program(), result)

    assert value == pytest.approx(result.rate, rel=1e-9)
    assert value >= least * (1 - 1e-9)
    assert result.stages_bound == pytest.approx(value, rel=1e-9)
    assert proof is not None
    check_stages(cluster.program(), proof)
    check_any_line(cluster.program(), result.any_bound)
    if name == "single_24":  # proven against any placement, aligned or not
        assert result.any_bound.rate == pytest.approx(value, rel=1e-9)


def test_the_shipped_layout_has_the_same_flow_in_both_programs(shared_data: Path) -> None:
    """The flow through Helix's own layout is what its program says."""
    folder = shared_data / "helix" / "single_24"
    read = read_helix_cluster(folder / "cluster24.ini")
    program = read_program(folder / "ilp_model.lp")
    cluster = helix_pipeline_cluster(read, kinds(helix_rates(program, read.kinds)), layers=80, hidden_bytes=16384.0)
    layout = read_helix_layout(folder / "ilp_sol.ini")

    ranges = ranges_of_layout(cluster, layout)
    flow = max_flow(ranges, steps=80, link=cluster.program().link)

    assert layout_of(cluster, ranges) == layout
    assert flow.value == pytest.approx(1289.555770275147, rel=1e-9)
    assert flow_in_program(program, layout)[0] == pytest.approx(flow.value, rel=1e-9)


def test_rooms_of_caches_lie_on_a_line() -> None:
    """Two depths of one type tell the room at every depth; one depth does not."""
    rooms = {0: ("T", 700), 1: ("T", 400), 2: ("T", 700)}

    found = helix_cache_tokens(rooms, {0: (0, 1), 1: (1, 3), 2: (0, 1)}, most_layers={"T": 4})

    assert found == {"T": pytest.approx((700.0, 200.0, 100 / 3, 0.0))}
    with pytest.raises(ProblemError, match="two numbers of layers"):
        helix_cache_tokens({0: ("T", 700)}, {0: (0, 1)}, most_layers={"T": 4})


def test_what_does_not_fit_together_is_refused(small: NamedProgram) -> None:
    """A type without rates, a node without a row, a layout that leaves a node out or holds too much."""
    cluster = HelixCluster(kinds=("T", "T"), links={(0, 1): NEAR}, source={0: NEAR}, sink={1: NEAR})
    with pytest.raises(ProblemError, match="rates of type T"):
        helix_pipeline_cluster(cluster, {}, layers=2, hidden_bytes=1.0)
    with pytest.raises(InputError, match="node_throughput_constraint_2"):
        helix_rates(small, ("T", "T", "T"))
    ours = helix_pipeline_cluster(cluster, kinds({"T": (9.0, 4.0)}), layers=2, hidden_bytes=1.0)
    with pytest.raises(ProblemError, match="layers of node 1"):
        ranges_of_layout(ours, {0: (0, 1)})
    with pytest.raises(ProblemError, match="node 1: expected at most 2"):
        ranges_of_layout(ours, {0: (0, 1), 1: (0, 3)})
