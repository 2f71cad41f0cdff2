"""Write the array of the synthetic example problem, and the proven optimum beside the small ones.

Run from the root of the repository: ``python examples/make_problems.py``. Nothing is random but the qualities of
``synthetic_30x8``, which come from the seed below; running the script again writes the same files.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

import coinfer
from coinfer.errors import Infeasible
from coinfer.models.selection import evaluate

PROBLEMS = Path(__file__).parent / "problems"
NAMES = (
    "cost_of_pass",
    "coupled_energy_split",
    "deployed_gate_softmax",
    "edge_latency_ensemble",
    "idle_power_consolidation",
    "infeasible_latency",
    "synthetic_30x8",
    "two_experts_memory",
)
SEED = 20_250_117
PROMPTS, EXPERTS = 30, 8


def synthetic_quality() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Draw (prompts, experts) win rates in the manner of a leaderboard of preferences.

    An expert has an ability (larger ones have more) and a taste for each of three categories, a prompt has a
    difficulty; the logistic function of their sum, with noise of each pair, is rounded to three decimals.
    """
    generator = np.random.default_rng(SEED)
    ability = np.linspace(-1.0, 1.2, EXPERTS)
    taste = generator.normal(scale=0.8, size=(3, EXPERTS))
    difficulty = generator.normal(scale=0.7, size=PROMPTS)
    noise = generator.normal(scale=0.6, size=(PROMPTS, EXPERTS))
    score = ability + taste[np.arange(PROMPTS) % 3] - difficulty[:, None] + noise
    return np.round(1.0 / (1.0 + np.exp(-score)), 3)


def write_array(path: Path, array: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> str:
    """Write an ``.npz`` file that has the same bytes every time, and return its SHA-256."""
    content = BytesIO()
    np.save(content, array, allow_pickle=False)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("quality.npy", date_time=(1980, 1, 1, 0, 0, 0)), content.getvalue())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def optimum(path: Path) -> dict[str, object]:
    """Solve one problem to its proven optimum; the proof is checked by code that shares nothing with the solver."""
    problem = coinfer.read_problem(path)
    try:
        plan = coinfer.plan(problem)
    except Infeasible:
        return {"status": "infeasible", "value": None, "selected": []}
    if not coinfer.verify(problem, plan).proven:
        raise SystemExit(f"{path.name}: the optimum is not proven")
    value = round(evaluate(problem, plan.decision).value, 11)
    return {"status": "optimal", "value": value, "selected": list(plan.decision.selected)}


def main() -> None:
    """Write everything that is not written by hand."""
    digest = write_array(PROBLEMS / "synthetic_30x8.npz", synthetic_quality())
    path = PROBLEMS / "synthetic_30x8.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    if data["quality"]["sha256"] != digest:
        data["quality"]["sha256"] = digest
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for name in NAMES:
        text = json.dumps(optimum(PROBLEMS / f"{name}.json"), indent=1) + "\n"
        (PROBLEMS / f"{name}.optimum.json").write_text(text, encoding="utf-8")
        print(name, text.replace("\n", ""))


if __name__ == "__main__":
    main()
