"""A trained gate: which of the selected experts answers a prompt, decided by its text, for any selection."""

from __future__ import annotations

from coinfer.models.selection.gate.crossed import crossed_scores as crossed_scores
from coinfer.models.selection.gate.document import Gate as Gate
from coinfer.models.selection.gate.document import gate_from as gate_from
from coinfer.models.selection.gate.document import read_gate as read_gate
from coinfer.models.selection.gate.document import write_gate as write_gate
from coinfer.models.selection.gate.features import MINILM as MINILM
from coinfer.models.selection.gate.features import EmbeddingModel as EmbeddingModel
from coinfer.models.selection.gate.features import FeatureDescription as FeatureDescription
from coinfer.models.selection.gate.features import Featurizer as Featurizer
from coinfer.models.selection.gate.features import HashedWords as HashedWords
from coinfer.models.selection.gate.features import featurizer as featurizer
from coinfer.models.selection.gate.options import TrainingOptions as TrainingOptions
from coinfer.models.selection.gate.regret import preservation_regret as preservation_regret
from coinfer.models.selection.gate.regret import report_on as report_on
from coinfer.models.selection.gate.train import TrainedGate as TrainedGate
from coinfer.models.selection.gate.train import train_gate as train_gate
from coinfer.models.selection.gate_report import GateReport as GateReport
from coinfer.models.selection.gate_report import SubsetRegret as SubsetRegret
