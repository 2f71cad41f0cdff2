"""Run a placement: a process for each device, real exchanges between them, and what was counted on the wire."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coinfer import zoo
from coinfer.errors import BackendMissing, EndpointError, InputError, Plain
from coinfer.executor.moe.model import expert_layers
from coinfer.executor.moe.task import Task
from coinfer.executor.moe.worker import work
from coinfer.models.placement.crossings import Crossings, Mode, predict_crossings
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.evaluate import Copies, copies
from coinfer.solver.program import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MoeOptions:
    """How a placement is run.

    Attributes
    ----------
    mode
        ``context_coherent`` (ExFlow: every worker knows the context of every sequence, one all-to-all a layer where a
        token has one expert) or ``two_alltoall`` (tokens have a home, and go to and fro in every layer).
    backend
        ``gloo`` over the loopback, or ``nccl`` with a GPU for each device; absent: ``nccl`` where there are as many.
    new_tokens
        Tokens to generate after each prompt, greedily.
    timeout_s
        Longest wait in one exchange; a run whose workers stop answering ends after it.
    keep_logits
        Whether the logits of every token are returned.
    """

    mode: Mode = "context_coherent"
    backend: str | None = None
    new_tokens: int = 1
    timeout_s: float = 120.0
    keep_logits: bool = False

    def __post_init__(self) -> None:
        if self.new_tokens < 1:
            raise InputError("new_tokens", expected="an integer, at least 1", found=self.new_tokens)
        if not self.timeout_s > 0.0:
            raise InputError("timeout_s", expected="a number above 0", found=self.timeout_s)
        if self.backend not in (None, "gloo", "nccl"):
            raise InputError("backend", expected="gloo or nccl", found=self.backend)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MoeRun:
    """What a run did.

    Attributes
    ----------
    tokens
        Token ids of each sequence, prompt and generated.
    trace
        (tokens, layers, top_k): experts of each token that was run, sequence by sequence, best first.
    sequence
        (tokens,): sequence of each token.
    home
        (tokens,): device where each token started.
    counted, predicted
        Rows between devices, as counted at the senders, and as the decision predicts for this trace.
    sent_bytes
        (layers, devices, devices): bytes sent between different devices.
    context_bytes
        (devices, devices): bytes of keys, values and chosen tokens sent between different devices.
    seconds
        (layers, devices, 3): in dispatch, in the experts, and on the way back.
    link_seconds_per_byte
        (devices, devices): measured between each two workers.
    expert_bytes
        (devices,): expert weights that each worker kept.
    logits
        (tokens, vocabulary), or ``None``.
    seconds_total
        Wall-clock seconds, with the start of the processes.
    """

    tokens: tuple[tuple[int, ...], ...]
    trace: IntArray
    sequence: IntArray
    home: IntArray
    counted: Crossings
    predicted: Crossings
    sent_bytes: IntArray
    context_bytes: IntArray
    seconds: FloatArray
    link_seconds_per_byte: FloatArray
    expert_bytes: IntArray
    logits: NDArray[np.float32] | None
    seconds_total: float

    @property
    def exact(self) -> bool:
        """Whether every count on the wire is the one predicted."""
        same = np.array_equal(self.counted.dispatched, self.predicted.dispatched)
        return same and np.array_equal(self.counted.combined, self.predicted.combined)


def run_placement(
    problem: PlacementProblem,
    decision: PlacementDecision,
    prompts: Sequence[Sequence[int]],
    *,
    options: MoeOptions | None = None,
) -> MoeRun:
    """Run prompts through the model of ``problem`` as ``decision`` places its experts.

    Parameters
    ----------
    problem, decision
        With the language model named in the problem.
    prompts
        Token ids of each sequence.
    options
        How it is run.

    Raises
    ------
    InputError
        If the model cannot be loaded or is not the one that was planned for.
    EndpointError
        If a worker fails or stops answering; the sentence says which.
    BackendMissing
        If PyTorch or transformers is not installed.
    """
    options = options or MoeOptions()
    if problem.model is None:
        raise InputError("model", expected="the language model of the problem", found=Plain("none"))
    if not prompts or not all(prompts):
        raise InputError("prompts", expected="at least one prompt, none of them empty", found=Plain("another"))
    source = str(zoo.path(problem.model[4:])) if problem.model.startswith("zoo:") else problem.model
    made = copies(problem, decision)
    layer_ids = _check_model(problem, source)
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="coinfer-moe-"))
    try:
        task = Task(
            model=source,
            copies=made,
            dispatch=problem.dispatch,
            mode=options.mode,
            layer_ids=layer_ids,
            prompts=tuple(tuple(int(token) for token in prompt) for prompt in prompts),
            new_tokens=options.new_tokens,
            devices=len(problem.devices),
            folder=folder,
            backend=_backend(options.backend, len(problem.devices)),
            timeout_s=options.timeout_s,
            keep_logits=options.keep_logits,
        )
        _workers(task)
        return _gathered(task, made, time.perf_counter() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _backend(wanted: str | None, devices: int) -> str:
    import torch

    enough = torch.cuda.is_available() and torch.cuda.device_count() >= devices
    if wanted == "nccl" and not enough:
        raise InputError("backend", expected=f"gloo, or {devices} GPUs for nccl", found="nccl")
    return wanted or ("nccl" if enough else "gloo")


def _check_model(problem: PlacementProblem, source: str) -> tuple[int, ...]:
    """Return the decoder layers with experts, after a look at the model's shape without its weights."""
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise BackendMissing("running a placement needs PyTorch: pip install 'coinfer[torch]'") from error
    try:
        config = AutoConfig.from_pretrained(source)
    except Exception as error:  # a hub, a file system and a parser each raise their own
        found = Plain(str(error).partition("\n")[0])
        raise InputError(f"model {source}", expected="a model that transformers loads", found=found) from error
    with torch.device("meta"):
        ids = expert_layers(AutoModelForCausalLM.from_config(config))
    experts = getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None)
    shape = (len(ids), experts, config.num_experts_per_tok)
    planned = (problem.layers, problem.experts, problem.top_k)
    if planned not in (shape, (*shape[:2], 1)):  # a plan for first choices alone places the experts of all
        expected = f"{problem.layers} layers of {problem.experts} experts, {problem.top_k} for each token"
        raise InputError(f"model {source}", expected=expected, found=Plain("{} of {}, {}".format(*shape)))
    return ids


