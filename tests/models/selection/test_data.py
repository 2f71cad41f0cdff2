"""A problem file is accepted whole or refused with one sentence that names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coinfer.errors import InputError
from coinfer.models.problem import Problem, read_problem
from coinfer.models.selection.data import SelectionProblem

Load = Callable[[Any], Problem]
NOTHING = object()

# path inside the file, what is put there (NOTHING: the key is taken away), the sentence after the file's name
WRONG: list[tuple[str, Any, str]] = [
    ("format", NOTHING, "format: expected 'coinfer/problem/1'; found nothing"),
    ("format", "coinfer/problem/2", "format: expected 'coinfer/problem/1'; found 'coinfer/problem/2'"),
    ("name", 3, "name: expected `str`; found 3"),
    ("colour", "red", "expected known fields only; found 'colour'"),
    ("gate", NOTHING, "expected a field `gate`"),
    ("gate", "soft", "gate: expected one of 'category', 'oracle', 'softmax', 'top_1'; found 'soft'"),
    ("latency_rule", "any", "latency_rule: expected one of 'routed', 'selected'; found 'any'"),
    ("devices", [], "devices: expected at least one entry; found none"),
    ("experts", [], "experts: expected at least one entry; found none"),
    ("prompts", [], "prompts: expected at least one entry; found none"),
    ("categories", [], "categories: expected at least one entry; found none"),
    ("devices.0.name", " ", "devices[0].name: expected a name; found ' '"),
    ("devices.0.name", "desk", "devices: expected names that differ; found 'desk' 2 times"),
    ("devices.0.memory_bytes", -1, "devices[0].memory_bytes: expected a finite number, at least 0; found -1"),
    ("devices.0.memory_bytes", 1.5, "devices[0].memory_bytes: expected `int | null`; found 1.5"),
    ("devices.0.memory_bytes", "8 GB", "devices[0].memory_bytes: expected `int | null`; found '8 GB'"),
    ("devices.0.idle_power_w", -2.0, "devices[0].idle_power_w: expected a finite number, at least 0; found -2.0"),
    ("devices.0.max_utilisation", 0.0, "devices[0].max_utilisation: expected a number in (0, 1]; found 0.0"),
    ("devices.0.max_utilisation", 1.01, "devices[0].max_utilisation: expected a number in (0, 1]; found 1.01"),
    ("categories.1.name", "", "categories[1].name: expected a name; found ''"),
    ("categories.1.name", "chat", "categories: expected names that differ; found 'chat' 2 times"),
    (
        "categories.0.latency_budget_s",
        -0.5,
        "categories[0].latency_budget_s: expected a finite number, at least 0; found -0.5",
    ),
    ("experts.0.name", "big", "experts: expected names that differ; found 'big' 2 times"),
    ("experts.0.name", "", "experts[0].name: expected a name; found ''"),
    ("experts.0.device", "cloud", "experts[0].device: expected one of orin, desk; found 'cloud'"),
    ("experts.0.latency_s", NOTHING, "experts[0]: expected a field `latency_s`"),
    ("experts.0.latency_s.chat", -1.0, "experts[0].latency_s.chat: expected a finite number, at least 0; found -1.0"),
    ("experts.0.latency_s.prose", 1.0, "experts[0].latency_s: expected one of chat, code; found 'prose'"),
    ("experts.0.energy_j.prose", 1.0, "experts[0].energy_j: expected one of chat, code; found 'prose'"),
    ("experts.0.price_usd.prose", 1.0, "experts[0].price_usd: expected one of chat, code; found 'prose'"),
    ("experts.0.memory_bytes", -5, "experts[0].memory_bytes: expected a finite number, at least 0; found -5"),
    (
        "experts.0.memory_bytes",
        NOTHING,
        "experts[0].memory_bytes: expected a size, since its device's memory is limited; found None",
    ),
    ("experts.0.transmission_s", -0.1, "experts[0].transmission_s: expected a finite number, at least 0; found -0.1"),
    ("experts.0.energy_j.chat", -4.0, "experts[0].energy_j.chat: expected a finite number, at least 0; found -4.0"),
    (
        "experts.0.energy_j.chat",
        NOTHING,
        "experts[0].energy_j: expected a figure for category 'chat', since there is a budget for it; found none",
    ),
    (
        "experts.0.price_usd",
        NOTHING,
        "experts[0].price_usd: expected a figure for category 'chat', since there is a budget for it; found none",
    ),
    ("experts.0.price_usd.code", -1.0, "experts[0].price_usd.code: expected a finite number, at least 0; found -1.0"),
    (
        "experts.0.energy_basis",
        NOTHING,
        "experts[0].energy_basis: expected a basis exactly when energy_j stands; found None",
    ),
    ("experts.0.energy_basis", "guessed", "experts[0].energy_basis: expected one of"),
    ("prompts.0.name", "sort", "prompts: expected names that differ; found 'sort' 2 times"),
    ("prompts.0.category", "prose", "prompts[0].category: expected one of chat, code; found 'prose'"),
    ("prompts.0.weight", 0.0, "prompts[0].weight: expected a finite number above 0; found 0.0"),
    ("prompts.0.weight", -1.0, "prompts[0].weight: expected a finite number above 0; found -1.0"),
    ("quality", [[0.1, 0.2, 0.3]], "quality: expected 3 rows (prompts) of 3 numbers (experts); found (1, 3)"),
    ("quality.0", [0.1, 0.2], "quality: expected a matrix of numbers with rows of one length"),
    ("quality.0.1", True, "quality[0][1]: expected a number; found True"),
    ("quality.0.1", "0.8", "quality[0][1]: expected a number; found '0.8'"),
    ("quality", 0.8, "quality: expected rows of numbers or a reference to an array; found 0.8"),
    ("budgets.energy_j", -1.0, "budgets.energy_j: expected a finite number, at least 0; found -1.0"),
    (
        "budgets.worst_case_energy_j",
        -1.0,
        "budgets.worst_case_energy_j: expected a finite number, at least 0; found -1.0",
    ),
    ("budgets.price_usd", -1.0, "budgets.price_usd: expected a finite number, at least 0; found -1.0"),
    ("budgets.experts", 0, "budgets.experts: expected an integer, at least 1; found 0"),
    ("budgets.energy_kwh", 1.0, "budgets: expected known fields only (did you mean 'energy_j'?); found 'energy_kwh'"),
    ("required", ["huge"], "required[0]: expected one of tiny, mid, big; found 'huge'"),
    ("forbidden", ["huge"], "forbidden[0]: expected one of tiny, mid, big; found 'huge'"),
    ("aggregation_s_per_expert", 0.1, "aggregation_s_per_expert: expected latency_rule 'selected'; found 'routed'"),
    ("objective", "speed", "objective: expected one of 'cost_of_pass', 'energy_j', 'quality'; found 'speed'"),
    (
        "objective",
        "cost_of_pass",
        "cost_of_pass: expected an object exactly when the objective is 'cost_of_pass'; found none",
    ),
    (
        "cost_of_pass",
        {"fallback_price_usd": {"chat": 1.0, "code": 1.0}, "trials": 8},
        "expected an object exactly when the objective is 'cost_of_pass'; found one with objective 'quality'",
    ),
    ("quality_floor", "high", "quality_floor: expected `float | null`; found 'high'"),
    ("quality_floor", 1e19, "quality_floor: expected a finite number, at most 1e+18 in size; found 1e+19"),
    ("gate", "softmax", "gate_scores: expected scores, since the gate is 'softmax'; found none"),
    ("gate", "top_1", "gate_scores: expected scores, since the gate is 'top_1'; found none"),
    ("gate_scores", [[1.0, 2.0]], "gate_scores: expected 3 rows (prompts) of 3 numbers (experts); found (1, 2)"),
    ("gate_scores", [[1e19, 0.0, 0.0]] * 3, "gate_scores: expected numbers of at most 1e+18; found larger ones"),
    ("gate_scores", "file", "gate_scores: expected rows of numbers or a reference to an array; found 'file'"),
    ("arrival_rate_per_s", 0.0, "arrival_rate_per_s: expected a finite number above 0; found 0.0"),
]


def put(data: Any, path: str, value: Any) -> None:
    """Set, or take away, what stands at a dotted path."""
    *outer, last = path.split(".")
    for token in outer:
        data = data[int(token)] if token.isdigit() else data[token]
    if value is NOTHING:
        del data[last]
    else:
        data[int(last) if last.isdigit() else last] = value


@pytest.mark.parametrize(("path", "value", "sentence"), WRONG, ids=[f"{i}: {p}" for i, (p, _, _) in enumerate(WRONG)])
def test_each_wrong_value_has_its_sentence(
    small_json: dict[str, Any], load: Load, path: str, value: Any, sentence: str
) -> None:
    """One wrong value is refused with file, place, what was expected and what was found."""
    put(small_json, path, value)
    with pytest.raises(InputError) as caught:
        load(small_json)
    assert sentence in str(caught.value)
    assert "problem.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_required_and_forbidden_contradict(small_json: dict[str, Any], load: Load) -> None:
    """An expert cannot be required and forbidden at once."""
    small_json |= {"required": ["tiny"], "forbidden": ["tiny"]}
    with pytest.raises(InputError, match="forbidden: expected no expert that is also required; found 'tiny'"):
        load(small_json)


COSTS: list[tuple[str, Any, str]] = [
    ("cost_of_pass.trials", 0, "cost_of_pass.trials: expected an integer, at least 1; found 0"),
    ("cost_of_pass.trials", 0.5, "cost_of_pass.trials: expected `int`; found 0.5"),
    ("cost_of_pass.trials", NOTHING, "cost_of_pass: expected a field `trials`; found none"),
    (
        "cost_of_pass.prior_successes",
        -1.0,
        "cost_of_pass.prior_successes: expected a finite number, at least 0; found -1.0",
    ),
    (
        "cost_of_pass.prior_failures",
        -1.0,
        "cost_of_pass.prior_failures: expected a finite number, at least 0; found -1.0",
    ),
    (
        "cost_of_pass.fallback_price_usd.code",
        -1.0,
        "cost_of_pass.fallback_price_usd.code: expected a finite number, at least 0; found -1.0",
    ),
    (
        "cost_of_pass.fallback_price_usd.code",
        NOTHING,
        "cost_of_pass.fallback_price_usd: expected a price for category 'code', which has prompts; found none",
    ),
    (
        "cost_of_pass.fallback_price_usd.prose",
        1.0,
        "cost_of_pass.fallback_price_usd: expected one of chat, code; found 'prose'",
    ),
    (
        "quality.1.2",
        1.5,
        "quality[1][2]: expected a share of passes in [0, 1], since the objective is 'cost_of_pass'; found 1.5",
    ),
    (
        "experts.1.price_usd",
        {"chat": 0.1},
        "experts[1].price_usd: expected a figure for category 'code', since the objective needs it; found none",
    ),
]


@pytest.mark.parametrize(("path", "value", "sentence"), COSTS, ids=[f"{i}: {p}" for i, (p, _, _) in enumerate(COSTS)])
def test_each_wrong_value_of_a_cost_of_pass_has_its_sentence(
    small_json: dict[str, Any], load: Load, path: str, value: Any, sentence: str
) -> None:
    """What the cost of a pass is reckoned from is checked as the rest is; as it stands, it is read."""
    small_json |= {
        "objective": "cost_of_pass",
        "cost_of_pass": {"fallback_price_usd": {"chat": 1.0, "code": 2.0}, "trials": 8},
        "budgets": {},
    }
    load(small_json)
    put(small_json, path, value)
    with pytest.raises(InputError) as caught:
        load(small_json)
    assert f"problem.json: {sentence}" in str(caught.value)


def test_least_energy_needs_the_energy_of_every_measured_category(small_json: dict[str, Any], load: Load) -> None:
    """Energy that was not measured cannot be made least."""
    small_json |= {"objective": "energy_j", "budgets": {}, "quality_floor": 0.5}
    load(small_json)
    del small_json["experts"][2]["energy_j"], small_json["experts"][2]["energy_basis"]
    sentence = (
        r"experts\[2\]\.energy_j: expected a figure for category 'chat', since the objective needs it; found none"
    )
    with pytest.raises(InputError, match=sentence):
        load(small_json)


def test_negative_aggregation(small_json: dict[str, Any], load: Load) -> None:
    """Aggregation takes no negative time."""
    small_json |= {"latency_rule": "selected", "aggregation_s_per_expert": -0.1}
    with pytest.raises(
        InputError, match=r"aggregation_s_per_expert: expected a finite number, at least 0; found -0\.1"
    ):
        load(small_json)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ['"energy_j": 60.0', "[0.6,"])
def test_numbers_that_are_none(small_json: dict[str, Any], load: Load, constant: str, place: str) -> None:
    """NaN and infinities are refused wherever they stand."""
    text = json.dumps(small_json)
    number = re.search(r"[\d.]+", place)
    assert number is not None
    assert place in text
    with pytest.raises(InputError, match=r"expected (finite numbers|numbers below 1.8e308)"):
        load(text.replace(place, place.replace(number.group(), constant), 1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected valid JSON"),
        ("[]", "expected a JSON object; found list"),
        ('{"format": "coinfer/problem/1", "format": 1}', "expected each key once in an object"),
        ("[" * 100_000, "deeper nesting"),
    ],
)
def test_files_that_are_no_problem(load: Load, text: str, sentence: str) -> None:
    """Text that is no problem at all is refused with a sentence too."""
    with pytest.raises(InputError) as caught:
        load(text)
    assert sentence in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is named."""
    with pytest.raises(InputError, match=r"nowhere\.json: expected a readable file"):
        read_problem(tmp_path / "nowhere.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_constructors_refuse_what_a_file_could_not_hold(small: SelectionProblem, number: float) -> None:
    """Records made in Python are checked as those of a file, NaN included."""
    kind = type(small.devices[0])
    with pytest.raises(InputError, match="idle_power_w: expected a finite number, at least 0"):
        kind(name="d", idle_power_w=number)
    with pytest.raises(InputError, match="weight: expected a finite number above 0"):
        type(small.prompts[0])(name="p", category="chat", weight=number)


def test_total_latency_adds_decimals(small: SelectionProblem) -> None:
    """0.2 s of transmission on 0.1 s of computation is 0.3 s, which a promise of 0.3 s allows."""
    expert = type(small.experts[0])(name="e", device="d", latency_s={"chat": 0.1}, transmission_s=0.2)
    assert expert.total_latency_s("chat") == 0.3
    assert expert.total_latency_s("code") is None
