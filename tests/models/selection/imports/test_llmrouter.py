"""LLMRouter's records become the problem that they hold, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinfer.errors import CoinferError, InputError
from coinfer.models.selection.imports import ImportOptions, import_llmrouter

ROW: dict[str, Any] = {
    "task_name": "gsm8k",
    "query": "What is 2+2?",
    "ground_truth": "4",
    "metric": "GSM8K",
    "choices": None,
    "model_name": "small",
    "response": "4",
    "token_num": 450,
    "input_tokens": 400,
    "output_tokens": 50,
    "response_time": 1.5,
    "performance": 1.0,
    "embedding_id": 42,
}
CANDIDATES: dict[str, Any] = {
    "small": {
        "size": "7B",
        "feature": "cheap",
        "input_price": 0.2,
        "output_price": 0.4,
        "model": "vendor/small",
        "service": "S",
        "api_endpoint": "https://example.org/v1",
    },
    "large": {"size": "70B", "input_price": 1.0, "output_price": 1.0},
}


def files(folder: Path, rows: list[Any], candidates: Any = None, queries: list[Any] | None = None) -> list[Path]:
    made = [folder / "routing.jsonl"]
    made[0].write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    if candidates is not None:
        made.insert(0, folder / "llm.json")
        made[0].write_text(json.dumps(candidates))
    if queries is not None:
        made.append(folder / "queries.jsonl")
        made[-1].write_text("".join(json.dumps(query) + "\n" for query in queries))
    return made


def test_records_are_read_as_they_stand(tmp_path: Path) -> None:
    """Prices per million tokens, response times, endpoints and names come from where LLMRouter keeps them."""
    large = {**ROW, "model_name": "large", "performance": 0.5, "response_time": None}
    unknown = {**CANDIDATES, "unused": {"size": "1B"}}
    made = import_llmrouter(files(tmp_path, [ROW, large], unknown), ImportOptions())
    small, big = made.problem.experts

    assert [prompt.name for prompt in made.problem.prompts] == ["gsm8k/42"]
    assert made.problem.quality.array.tolist() == [[1.0, 0.5]]
    assert small.price_usd == {"gsm8k": pytest.approx((400 * 0.2 + 50 * 0.4) / 1e6)}
    assert big.price_usd == {"gsm8k": pytest.approx(450e-6)}
    assert (small.latency_s, big.latency_s) == ({"gsm8k": 1.5}, {})
    assert small.endpoint is not None
    assert (small.endpoint.model, small.endpoint.url) == ("vendor/small", "https://example.org/v1")
    assert big.endpoint is None
    assert "candidates without rows left out: unused" in made.notes
    assert "latency_s is absent for 1 answers; means are over the others" in made.notes


def test_a_price_that_cannot_be_known_stays_absent(tmp_path: Path) -> None:
    """The sum of all tokens is priced only where reading and writing cost the same."""
    rows = [
        {"task_name": "t", "model_name": name, "performance": 1, "token_num": 1_000_000} for name in ("small", "large")
    ]
    small, large = import_llmrouter(files(tmp_path, rows, CANDIDATES), ImportOptions()).problem.experts

    assert small.price_usd is None
    assert large.price_usd == {"t": pytest.approx(1.0)}


@pytest.mark.parametrize(("statistic", "seconds"), [("mean", 3.2), ("p50", 3.0), ("p95", 5.6)])
def test_the_latency_is_the_statistic_asked_for(tmp_path: Path, statistic: str, seconds: float) -> None:
    """Mean and quantiles are over the response times of a category."""
    rows = [{**ROW, "embedding_id": i, "response_time": time} for i, time in enumerate([2.0, 4.0, 3.0, 6.0, 1.0])]
    problem = import_llmrouter(files(tmp_path, rows), ImportOptions(), latency_statistic=statistic).problem

    assert problem.experts[0].latency_s == {"gsm8k": pytest.approx(seconds)}
    assert problem.latency_statistic == statistic


def test_only_the_queries_asked_for_are_taken(tmp_path: Path) -> None:
    """A file of queries restricts the prompts; a query without rows is refused, or told when dropped."""
    other = {**ROW, "query": "other", "embedding_id": 43}
    asked = [{"task_name": "gsm8k", "query": "other", "metric": "GSM8K"}]
    made = import_llmrouter(files(tmp_path, [ROW, other], None, asked), ImportOptions())
    assert [prompt.name for prompt in made.problem.prompts] == ["gsm8k/43"]

    paths = files(tmp_path, [ROW, other], None, [*asked, {"task_name": "gsm8k", "query": "lost"}])
    with pytest.raises(InputError, match=r"queries\.jsonl: line 2: expected a routing row for every query"):
        import_llmrouter(paths, ImportOptions())
    notes = import_llmrouter(paths, ImportOptions(missing="drop")).notes
    assert any(note.startswith("1 queries without a routing row left out") for note in notes)


@settings(max_examples=40)
@given(
    rows=st.dictionaries(
        st.tuples(st.sampled_from(["t", "u"]), st.text(max_size=4), st.sampled_from(["small", "large", "other"])),
        st.tuples(st.floats(0.0, 1.0), st.one_of(st.none(), st.floats(0.0, 100.0))),
        min_size=1,
        max_size=10,
    ),
    statistic=st.sampled_from(["mean", "p50", "p95"]),
)
def test_what_was_written_is_read_back(
    rows: dict[tuple[str, str, str], tuple[float, float | None]],
    statistic: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of any records, the queries that all models answered come back with their figures, and only those."""
    models = {model for _, _, model in rows}
    queries = dict.fromkeys((task, query) for task, query, _ in rows)
    whole = [(task, query) for task, query in queries if all((task, query, model) in rows for model in models)]
    written = [
        {"task_name": task, "query": query, "model_name": model, "performance": quality, "response_time": seconds}
        for (task, query, model), (quality, seconds) in rows.items()
    ]
    paths = files(tmp_path_factory.mktemp("rows"), written, CANDIDATES)
    options = ImportOptions(missing="drop")
    if not whole:
        with pytest.raises(InputError, match="expected a prompt that lacks no cell"):
            import_llmrouter(paths, options)
        return
    problem = import_llmrouter(paths, options, latency_statistic=statistic).problem

    assert [prompt.category for prompt in problem.prompts] == [task for task, _ in whole]
    figures = {"mean": np.mean, "p50": np.median, "p95": lambda numbers: np.quantile(numbers, 0.95)}
    for n, expert in enumerate(problem.experts):
        own = [(task, *rows[task, query, expert.name]) for task, query in whole]
        assert problem.quality.array[:, n].tolist() == [quality for _, quality, _ in own]
        for task in ("t", "u"):
            seconds = [time for name, _, time in own if name == task and time is not None]
            expected = pytest.approx(float(figures[statistic](seconds)), rel=1e-9) if seconds else None
            assert expert.latency_s.get(task) == expected


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"performance": "good"}, "line 1: performance: expected `float | null`; found 'good'"),
        ({"task_name": 3}, "line 1: task_name: expected `str`; found 3"),
        ({"response_time": -1.0}, "line 1: response_time: expected a finite number, at least 0; found -1.0"),
        ({"input_tokens": -1}, "line 1: input_tokens: expected a finite number, at least 0; found -1"),
        ({"performance": None}, "line 1: performance of small: expected a number, or --missing drop"),
        ({"task_name": ""}, "name: expected a name; found ''"),
        ({"performance": 1e300}, "quality: expected numbers of at most 1e+18; found larger ones"),
    ],
)
def test_a_bad_row_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Whatever is wrong in a row is said with its line and field."""
    with pytest.raises(InputError) as caught:
        import_llmrouter(files(tmp_path, [{**ROW, **change}]), ImportOptions())

    assert sentence in str(caught.value)


def test_other_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """A row twice, no rows at all, a bad price, an unknown statistic and broken JSON are each refused."""
    for rows, candidates, sentence in (
        ([ROW, ROW], None, r"line 2: expected one row for each query and model \(the query's first row: .*line 1\)"),
        ([{"task_name": "t", "query": "q"}], CANDIDATES, "expected routing rows"),
        ([ROW], {"small": {"input_price": -1.0}}, r"llm\.json: small: input_price: expected a finite number"),
        ([ROW], {"small": 3}, r"llm\.json: small: expected `object`; found 3"),
        ([[]], None, r"routing\.jsonl: line 1: expected `object`"),
    ):
        with pytest.raises(InputError, match=sentence):
            import_llmrouter(files(tmp_path, rows, candidates), ImportOptions())
    with pytest.raises(InputError, match="--latency-statistic: expected mean, p50 or p95; found 'p99'"):
        import_llmrouter(files(tmp_path, [ROW]), ImportOptions(), latency_statistic="p99")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"model_name": \n')
    with pytest.raises(InputError, match=r"broken\.jsonl: line 1: expected valid JSON"):
        import_llmrouter([broken], ImportOptions())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*ROW, "x"]), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=60)
@given(change=st.dictionaries(st.sampled_from(sorted(ROW)), json_values, max_size=3), candidates=json_values)
def test_any_json_is_a_problem_or_a_sentence(
    change: dict[str, Any], candidates: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No JSON makes the importer fail in any other way than by an error of ours."""
    paths = files(tmp_path_factory.mktemp("rows"), [{**ROW, **change}], candidates)
    for chosen in (paths, paths[1:], []):
        try:
            import_llmrouter(chosen, ImportOptions())
        except CoinferError as error:
            assert "\n" not in str(error)
