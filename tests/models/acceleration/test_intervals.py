"""Predictions: intervals cover as often as they say, also for new devices; the roofline carries to new GPUs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from coinfer.errors import BackendMissing, InputError
from coinfer.models.acceleration import AccelerationProblem, choose, estimate, read_ml_energy
from coinfer.models.acceleration.data import Device, Method, Model, Row, Task
from coinfer.models.acceleration.intervals import Intervals, novelty, predict_intervals
from coinfer.models.acceleration.predict import fit
from coinfer.models.acceleration.table import Design, cell_of, design

MODELS, DEVICES, METHODS = 6, 10, 3


def table_of(rng: np.random.Generator, *, devices: int = DEVICES) -> tuple[Design, np.ndarray, np.ndarray]:
    """Return all cells of a table whose model, device and method effects and noise are drawn at random."""
    codes = np.array([(i, j, k, 0) for i in range(MODELS) for j in range(devices) for k in range(METHODS)])
    sizes = (MODELS, devices, METHODS)
    scale = (0.8, 0.4, 0.5)
    effects = [width * rng.standard_normal(size) for width, size in zip(scale, sizes, strict=True)]
    logs = sum(effect[codes[:, axis]] for axis, effect in enumerate(effects))
    logs = logs + 0.1 * rng.standard_normal(len(codes))
    none = np.zeros((len(codes), 0))
    table = Design(terms=none, numeric=none, of_device=np.zeros(0, dtype=bool), codes=codes)
    return table, np.arange(len(codes)), logs


def covered(made: Intervals, truth: np.ndarray) -> float:
    """Return the share of the truth inside the intervals."""
    return float(np.mean((made.low <= truth) & (truth <= made.high)))


@pytest.mark.parametrize("new", ["device", "model", "cells"])
def test_intervals_cover_what_they_promise(new: str) -> None:
    """Over many tables with noise that is known, the share covered is the level at least, whatever is new."""
    rng = np.random.default_rng(11)
    shares, levels = [], []
    for _ in range(60):
        table, cells, logs = table_of(rng)
        axis = {"device": 1, "model": 0}.get(new)
        held = table.codes[:, axis] == 0 if axis is not None else rng.random(len(cells)) < 0.3
        made = predict_intervals(table, cells[~held], logs[~held], cells[held], level=0.8, predictor="roofline")
        shares.append(covered(made, logs[held]))
        levels.append(float(made.level.mean()))
    assert np.mean(levels) == pytest.approx(0.8)
    error = float(np.std(shares)) / np.sqrt(len(shares))
    assert np.mean(shares) >= 0.8 - 2.0 * error
    assert np.mean(shares) <= 0.97  # honest, and not because they hold everything


def test_intervals_of_a_known_cell_would_fail_a_new_device() -> None:
    """Errors within known devices do not cover a new one, which is why the device is left out whole."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(30):
        table, cells, logs = table_of(rng)
        held = table.codes[:, 1] == 0
        made = predict_intervals(table, cells[~held], logs[~held], cells[~held][:30], level=0.8, predictor="roofline")
        centre = fit(table, cells[~held], logs[~held], predictor="roofline").predict(table, cells[held])
        half = float(np.median(made.high - made.low)) / 2.0
        shares.append(np.mean(np.abs(centre - logs[held]) <= half))
    assert np.mean(shares) < 0.6


@pytest.mark.parametrize(("devices", "level"), [(2, None), (3, 2 / 3), (5, 4 / 5)])
def test_few_devices_support_a_lower_level(devices: int, level: float | None) -> None:
    """With K other devices no more than K/(K+1) is promised, and with one there is no interval at all."""
    table, cells, logs = table_of(np.random.default_rng(0), devices=devices)
    held = table.codes[:, 1] == 0
    made = predict_intervals(table, cells[~held], logs[~held], cells[held], level=0.9, predictor="roofline")
    if level is None:
        assert np.isnan(made.level).all()
        assert np.isnan(made.low).all()
        return
    assert made.level == pytest.approx(level)


def test_a_thinly_measured_device_is_calibrated_by_its_own_rows() -> None:
    """Three rows of a GPU whose errors are large promise three quarters at most, however many other rows there are."""
    table, cells, logs = table_of(np.random.default_rng(0))
    thin = np.flatnonzero(table.codes[:, 1] == 0)
    kept = np.concatenate([np.flatnonzero(table.codes[:, 1] != 0), thin[:3]])
    assert novelty(table, cells[kept], int(thin[5])) == (False, False, False)
    made = predict_intervals(table, cells[kept], logs[kept], cells[thin[5:]], level=0.95, predictor="roofline")
    assert made.level.max() == pytest.approx(0.75)


def test_what_is_predicted_lies_in_its_interval() -> None:
    """The point prediction is never outside its own interval, with trees as well."""
    pytest.importorskip("sklearn")
    table, cells, logs = table_of(np.random.default_rng(5))
    held = np.arange(len(cells)) % 4 == 0
    made = predict_intervals(table, cells[~held], logs[~held], cells[held], level=0.9)
    assert ((made.low <= made.value) & (made.value <= made.high)).all()


