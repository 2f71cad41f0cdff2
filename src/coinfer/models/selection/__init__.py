"""Expert selection: data, formulation, decoding and an independent evaluation."""

from __future__ import annotations

from coinfer.models.selection.data import SelectionProblem as SelectionProblem
from coinfer.models.selection.decision import Route as Route
from coinfer.models.selection.decision import SelectionDecision as SelectionDecision
from coinfer.models.selection.decode import decode as decode
from coinfer.models.selection.decode import encode as encode
from coinfer.models.selection.evaluate import Evaluation as Evaluation
from coinfer.models.selection.evaluate import evaluate as evaluate
from coinfer.models.selection.explain import explain_infeasible as explain_infeasible
from coinfer.models.selection.formulate import formulate as formulate
from coinfer.models.selection.from_selection import decode_selection as decode_selection
from coinfer.models.selection.pareto import non_dominated as non_dominated
from coinfer.models.selection.pareto import sweep_problems as sweep_problems
from coinfer.models.selection.values import values as values
