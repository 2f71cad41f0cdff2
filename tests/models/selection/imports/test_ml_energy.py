"""The leaderboard of ML.ENERGY becomes the problem of serving models, or of routing to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import InputError
from coinfer.models.selection.imports import EnergyOptions, GpuBudget, Imported, ImportOptions, import_ml_energy
from coinfer.planner.make import plan as make_plan

FIELDS = ("median_itl_ms", "p90_itl_ms", "p95_itl_ms", "p99_itl_ms")
PLAIN = ImportOptions()
H100S = (GpuBudget.parse("H100=8"),)


def configuration(model: str, gpus: int, batch: int, itl_ms: float, energy_j: float, gpu: str = "H100") -> Any:
    """One configuration as the leaderboard writes it; its higher quantiles are 1.1, 1.2 and 1.3 times the median."""
    return {
        "model_id": f"org/{model}",
        "nickname": model,
        "gpu_model": gpu,
        "num_gpus": gpus,
        "max_num_seqs": batch,
        "tensor_parallel": gpus,
        "weight_precision": "bfloat16",
        "energy_per_request_joules": energy_j,
        "avg_power_watts": 100.0,
        **{field: itl_ms * (1 + i / 10) for i, field in enumerate(FIELDS)},
    }


SMALL = [configuration("small", 1, 8, 10.0, 100.0), configuration("small", 1, 64, 40.0, 30.0)]
LARGE = [configuration("large", 4, 8, 20.0, 900.0), configuration("large", 8, 64, 30.0, 700.0)]


def read(folder: Path, configurations: Any, options: ImportOptions = PLAIN, **energy: Any) -> Imported:
    path = folder / "task.json"
    path.write_text(json.dumps({"task": "t", "configurations": configurations}))
    return import_ml_energy([path], options, EnergyOptions(**energy))


def test_every_model_is_served_by_one_of_its_own(tmp_path: Path) -> None:
    """The plan takes of each model the configuration with least energy that keeps the promise and the GPUs."""
    made = read(tmp_path, [*SMALL, *LARGE], serve=("all",), itl_s=0.035, gpus=H100S)
    problem = made.problem

    assert [category.name for category in problem.categories] == ["org/small", "org/large"]
    assert [(device.name, device.memory_bytes) for device in problem.devices] == [("H100", 8 * 80 * 10**9)]
    assert problem.experts[3].memory_bytes == 8 * 80 * 10**9
    assert {expert.group for expert in problem.experts} == {"org/small", "org/large"}
    assert {expert.energy_basis for expert in problem.experts} == {"published"}
    assert problem.experts[1].latency_s == {"org/small": pytest.approx(0.040)}
    plan = make_plan(problem)
    # The cheaper `large` takes all 8 GPUs and leaves none for `small`, whose cheaper one breaks the promise.
    assert set(plan.decision.selected) == {"org/small on H100 x 1, batch 8", "org/large on H100 x 4, batch 8"}
    assert plan.certificate.status == "optimal"
    free = make_plan(read(tmp_path, [*SMALL, *LARGE], serve=("all",), itl_s=0.05).problem)
    assert set(free.decision.selected) == {"org/small on H100 x 1, batch 64", "org/large on H100 x 8, batch 64"}


@pytest.mark.parametrize(("statistic", "factor"), [("p50", 1.0), ("p90", 1.1), ("p95", 1.2), ("p99", 1.3)])
def test_the_statistic_is_the_one_asked_for(tmp_path: Path, statistic: str, factor: float) -> None:
    """Each statistic is read from its own field, in seconds, and the problem says which it is."""
    problem = read(tmp_path, SMALL, serve=("small",), itl_s=1.0, latency_statistic=statistic).problem

    assert problem.latency_statistic == statistic
    assert problem.experts[0].latency_s == {"org/small": pytest.approx(0.010 * factor)}


def test_models_are_routed_to_by_their_quality(tmp_path: Path) -> None:
    """With a table of qualities each category is a prompt, and all configurations of a model have its quality."""
    table = tmp_path / "quality.csv"
    table.write_text("model,quality,category\nsmall,0.5,chat\norg/large,0.9,chat\nsmall,0.25,code\nlarge,0.75,code\n")
    options = ImportOptions(energy_budget_j=400.0)
    made = read(tmp_path, [*SMALL, *LARGE, configuration("other", 1, 1, 1.0, 1.0)], options, quality=table, itl_s=0.1)
    problem = made.problem

    assert problem.quality.array.tolist() == [[0.5, 0.5, 0.9, 0.9], [0.25, 0.25, 0.75, 0.75]]
    assert {expert.device for expert in problem.experts} == {"H100 x 1", "H100 x 4", "H100 x 8"}
    assert (problem.objective, problem.budgets.energy_j) == ("quality", 400.0)
    assert [category.latency_budget_s for category in problem.categories] == [0.1, 0.1]
    assert made.notes == ("models without a quality left out: org/other",)
    assert make_plan(problem).certificate.status == "optimal"


def test_a_quality_that_is_absent_is_not_zero(tmp_path: Path) -> None:
    """A category that lacks a model's quality is refused, or dropped and told."""
    table = tmp_path / "quality.csv"
    table.write_text("model,quality,category\nsmall,0.5,chat\nlarge,,chat\nsmall,0.25,code\nlarge,0.75,code\n")
    with pytest.raises(InputError, match="quality of org/large in chat: expected a number, or --missing drop"):
        read(tmp_path, [*SMALL, *LARGE], quality=table)
    made = read(tmp_path, [*SMALL, *LARGE], ImportOptions(missing="drop"), quality=table)

    assert [prompt.name for prompt in made.problem.prompts] == ["code"]
    assert made.notes[-1].startswith("1 of 2 prompts dropped")


