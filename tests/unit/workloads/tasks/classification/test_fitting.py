"""The temperature and the threshold, fitted on the validation split."""

from __future__ import annotations

import numpy as np
import pytest

from bramble.contracts.tasks.classification import Classify
from bramble_workloads.tasks.classification.answer import classify
from bramble_workloads.tasks.classification.fitting import fit, fit_threshold


@pytest.mark.parametrize(
    ("name", "scores", "positive", "start", "expected"),
    [
        ("the trainer's threshold is kept where it is as good as any", [0.9, 0.7, 0.2], [1, 1, 0], 0.5, 0.5),
        ("all positives lie lower: half-way below the last of them", [0.4, 0.3, 0.1], [1, 1, 0], 0.5, 0.2),
        ("a negative lies high: half-way below it", [0.9, 0.8, 0.6], [1, 1, 0], 0.5, 0.7),
        ("equal scores cannot be told apart", [0.6, 0.6, 0.6, 0.2], [1, 0, 1, 0], 0.9, 0.4),
        ("only positives: nothing to fit to", [0.3, 0.2], [1, 1], 0.5, 0.5),
        ("only negatives: nothing to fit to", [0.3, 0.2], [0, 0], 0.6, 0.6),
        ("of two equally good cuts the nearest to the trainer's", [0.9, 0.5, 0.3, 0.1], [1, 0, 0, 1], 0.2, 0.05),
    ],
)
def test_threshold(name: str, scores: list[float], positive: list[int], start: float, expected: float) -> None:
    found = fit_threshold(np.array(scores), np.array(positive, dtype=bool), start)
    assert found == pytest.approx(expected), name


def test_the_threshold_has_the_best_f1_of_all() -> None:
    random = np.random.default_rng(5)
    positive = random.random(200) < 0.3
    scores = np.clip(np.where(positive, 0.55, 0.35) + random.normal(0, 0.2, 200), 0, 1)

    def f1(threshold: float) -> float:
        taken = scores >= threshold
        return 2 * float((taken & positive).sum()) / float(taken.sum() + positive.sum())

    assert f1(fit_threshold(scores, positive, 0.9)) == pytest.approx(max(f1(score) for score in scores))


def test_temperature_makes_confidence_honest() -> None:
    """Logits four times too sharp come back to the probabilities that they were drawn from."""
    random = np.random.default_rng(7)
    honest = random.normal(0, 1.5, size=(4000, 3)).astype(np.float32)
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    true = np.array([random.choice(3, p=row / row.sum()) for row in probabilities.astype(np.float64)])
    fitted = fit(Classify(labels=("a", "b", "c")), honest * 4, true)
    assert fitted.temperature == pytest.approx(4, rel=0.1)
    assert fitted.threshold == 0.5


def test_the_threshold_is_fitted_after_the_temperature() -> None:
    operation = Classify(labels=("content", "ad"), positive="ad", threshold=0.99)
    random = np.random.default_rng(2)
    true = (np.arange(300) % 2).astype(np.int64)
    logits = np.stack([np.zeros(300), np.where(true, 2.0, -2.0) + random.normal(0, 1.5, 300)], axis=1).astype(np.float32)
    fitted = fit(operation, logits, true)
    answered = np.array([classify(fitted, row).label == "ad" for row in logits])
    before = np.array([classify(operation, row).label == "ad" for row in logits])
    assert (answered == (true == 1)).mean() > (before == (true == 1)).mean()
    assert 0.2 < fitted.threshold < 0.8
