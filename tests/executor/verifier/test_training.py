"""A verifier learns what tells right answers from wrong ones, says how sure it is, and is the same once read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from coinfer.errors import InputError
from coinfer.executor.verifier.model import NAME, TrainedVerifier, read_verifier, write_verifier
from coinfer.executor.verifier.network import PADDING, Shape, make_modules, prepare_bytes
from coinfer.executor.verifier.outcomes import Example
from coinfer.executor.verifier.report import VerifierReport
from coinfer.executor.verifier.training import Training, train

SHAPE = Shape(width=16, hidden=24, buckets=256)
ASKED = [("What is it?", ("One.\n\n", "Two.\n\n", "It is fine.")), ("", ("x",)), ("Else?", ("ÿ€😀\n\n", "good"))]


def examples(questions: int, *, noise: float = 0.1, seed: int = 0) -> list[Example]:
    """Return answers whose last word tells whether they are right, but for some noise."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(questions):
        for good in (True, False):
            right = float(good != (random.random() < noise))
            word = ("fine", "good")[i % 2] if good else ("poor", "sad")[i % 2]
            steps = (f"Let us see {random.integers(1000)}.\n\n", f"It is {word}.")
            found.append(Example(prompt=f"Question {i}", steps=steps, labels=(None, right)))
    return found


@pytest.fixture(scope="module")
def trained() -> tuple[TrainedVerifier, VerifierReport]:
    """Return a verifier of bytes."""
    return train(examples(120), shape=SHAPE, training=Training(epochs=12, learning_rate=1e-2))


def test_it_tells_right_from_wrong_and_how_sure_it_is(trained: tuple[TrainedVerifier, VerifierReport]) -> None:
    """On held-out questions it ranks answers of one question, and its chances are those of the noise."""
    _, report = trained
    assert (report.training_prompts, report.calibration_prompts, report.test_prompts) == (72, 24, 24)
    assert report.auc_within is not None
    assert report.auc_within.value > 0.8
    assert report.brier.value < 0.15  # 0.09 is what the noise leaves
    assert abs(report.overconfidence.value) < 0.1


def test_one_reading_scores_every_step_as_a_reading_of_its_own(trained: tuple[TrainedVerifier, VerifierReport]) -> None:
    """The score after a step does not hang on what comes later, nor on what else is in the batch."""
    verifier, _ = trained
    together = verifier.chances(ASKED)
    assert [len(scores) for scores in together] == [3, 1, 2]
    for (question, steps), scores in zip(ASKED, together, strict=True):
        for i, score in enumerate(scores):
            ((*_, alone),) = verifier.chances([(question, ("".join(steps[: i + 1]),))])
            assert alone == pytest.approx(score, abs=1e-5)
            assert 0.0 < score < 1.0


def test_log_odds_are_divided_by_the_temperature(trained: tuple[TrainedVerifier, VerifierReport]) -> None:
    """At twice the temperature the log-odds of every score are half as far from nought."""
    verifier, _ = trained
    cool = np.concatenate(verifier.chances(ASKED))
    warm = np.concatenate(replace(verifier, temperature=2.0 * verifier.temperature).chances(ASKED))
    assert np.log(warm / (1.0 - warm)) == pytest.approx(np.log(cool / (1.0 - cool)) / 2.0, abs=1e-4)


def test_steps_with_labels_are_learnt() -> None:
    """A first step that is labelled as hopeless is scored low; without labels nothing is known of it."""
    labelled = [
        Example(prompt=each.prompt, steps=("Hm.\n\n", each.steps[1]), labels=(0.05, each.labels[1]))
        for each in examples(60)
    ]
    verifier, _ = train(labelled, shape=SHAPE, training=Training(epochs=12, learning_rate=1e-2))
    ((first, _),) = verifier.chances([("Question 7", ("Hm.\n\n", "It is good."))])
    assert first < 0.2


def test_the_same_seed_gives_the_same_verifier() -> None:
    """Two trainings with one seed agree to the last digit, and leave the random numbers of others alone."""
    import torch

    before = torch.random.get_rng_state()
    made = [train(examples(20), shape=SHAPE, training=Training(epochs=2, seed=5))[0].chances(ASKED) for _ in range(2)]
    assert made[0] == made[1]
    assert torch.equal(torch.random.get_rng_state(), before)
    other = train(examples(20), shape=SHAPE, training=Training(epochs=2, seed=6))[0].chances(ASKED)
    assert other != made[0]


def test_a_written_verifier_is_read_as_it_was(trained: tuple[TrainedVerifier, VerifierReport], tmp_path: Path) -> None:
    """Scores are equal; writing another one replaces the first, and no weights are left over."""
    verifier, report = trained
    write_verifier(tmp_path / "new", verifier, report)
    assert read_verifier(tmp_path / "new").chances(ASKED) == verifier.chances(ASKED)
    other, report = train(examples(20), shape=SHAPE, training=Training(epochs=1))
    write_verifier(tmp_path / "new", other, report)
    assert read_verifier(tmp_path / "new").chances(ASKED) == other.chances(ASKED)
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": "../outside.safetensors"}, "same folder"),
        ({"weights": "missing.safetensors"}, "readable weights"),
        ({"weights_sha256": "0"}, "written with"),
        ({"temperature": 0.0}, "temperature"),
        ({"shape": {"hidden": 12}}, "shape"),
        ({"shape": {"hidden": 0}}, "hidden"),
        ({"model": "zoo:generalist-tiny"}, "model"),
        ({"format": "coinfer/plan/1"}, "format"),
    ],
)
def test_a_verifier_that_was_changed_is_refused_in_a_sentence(
    trained: tuple[TrainedVerifier, VerifierReport], tmp_path: Path, change: dict[str, object], words: str
) -> None:
    """Weights of others, of another shape or elsewhere are never read."""
    write_verifier(tmp_path, *trained)
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=words):
        read_verifier(tmp_path)


def test_weights_with_a_flipped_byte_and_no_verifier_at_all_are_refused(
    trained: tuple[TrainedVerifier, VerifierReport], tmp_path: Path
) -> None:
    """The hash tells a changed file, and an empty folder is a sentence."""
    with pytest.raises(InputError, match=NAME):
        read_verifier(tmp_path)
    document = write_verifier(tmp_path, *trained)
    content = bytearray((tmp_path / document.weights).read_bytes())
    content[-1] ^= 1
    (tmp_path / document.weights).write_bytes(bytes(content))
    with pytest.raises(InputError, match="written with"):
        read_verifier(tmp_path)


def test_one_kind_of_outcomes_teaches_nothing() -> None:
    """Only right answers are a sentence, not a verifier that says yes."""
    right = [Example(prompt=f"{i}", steps=("x",), labels=(1.0,)) for i in range(30)]
    with pytest.raises(InputError, match="right and wrong"):
        train(right, shape=SHAPE)


def test_long_texts_are_cut_and_still_scored() -> None:
    """The end of the question and the beginning of the answer are read; steps beyond that share the last place."""
    shape = Shape(width=4, hidden=4, buckets=16, most_tokens=10)
    read = prepare_bytes(shape, ("question", ("abcdef", "ghijkl", "m")))
    assert read.values.shape == (2, 10)
    assert read.ends == (6, 9, 9)
    assert read.values[0].max() < PADDING
    verifier = TrainedVerifier(shape=shape, modules=make_modules(shape).eval(), temperature=1.0)
    assert len(verifier.chances([("question", ("abcdef", "ghijkl", "m"))])[0]) == 3
