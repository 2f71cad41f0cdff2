"""The predictor: a roofline fitted first, then effects of model, device, method and task, then boosted trees.

Everything is fitted on logarithms, so that errors are factors. Each part explains what the part before it left over.
The roofline carries to devices that nobody measured, which trees cannot; the trees learn how methods and models
interact, which no roofline knows. MetaInf (arXiv 2410.21340, 2508.09194) predicts from embeddings of descriptions of
model, hardware and data; its predictor is known to us from summaries only, and this one is ours.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from coinfer.errors import BackendMissing
from coinfer.models.acceleration.table import AXES, Design, FloatArray, IntArray

Predictor = Literal["roofline+trees", "roofline", "trees"]
PREDICTORS: tuple[Predictor, ...] = ("roofline+trees", "roofline", "trees")

_RIDGE = 1.0  # an effect counts as much as if one more row had shown none
_RIDGE_DESCRIBED = 10.0  # what a roofline describes fully (method, task) has little left that its name could tell
_LEAST_ROWS = 20  # trees of leaves of five rows have nothing to split below this
_MOST_CATEGORIES = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A predictor after its fit.

    Attributes
    ----------
    coefficients
        (terms,) of the roofline, all at least 0; empty where there is none.
    level
        Mean of what the roofline left over, in logarithms.
    effects
        For each of model, device, method and task, one number per index; 0 for what was not measured. Empty for
        trees alone.
    trees
        The boosted trees, or ``None``.
    columns
        (features,): which features the trees use.
    """

    coefficients: FloatArray
    level: float
    effects: tuple[FloatArray, ...]
    trees: Any
    columns: IntArray

    def predict(self, table: Design, cells: IntArray) -> FloatArray:
        """Return the logarithm of the figure for the ``cells`` of ``table``, (cells,)."""
        values = _roofline(self.coefficients, table.terms[cells]) + self.level
        for axis, effect in enumerate(self.effects):
            values = values + effect[table.codes[cells, axis]]
        if self.trees is not None:
            values = values + self.trees.predict(_features(table, cells, self.columns))
        return np.asarray(values, dtype=np.float64)


def fit(
    table: Design, cells: IntArray, logs: FloatArray, *, predictor: Predictor = "roofline+trees", seed: int = 0
) -> Fitted:
    """Fit the predictor.

    Parameters
    ----------
    table
        All cells, measured or not.
    cells
        (rows,): which cell each row measured.
    logs
        (rows,): logarithm of what was measured.
    predictor
        ``"roofline"`` leaves out the trees; ``"trees"`` is trees alone, for comparison.
    seed
        Seed of the trees.

    Raises
    ------
    BackendMissing
        If trees are wanted and scikit-learn is not installed.
    """
    terms = table.terms if predictor != "trees" else table.terms[:, :0]
    coefficients = _fit_roofline(terms[cells], logs)
    left = logs - _roofline(coefficients, terms[cells])
    level = float(left.mean())
    left = left - level
    effects: tuple[FloatArray, ...] = ()
    if predictor != "trees":
        effects = _fit_effects(table, cells, left, described=len(coefficients) > 0)
        left = left - sum(effect[table.codes[cells, axis]] for axis, effect in enumerate(effects))
    trees, columns = None, np.zeros(0, dtype=np.int64)
    if predictor != "roofline" and len(cells) >= _LEAST_ROWS:
        trees, columns = _fit_trees(table, cells, left, seed=seed, over_roofline=len(coefficients) > 0)
    return Fitted(coefficients=coefficients, level=level, effects=effects, trees=trees, columns=columns)


def _roofline(coefficients: FloatArray, terms: FloatArray) -> FloatArray:
    """Return the logarithm of the roofline; 0 where there is none."""
    return np.log(terms[:, : len(coefficients)] @ coefficients) if len(coefficients) else np.zeros(len(terms))


def _fit_roofline(terms: FloatArray, logs: FloatArray) -> FloatArray:
    """Fit non-negative coefficients by least squares of relative errors; an empty array where they explain nothing."""
    from scipy.optimize import lsq_linear

    if not terms.shape[1]:
        return np.zeros(0)
    relative = terms / np.exp(logs)[:, None]
    size = relative.max(axis=0)
    used = size > 0.0
    if not used.any():
        return np.zeros(0)
    found = np.zeros(terms.shape[1])
    scaled = lsq_linear(relative[:, used] / size[used], np.ones(len(logs)), bounds=(0.0, np.inf)).x
    found[used] = np.maximum(scaled, 0.0) / size[used]
    # A term of no row here (one accelerator everywhere) has coefficient 0, and every cell still needs a value above 0.
    return found if (terms @ found > 0.0).all() else np.zeros(0)


def _fit_effects(table: Design, cells: IntArray, left: FloatArray, *, described: bool) -> tuple[FloatArray, ...]:
    """Fit one number per model, device, method and task by ridge regression: rare ones are drawn towards 0."""
    sizes = [int(table.codes[:, axis].max()) + 1 for axis in range(len(AXES))]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = table.codes[cells] + starts[:-1]
    marks = np.zeros((len(cells), starts[-1]))
    np.put_along_axis(marks, columns, 1.0, axis=1)
    weights = [_RIDGE, _RIDGE, *([_RIDGE_DESCRIBED] * 2 if described else [_RIDGE] * 2)]
    numbers = np.linalg.solve(marks.T @ marks + np.diag(np.repeat(weights, sizes)), marks.T @ left)
    return tuple(numbers[low:high] for low, high in itertools.pairwise(starts))


def _fit_trees(
    table: Design, cells: IntArray, left: FloatArray, *, seed: int, over_roofline: bool
) -> tuple[Any, IntArray]:
    """Fit the trees on the features that vary; return them, or ``None``, and the features they use."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError as error:
        raise BackendMissing(
            "boosted trees need scikit-learn: pip install 'coinfer[learn]', or choose the predictor 'roofline'"
        ) from error

    numeric = table.numeric.shape[1]
    every = _features(table, cells, np.arange(numeric + 2))
    left_out = table.of_device & over_roofline
    columns = np.array([j for j in range(numeric) if not left_out[j] and _varies(every[:, j])], dtype=np.int64)
    named = [j for j in (numeric, numeric + 1) if _varies(every[:, j]) and every[:, j].max() < _MOST_CATEGORIES]
    columns = np.concatenate([columns, np.array(named, dtype=np.int64)])
    if not len(columns):
        return None, columns
    trees = HistGradientBoostingRegressor(
        max_iter=100,
        learning_rate=0.08,
        min_samples_leaf=5,
        categorical_features=[bool(column >= numeric) for column in columns],
        random_state=seed,
    )
    return trees.fit(every[:, columns], left), columns


def _varies(column: FloatArray) -> bool:
    known = column[~np.isnan(column)]
    return len(known) > 0 and bool((known != known[0]).any())


def _features(table: Design, cells: IntArray, columns: IntArray) -> FloatArray:
    """Return what the trees look at: numbers, then model and method as categories."""
    return np.concatenate([table.numeric[cells], table.codes[cells][:, [0, 2]]], axis=1)[:, columns]
