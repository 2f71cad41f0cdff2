"""Measured outcomes for the rows of claims."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from coinfer.models.budget.outcomes import Outcomes
from coinfer.solver.program import FloatArray, IntArray

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = {"Gemma 2B": 2.0, "Gemma 7B": 7.0, "Llama 3 8B": 8.0, "Llama 3 8B Instruct": 8.0, "Llama 3 70B Instruct": 70.0}
MODELS = 8
"""Of LiveCodeBench, spread over the list."""


@cache
def monkeys(name: str) -> Outcomes:
    """Return the outcomes of one of the two sets with 10,000 samples; costs in billions of parameters."""
    import pyarrow.parquet as parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    table = parquet.read_table(DATA / f"{name}_outcomes.parquet", columns=["Problem Idx", "Model", "Score"])
    coded = table["Model"].combine_chunks().dictionary_encode()
    arms = coded.dictionary.to_pylist()
    prompts, row = np.unique(table["Problem Idx"].to_numpy(), return_inverse=True)
    cell, shape = row * len(arms) + coded.indices.to_numpy(), (len(prompts), len(arms))
    right = np.bincount(cell, weights=table["Score"].to_numpy().astype(np.float64), minlength=shape[0] * shape[1])
    drawn = np.bincount(cell, minlength=shape[0] * shape[1])
    return outcomes_of(
        [str(prompt) for prompt in prompts],
        arms,
        right.reshape(shape),
        drawn.reshape(shape),
        [_size(arm) for arm in arms],
    )


def livecodebench() -> Outcomes:
    """Return 10 samples of some models on 400 problems, with the difficulty as label and no sizes: one costs 1."""
    entries = json.loads((DATA / "livecodebench_generation_45x400.json").read_text())["performances"]
    names = sorted({each["model"] for each in entries if "N=1" not in each["model"]})
    arms = names[:: max(1, len(names) // MODELS)][:MODELS]
    prompts = sorted({each["question_id"] for each in entries})
    place = {prompt: i for i, prompt in enumerate(prompts)}
    right, label = np.zeros((len(prompts), len(arms))), [""] * len(prompts)
    for each in entries:
        label[place[each["question_id"]]] = each["difficulty"]
        if each["model"] in arms:
            right[place[each["question_id"]], arms.index(each["model"])] = np.rint(each["pass@1"] / 10.0)
    cost = list(np.geomspace(2.0, 60.0, len(arms))[np.argsort(np.argsort(right.mean(axis=0)))])
    return outcomes_of(prompts, arms, right, np.full(right.shape, 10), cost, tuple(label))


def outcomes_of(
    prompts: list[str],
    arms: list[str],
    right: FloatArray | IntArray,
    drawn: FloatArray | IntArray,
    cost: list[float],
    labels: tuple[str, ...] = (),
) -> Outcomes:
    """Return outcomes whose samples of an arm cost the same on every prompt."""
    return Outcomes(
        prompts=tuple(prompts),
        arms=tuple(arms),
        successes=np.rint(right).astype(np.int64),
        samples=drawn.astype(np.int64),
        resources=("cost",),
        sample_cost=np.broadcast_to(np.array(cost), right.shape)[None].copy(),
        labels=labels,
    )


def _size(name: str) -> float:
    if name in SIZES:
        return SIZES[name]
    text = name.rsplit(maxsplit=1)[-1]
    return float(text[:-1]) / (1000.0 if text.endswith("M") else 1.0)
