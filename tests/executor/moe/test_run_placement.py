"""Expert parallelism over real processes: the same logits, the rows that were predicted, and only their own experts."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coinfer import zoo
from coinfer.errors import EndpointError, InputError
from coinfer.executor.moe import MoeOptions, MoeRun, run_placement
from coinfer.executor.moe.measure import measurements, write_trace
from coinfer.models.placement.crossings import Dispatch, Mode
from coinfer.models.placement.data import PlacementProblem
from coinfer.models.placement.decision import PlacementDecision
from coinfer.models.placement.parts import PlacementDevice
from coinfer.profiler.moe import LayerTraffic, link_costs, read_moe_measurements, write_moe_measurements
from coinfer.profiler.trace import TraceOptions, count_traces
from coinfer.records import Matrix

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, EXPERTS = 4, 8
PROMPTS = ([1, 7, 4, 4, 43, 11], [1, 9, 4, 41, 5, 13, 45], [1, 11, 12], [1, 20, 33, 9, 8])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: which model, how many devices and further copies, and how tokens travel."""

    model: str
    devices: int
    mode: Mode
    top_k: int = 2
    replicas: int = 0
    dispatch: Dispatch = "split"


def placed(case: Case, model: str) -> tuple[PlacementProblem, PlacementDecision]:
    """Return a problem of these devices, and a random placement of its experts with random shares."""
    generator = np.random.default_rng(11)
    rows, shares = [], []
    for _ in range(LAYERS):
        order = generator.permutation(EXPERTS).reshape(case.devices, -1)
        extra = [np.setdiff1d(np.arange(EXPERTS), own)[: case.replicas // case.devices] for own in order]
        row = np.concatenate([np.concatenate(pair) for pair in zip(order, extra, strict=True)])
        weight = generator.random(len(row)) + 0.2
        rows.append(tuple(row.tolist()))
        shares.append(weight / np.bincount(row, weights=weight)[row])
    problem = PlacementProblem(
        name="moe",
        layers=LAYERS,
        experts=EXPERTS,
        top_k=case.top_k,
        devices=tuple(PlacementDevice(name=f"device-{i}") for i in range(case.devices)),
        tokens=1,
        loads=Matrix(np.ones((LAYERS, EXPERTS))),
        transitions=Matrix(np.ones(((LAYERS - 1) * EXPERTS, EXPERTS))),
        replicas=case.replicas or None,
        dispatch=case.dispatch,
        model=model,
    )
    return problem, PlacementDecision(slots=tuple(rows), shares=Matrix(shares) if case.replicas else None)


def tiny_model(kind: str, top_k: int, folder: Path) -> str:
    """Save a mixture of experts with random weights, and return its folder."""
    name = {"mixtral": "Mixtral", "olmoe": "Olmoe"}[kind]
    experts = {"num_local_experts": EXPERTS} if kind == "mixtral" else {"num_experts": EXPERTS}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts_per_tok=top_k,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=False,
        **experts,
    )
    torch.manual_seed(3)
    getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    return str(folder)


def source(name: str) -> str:
    """Return the folder of a model."""
    return str(zoo.path(name[4:])) if name.startswith("zoo:") else name


def single(name: str, sequences: Sequence[Sequence[int]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return logits (tokens, vocabulary) and routing (tokens, layers, top_k) of transformers' own forward pass."""
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(source(name), dtype=torch.float32).eval()
    routed: list[Any] = []
    for layer in model.model.layers:
        layer.mlp.gate.register_forward_hook(lambda _module, _given, made: routed.append(made[2]))
    logits, traces = [], []
    for tokens in sequences:
        routed.clear()
        with torch.inference_mode():
            logits.append(model(torch.tensor([list(tokens)])).logits[0].numpy())
        traces.append(torch.stack(routed, dim=1).numpy())
    return np.concatenate(logits), np.concatenate(traces)


def check(run: MoeRun, problem: PlacementProblem, decision: PlacementDecision) -> None:
    """Assert what holds for every run."""
    assert problem.model is not None
    lengths = np.bincount(run.sequence)
    ran = [tokens[:length] for tokens, length in zip(run.tokens, lengths.tolist(), strict=True)]
    assert [list(tokens[: len(prompt)]) for tokens, prompt in zip(run.tokens, PROMPTS, strict=True)] == list(PROMPTS)
    logits, trace = single(problem.model, ran)
    assert run.logits is not None
    np.testing.assert_allclose(run.logits, logits, rtol=1e-4, atol=1e-4)
    assert np.array_equal(run.logits.argmax(axis=1), logits.argmax(axis=1))
    assert np.array_equal(run.trace, trace)
    starts = np.cumsum(lengths) - lengths
    for i, tokens in enumerate(run.tokens):  # what was generated is what the logits say
        rest = run.logits[starts[i] + len(PROMPTS[i]) - 1 : starts[i] + lengths[i]].argmax(axis=1)
        assert list(tokens[len(PROMPTS[i]) :]) == rest.tolist()
    assert run.exact
    assert np.array_equal(run.counted.dispatched, run.predicted.dispatched)
    assert np.array_equal(run.counted.combined, run.predicted.combined)
    devices = len(problem.devices)
    apart = ~np.eye(devices, dtype=bool)
    rows = (run.counted.dispatched + run.counted.combined)[:, apart]
    assert rows.any()
    assert np.array_equal(run.sent_bytes[:, apart] > 0, rows > 0)
    assert not run.sent_bytes[:, ~apart].any()
    assert (run.context_bytes[apart] > 0).all()
    assert not run.context_bytes[~apart].any()
    slots = np.array(decision.slots).reshape(LAYERS, devices, -1)
    assert run.expert_bytes.tolist() == [slots[0].shape[1] * LAYERS * expert_bytes(problem.model)] * devices


def expert_bytes(name: str) -> int:
    """Return the bytes of one expert in float32."""
    config = transformers.AutoConfig.from_pretrained(source(name))
    inner = getattr(config, "moe_intermediate_size", None) or config.intermediate_size
    return int(3 * config.hidden_size * inner * 4)


def ran(case: Case, model: str) -> tuple[MoeRun, PlacementProblem]:
    """Run a case, check what holds for every run, and return it."""
    problem, decision = placed(case, model)
    run = run_placement(problem, decision, PROMPTS, options=MoeOptions(mode=case.mode, new_tokens=3, keep_logits=True))
    check(run, problem, decision)
    return run, problem


@pytest.fixture(scope="module")
def zoo_run() -> tuple[MoeRun, PlacementProblem]:
    """A run of the bundled model on two devices, context coherent, with copies that are used where tokens are."""
    case = Case(model="zoo", devices=2, mode="context_coherent", replicas=2, dispatch="local")
    return ran(case, "zoo:moe-small")


def test_context_coherent_run_of_a_trained_model(zoo_run: tuple[MoeRun, PlacementProblem]) -> None:
    """Tokens go on where their first expert ran: a result sent on is one of another expert."""
    run, _ = zoo_run
    assert run.counted.combined.any()
    assert run.counted.combined.sum() < run.counted.dispatched.sum()


def test_measurements_come_back_from_their_file(zoo_run: tuple[MoeRun, PlacementProblem], tmp_path: Path) -> None:
    """The rows of a run are written and read, add up to what was counted, and price every link."""
    run, problem = zoo_run
    names = tuple(device.name for device in problem.devices)
    rows = measurements(run, names)
    write_moe_measurements(tmp_path / "rows.jsonl", rows)
    assert read_moe_measurements(tmp_path / "rows.jsonl") == rows
    sent = [row for row in rows if isinstance(row, LayerTraffic)]
    assert sum(row.dispatched for row in sent) == run.counted.crossing.sum()
    assert sum(row.bytes for row in sent) == run.sent_bytes.sum()
    costs = link_costs(rows, names)
    assert costs[0, 1] > 0.0
    assert (np.diag(costs) == 0.0).all()
    with pytest.raises(InputError, match="expected the link of"):
        link_costs(rows, (*names, "device-9"))


def test_trace_of_a_run_can_be_counted(zoo_run: tuple[MoeRun, PlacementProblem], tmp_path: Path) -> None:
    """What a run routed is a trace like any other, token for token."""
    run, _ = zoo_run
    write_trace(tmp_path / "trace.npz", run)
    counts = count_traces([tmp_path / "trace.npz"], TraceOptions(experts=EXPERTS, heldout=0.0)).fit
    loads = [np.bincount(run.trace[:, layer].ravel(), minlength=EXPERTS) for layer in range(LAYERS)]
    assert np.array_equal(counts.loads, loads)


def test_two_alltoall_run_of_a_trained_model() -> None:
    """Tokens live at home: what goes out in a layer comes back in it."""
    run, _ = ran(Case(model="zoo", devices=2, mode="two_alltoall"), "zoo:moe-small")
    out = run.counted.dispatched.copy()
    out[:, range(2), range(2)] = 0
    assert np.array_equal(out, run.counted.combined.transpose(0, 2, 1))


def test_one_expert_a_token_travels_one_way(tmp_path: Path) -> None:
    """With one expert a token, context coherence needs one all-to-all a layer: nothing is sent back."""
    model = tiny_model("mixtral", 1, tmp_path)
    run, _ = ran(Case(model="mixtral", devices=2, mode="context_coherent", top_k=1), model)
    assert not run.counted.combined.any()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["two_alltoall", "context_coherent"])
@pytest.mark.parametrize(
    ("kind", "top_k", "replicas", "dispatch"),
    [("olmoe", 2, 4, "split"), ("olmoe", 3, 4, "local"), ("mixtral", 1, 4, "split"), ("mixtral", 2, 0, "split")],
)
def test_four_devices(kind: str, top_k: int, replicas: int, dispatch: Dispatch, mode: Mode, tmp_path: Path) -> None:
    """Four devices, other families of models, one to three experts a token, and further copies."""
    model = tiny_model(kind, top_k, tmp_path)
    ran(Case(model=kind, devices=4, mode=mode, top_k=top_k, replicas=replicas, dispatch=dispatch), model)


def test_dead_worker_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed while others wait for it ends the run with one sentence; nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    problem, decision = placed(Case(model="zoo", devices=2, mode="two_alltoall"), "zoo:moe-small")
    before = set(multiprocessing.active_children())

    def kill() -> None:
        while not list(tmp_path.glob("coinfer-moe-*/meeting")):
            time.sleep(0.02)
        (set(multiprocessing.active_children()) - before).pop().kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(EndpointError, match=r"^worker \d of 2 (ended without a word|failed)"):
        run_placement(problem, decision, PROMPTS, options=MoeOptions(new_tokens=50))
    killer.join()
    assert set(multiprocessing.active_children()) == before
    assert not list(tmp_path.glob("coinfer-moe-*"))


def test_worker_says_what_went_wrong() -> None:
    """A token that the vocabulary does not have is reported by the worker that met it."""
    problem, decision = placed(Case(model="zoo", devices=2, mode="two_alltoall"), "zoo:moe-small")
    with pytest.raises(EndpointError, match=r"^worker \d of 2 failed: "):
        run_placement(problem, decision, [[1, 2], [1, 10**6]])


def test_other_models_are_refused(tmp_path: Path) -> None:
    """A model with another number of experts, without experts, or that is not there is one clear sentence."""
    problem, decision = placed(Case(model="zoo", devices=2, mode="two_alltoall", top_k=3), "zoo:moe-small")
    with pytest.raises(InputError, match=r"expected 4 layers of 8 experts, 3 for each token; found 4 of 8, 2"):
        run_placement(problem, decision, PROMPTS)
    for model, words in (("zoo:generalist-tiny", "a mixture of experts"), (str(tmp_path), "a model that transformers")):
        problem, decision = placed(Case(model="zoo", devices=2, mode="two_alltoall"), model)
        with pytest.raises(InputError, match=words):
            run_placement(problem, decision, PROMPTS)
    for prompts in ([], [[1], []]):
        problem, decision = placed(Case(model="zoo", devices=2, mode="two_alltoall"), "zoo:moe-small")
        with pytest.raises(InputError, match="at least one prompt"):
            run_placement(problem, decision, prompts)