def _workers(task: Task) -> None:
    """Start one process for each device and wait for all; the first that fails ends the others."""
    spawn = multiprocessing.get_context("spawn")
    running: list[Any] = [spawn.Process(target=work, args=(task, rank), daemon=True) for rank in range(task.devices)]
    for process in running:
        process.start()
    try:
        while any(process.is_alive() for process in running):
            dead = [rank for rank, process in enumerate(running) if process.exitcode not in (None, 0)]
            if dead:
                time.sleep(0.2)  # its sentence may still be on the way to the disk
                raise EndpointError(_sentence(task, dead))
            time.sleep(0.02)
        dead = [rank for rank, process in enumerate(running) if process.exitcode != 0]
        if dead:
            raise EndpointError(_sentence(task, dead))
    finally:
        for process in running:
            if process.is_alive():
                process.kill()
            process.join()


def _sentence(task: Task, dead: Sequence[int]) -> str:
    """Say which worker ended, and why where it said so."""
    for rank in dead:
        path = task.folder / f"failed-{rank}.json"
        if path.exists():
            return f"worker {rank} of {task.devices} failed: {json.loads(path.read_text())}"
    return f"worker {dead[0]} of {task.devices} ended without a word (killed, or out of memory)"


def _gathered(task: Task, made: Copies, seconds_total: float) -> MoeRun:
    """Put together what the workers left."""
    parts = []
    for rank in range(task.devices):
        with np.load(task.folder / f"worker-{rank}.npz", allow_pickle=False) as arrays:
            parts.append({name: arrays[name] for name in arrays.files})
    total = sum(task.lengths)
    routed = np.concatenate([part["routed"] for part in parts])
    trace = np.full((total, len(task.layer_ids), routed.shape[1] - 2), -1, dtype=np.int64)
    trace[routed[:, 0], routed[:, 1]] = routed[:, 2:]
    sequence = np.repeat(np.arange(len(task.lengths)), task.lengths)
    home = sequence % task.devices
    counted = Crossings(
        dispatched=np.stack([part["dispatched"] for part in parts], axis=1),
        combined=np.stack([part["combined"] for part in parts], axis=1),
    )
    counted.combined[:, range(task.devices), range(task.devices)] = 0  # results that stay are not sent
    logits = None
    if task.keep_logits:
        tokens = np.concatenate([part["logit_tokens"] for part in parts if "logits" in part])
        rows = np.concatenate([part["logits"] for part in parts if "logits" in part])
        logits = rows[np.argsort(tokens)]
    links = np.stack([part["links"] for part in parts])
    return MoeRun(
        tokens=tuple(tuple(token for token in row if token >= 0) for row in parts[0]["tokens"].tolist()),
        trace=trace,
        sequence=sequence,
        home=home,
        counted=counted,
        predicted=predict_crossings(made, task.dispatch, trace, home, mode=task.mode),
        sent_bytes=np.stack([part["sent_bytes"] for part in parts], axis=1),
        context_bytes=np.stack([part["context_bytes"] for part in parts]),
        seconds=np.stack([part["seconds"] for part in parts], axis=1),
        link_seconds_per_byte=links,
        expert_bytes=np.array([int(part["expert_bytes"]) for part in parts]),
        logits=logits,
        seconds_total=seconds_total,
    )