@settings(max_examples=25)
@given(
    levels=st.integers(1, 6),
    figures=st.lists(
        st.tuples(st.sampled_from([1, 2, 4]), st.integers(1, 60), st.integers(1, 50)), min_size=1, max_size=8
    ),
)
def test_as_many_levels_as_kinds_of_machine_lose_nothing(
    levels: int, figures: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At most ``levels`` configurations of a model stay; with one for each number of GPUs, the best of each stays."""
    rows = [configuration("m", gpus, i, float(itl), float(joules)) for i, (gpus, itl, joules) in enumerate(figures)]
    folder = tmp_path_factory.mktemp("levels")
    made = read(folder, rows, serve=("all",), itl_s=0.05, levels=levels, gpus=H100S)

    assert len(made.problem.experts) == min(levels, len(rows))
    assert bool(made.notes) == (levels < len(rows))
    if levels < len({gpus for gpus, *_ in figures}):
        return
    for count in (1, 2, 4):
        able = [joules for gpus, itl, joules in figures if gpus == count and itl <= 50]
        size = count * 80 * 10**9
        kept = [e for e in made.problem.experts if e.memory_bytes == size and e.latency_s["org/m"] <= 0.05]
        assert min([(e.energy_j or {})["org/m"] for e in kept], default=None) == min(able, default=None)


def test_configurations_that_look_alike_are_kept_apart(tmp_path: Path) -> None:
    """Two measurements of one configuration are two experts with different names, and it is told."""
    parallel = {**SMALL[0], "tensor_parallel": 2}
    problem = read(tmp_path, [SMALL[0], parallel], serve=("all",), itl_s=1.0).problem
    names = ["org/small on H100 x 1, batch 8, tp1, bfloat16", "org/small on H100 x 1, batch 8, tp2, bfloat16"]
    assert [expert.name for expert in problem.experts] == names
    made = read(tmp_path, [SMALL[0], SMALL[0]], serve=("all",), itl_s=1.0)

    assert made.problem.experts[1].name == f"{made.problem.experts[0].name} (2)"
    assert made.notes == (f"measured more than once, and kept under a number: {made.problem.experts[1].name}",)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_gpus": 0}, "configurations[0].num_gpus: expected an integer, at least 1; found 0"),
        ({"num_gpus": "2"}, "configurations[0]: num_gpus: expected `int`; found '2'"),
        ({"energy_per_request_joules": None}, "configurations[0]: energy_per_request_joules: expected `float`; found"),
        ({"energy_per_request_joules": -1}, "configurations[0].energy_per_request_joules: expected a finite number"),
        ({"median_itl_ms": None}, "configurations[0].median_itl_ms: expected the latency asked for; found none"),
        ({"median_itl_ms": -1.0}, "configurations[0].median_itl_ms: expected a finite number, at least 0; found -1.0"),
        ({"model_id": ""}, "expected a name; found ''"),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Whatever is wrong in a configuration is said with its index and field."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, [{**SMALL[0], **change}], serve=("all",), itl_s=1.0)

    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("energy", "sentence"),
    [
        ({}, "arguments: expected --serve MODELS or --quality FILE; found neither"),
        ({"serve": ("all",), "quality": Path("q.csv")}, "found both"),
        ({"serve": ("all",)}, "--itl-s: expected the longest inter-token latency"),
        ({"serve": ("all",), "itl_s": -1.0}, "--itl-s: expected a finite number, at least 0; found -1.0"),
        ({"serve": ("no",), "itl_s": 1.0}, "--serve: expected all, or some of org/small, org/large; found 'no'"),
        ({"serve": ("all",), "itl_s": 1.0, "levels": 0}, "--levels: expected an integer, at least 1; found 0"),
        ({"serve": ("all",), "itl_s": 1.0, "latency_statistic": "mean"}, "expected p50 or p90 or p95 or p99"),
        ({"serve": ("all",), "itl_s": 1.0, "gpus": (*H100S, *H100S)}, "--gpus: expected each type of GPU once"),
        ({"serve": ("all",), "itl_s": 1.0, "gpus": (GpuBudget.parse("H100=3"),)}, "org/large that the GPUs can hold"),
        ({"quality": Path("absent.csv")}, "absent.csv: expected a readable file"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, energy: dict[str, Any], sentence: str) -> None:
    """Options that contradict each other, or ask for what is not there, are one sentence."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, [*SMALL, *LARGE], **energy)

    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["", "H100", "H100=", "H100=0", "H100=-1", "H100=x", "=3", "T4=3", "T4=3:0", "T4=3:x"])
