"""A trained verifier, and its files: weights as safetensors, all else as JSON; nothing in them is ever executed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coinfer import jsonfile
from coinfer.errors import BackendMissing, InputError, Plain
from coinfer.executor.strategies.strategy import estimated_tokens
from coinfer.executor.verifier.frozen import PROBE, FrozenModel
from coinfer.executor.verifier.network import Pair, Shape, logits, make_modules, prepare_bytes
from coinfer.executor.verifier.report import VerifierReport
from coinfer.records import Document

FORMAT = "coinfer/verifier/1"
NAME = "verifier.json"
BATCH = 64
MOST_WEIGHTS_BYTES = 2**30
PROBE_KEY = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVerifier:
    """Says how likely answers are right.

    Attributes
    ----------
    shape, modules
        The network.
    temperature
        Log-odds are divided by it.
    base
        The frozen language model that is read; ``None`` where bytes are.
    """

    shape: Shape
    modules: Any  # torch ships no types that hold without importing it
    temperature: float
    base: FrozenModel | None = None

    def chances(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """Return the chance that each answer ends right, after each of its steps; one reading scores all steps.

        Parameters
        ----------
        pairs
            Questions with the steps of an answer to each.
        """
        import torch

        order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i][1])))
        found: dict[int, tuple[float, ...]] = {}
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                own = [pairs[i] for i in rows]
                read = (
                    [prepare_bytes(self.shape, each) for each in own] if self.base is None else self.base.prepare(own)
                )
                out = torch.sigmoid(logits(self.shape, self.modules, read) / self.temperature)
                for place, row in enumerate(rows):
                    found[row] = tuple(out[place, : len(pairs[row][1])].tolist())
        return [found[i] for i in range(len(pairs))]

    def tokens(self, text: str) -> int:
        """Return how many tokens of a text are counted as read: those of the language model, or about so many."""
        return math.ceil(estimated_tokens(text)) if self.base is None else self.base.tokens(text)


class VerifierFile(Document, frozen=True, kw_only=True):
    """A trained verifier, beside its weights.

    Attributes
    ----------
    shape, temperature
        Of the network.
    weights, weights_sha256
        File of the weights in the same folder, and its hash.
    model
        The frozen language model that is read; absent: bytes are.
    report
        What was measured on held-out questions.
    """

    file_format = FORMAT

    shape: Shape
    temperature: float
    weights: str
    weights_sha256: str
    model: str | None = None
    report: VerifierReport

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < math.inf:
            raise InputError("temperature", expected="a finite number above 0", found=self.temperature)
        if Path(self.weights).name != self.weights or self.weights in ("", ".", ".."):
            raise InputError("weights", expected="the name of a file in the same folder", found=self.weights)
        if (self.model is not None) != (self.shape.reads == "model"):
            raise InputError("model", expected="a language model where one is read, and only there", found=self.model)


def write_verifier(folder: Path, verifier: TrainedVerifier, report: VerifierReport) -> VerifierFile:
    """Write a verifier: at any moment the folder holds the old one or the new one, whole.

    Raises
    ------
    InputError
        If the folder cannot be made or written.
    """
    from safetensors.torch import save

    tensors = {name: value.contiguous() for name, value in verifier.modules.state_dict().items()}
    if verifier.base is not None:
        tensors[PROBE_KEY] = verifier.base.prepare([PROBE])[0].values.clone().contiguous()
    content = save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    document = VerifierFile(
        shape=verifier.shape,
        temperature=verifier.temperature,
        weights=f"weights-{digest[:12]}.safetensors",
        weights_sha256=digest,
        model=None if verifier.base is None else verifier.base.name,
        report=report,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = Plain(error.strerror or str(error))
        raise InputError(str(folder), expected="a folder that can be written", found=found) from error
    with jsonfile.atomic(folder / document.weights) as temporary:
        temporary.write_bytes(content)
    jsonfile.write(folder / NAME, document)
    for old in folder.glob("weights-*.safetensors"):
        if old.name != document.weights:
            old.unlink(missing_ok=True)
    return document


def read_verifier(folder: Path) -> TrainedVerifier:
    """Read a verifier.

    Raises
    ------
    InputError
        If the folder holds none, weights were changed or are of another shape, or the language model is another one.
    BackendMissing
        If torch is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise BackendMissing("a verifier needs torch and safetensors: pip install 'coinfer[torch]'") from error
    document = jsonfile.read(folder / NAME, VerifierFile, format_name=FORMAT)
    path = folder / document.weights
    try:
        if path.stat().st_size > MOST_WEIGHTS_BYTES:
            raise InputError(str(path), expected=f"at most {MOST_WEIGHTS_BYTES:,} bytes", found=Plain("more"))
        content = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), expected="readable weights", found=Plain(error.strerror or str(error))) from error
    if hashlib.sha256(content).hexdigest() != document.weights_sha256:
        raise InputError(str(path), expected="the weights that the verifier was written with", found=Plain("others"))
    modules = make_modules(document.shape)
    try:
        tensors = load(content)
        probe = tensors.pop(PROBE_KEY, None)
        modules.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(
            str(path), expected="weights of the shape that the verifier says", found=Plain("others")
        ) from error
    base = None if document.model is None else _base(document.model, document, probe)
    return TrainedVerifier(shape=document.shape, modules=modules.eval(), temperature=document.temperature, base=base)


def _base(name: str, document: VerifierFile, probe: Any) -> FrozenModel:
    """Return the frozen language model, if it still makes of a text what it made of it in training."""
    import torch

    base = FrozenModel(name, most_tokens=document.shape.most_tokens)
    seen = base.prepare([PROBE])[0].values
    if probe is None or probe.shape != seen.shape or not torch.allclose(probe, seen, rtol=1e-2, atol=1e-2):
        raise InputError("model", expected="the language model that the verifier was trained on", found=Plain(name))
    return base