def test_without_scikit_learn_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees need a package; where it is absent the sentence names the extra, and the roofline still works."""
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    table, cells, logs = table_of(np.random.default_rng(5))
    with pytest.raises(BackendMissing, match=r"pip install 'coinfer\[learn\]'"):
        fit(table, cells, logs)
    assert np.isfinite(fit(table, cells, logs, predictor="roofline").predict(table, cells)).all()


def roofline_problem(count: int) -> AccelerationProblem:
    """Return a file whose times are exactly bytes over bandwidth, with ``count`` devices measured and one new."""
    devices = tuple(
        Device(name=f"gpu {i}", bandwidth_bytes_per_s=(1.0 + i) * 1e12, power_w=300.0) for i in range(count + 1)
    )
    models = tuple(
        Model(name=f"{size}B", total_parameters=size * 1e9, active_parameters=size * 1e9, weight_bits=16.0)
        for size in (1, 3, 8, 20)
    )
    method = Method(name="one", accelerators=1.0, batch=1.0)
    rows = [
        Row(model=model.name, device=device.name, method="one", task="chat", token_latency_s=seconds(model, device))
        for model in models
        for device in devices[:count]
    ]
    task = Task(name="chat", output_tokens=100.0, devices=(devices[-1].name,), models=("8B",))
    return AccelerationProblem(
        name="roofline",
        models=models,
        devices=devices,
        methods=(method,),
        tasks=(task,),
        history=tuple(rows),
        objective="token_latency_s",
    )


def seconds(model: Model, device: Device) -> float:
    """Return the exact time of a step."""
    return 2.0 * (model.total_parameters or 0.0) / (device.bandwidth_bytes_per_s or 1.0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_roofline_extrapolates_to_a_faster_gpu(count: int) -> None:
    """Where time is bytes over bandwidth, a GPU nobody measured is predicted from its data sheet alone."""
    problem = roofline_problem(count)
    (option,) = estimate(problem, predictor="roofline")[0]
    truth = seconds(problem.models[2], problem.devices[-1])
    assert option.figures["token_latency_s"].value == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize(
    ("kept", "figure"), [("H100", "token_latency_s"), ("B200", "token_latency_s"), ("B200", "energy_j")]
)
def test_a_gpu_type_that_was_held_out_is_predicted(shared_data: Path, kept: str, figure: str) -> None:
    """On ML.ENERGY's measurements, a GPU type none of whose rows were seen is predicted within 25 % on the mean."""
    pytest.importorskip("sklearn")
    problem = read_ml_energy(shared_data / "ml_energy_lm_arena_chat.json")
    device = np.array([row.device for row in problem.history])
    truth = np.array([getattr(row, figure) for row in problem.history])
    table = design(problem, [cell_of(row) for row in problem.history], figure)  # type: ignore[arg-type]
    seen, held = np.flatnonzero(device == kept), np.flatnonzero(device != kept)
    errors = {}
    for predictor in ("roofline+trees", "trees"):
        made = fit(table, seen, np.log(truth[seen]), predictor=predictor).predict(table, held)  # type: ignore[arg-type]
        errors[predictor] = float(np.mean(np.abs(np.exp(made) / truth[held] - 1.0)))
    assert errors["roofline+trees"] < min(0.25, errors["trees"])


def test_a_choice_on_a_new_gpu_can_be_made(shared_data: Path) -> None:
    """From H100 rows and eight of the B200, every model gets a configuration there; what was measured stands."""
    problem = read_ml_energy(shared_data / "ml_energy_lm_arena_chat.json")
    anchors = [row for row in problem.history if row.device == "B200"][::19]
    tasks = tuple(
        msgspec.structs.replace(task, methods=tuple({r.method for r in problem.history if r.task == task.name}))
        if task.devices == ("B200",)
        else msgspec.structs.replace(task, models=())
        for task in problem.tasks
    )
    history = (*(row for row in problem.history if row.device == "H100"), *anchors)
    made = choose(msgspec.structs.replace(problem, tasks=tasks, history=history), predictor="roofline")
    assert len(made.choices) == sum(task.devices == ("B200",) for task in problem.tasks)
    assert made.best_case is not None
    assert made.best_case <= made.value


def test_a_leaderboard_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    """A file that is no leaderboard, an empty one, and one with an unknown GPU each give one sentence."""
    entry: dict[str, Any] = {
        "nickname": "M",
        "gpu_model": "X1",
        "num_gpus": 1,
        "max_num_seqs": 8,
        "weight_precision": "fp8",
        "total_params_billions": 1.0,
        "activated_params_billions": 1.0,
        "avg_output_len": 10.0,
        "energy_per_request_joules": 1.0,
        "median_itl_ms": 1.0,
        "output_throughput_tokens_per_sec": 10.0,
    }
    path = tmp_path / "board.json"
    for content, words in (
        ({"task": "chat", "configurations": []}, "at least one entry"),
        ({"task": "chat", "configurations": [entry]}, r"configurations\[0\].gpu_model: expected one of H100, B200"),
        ({"configurations": []}, "a field `task`"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=words):
            read_ml_energy(path)