def test_a_bad_number_of_gpus_is_refused(text: str) -> None:
    """A budget of GPUs is GPU=COUNT of a known type, or names the memory of one."""
    with pytest.raises(InputError, match="--gpus: expected GPU=COUNT"):
        GpuBudget.parse(text)
    assert GpuBudget.parse("T4=3:16") == GpuBudget(gpu="T4", count=3, memory_bytes=16 * 10**9)


@pytest.mark.parametrize("content", [[], {}, {"configurations": []}, {"configurations": 3}, 7])
def test_another_file_is_refused(tmp_path: Path, content: Any) -> None:
    """A file without configurations is refused."""
    path = tmp_path / "task.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="expected an object with a list 'configurations'"):
        import_ml_energy([path], ImportOptions(), EnergyOptions(serve=("all",), itl_s=1.0))


def test_the_real_leaderboard_is_planned(shared_data: Path) -> None:
    """All 18 models of the LM-Arena task are served, with less than half the energy of their fastest configurations."""
    path = shared_data / "ml_energy_lm_arena_chat.json"
    gpus = (GpuBudget.parse("H100=24"), GpuBudget.parse("B200=32"))
    made = import_ml_energy([path], ImportOptions(), EnergyOptions(serve=("all",), itl_s=0.05, levels=8, gpus=gpus))
    plan = make_plan(made.problem, engine="highs", with_proof=False)

    assert len(plan.decision.selected) == len(made.problem.categories) == 18
    experts = {expert.name: expert for expert in made.problem.experts}
    chosen = [experts[name] for name in plan.decision.selected]
    assert all(latency <= 0.05 for expert in chosen for latency in expert.latency_s.values())
    for gpu in gpus:
        assert sum(e.memory_bytes or 0 for e in chosen if e.device == gpu.gpu) <= gpu.count * gpu.memory_bytes
    whole = import_ml_energy([path], ImportOptions(), EnergyOptions(serve=("all",), itl_s=0.05)).problem
    fastest = {}
    for expert in sorted(whole.experts, key=lambda expert: -max(expert.latency_s.values())):
        fastest[expert.group] = sum((expert.energy_j or {}).values())
    assert sum(sum((expert.energy_j or {}).values()) for expert in chosen) < sum(fastest.values()) / 2
