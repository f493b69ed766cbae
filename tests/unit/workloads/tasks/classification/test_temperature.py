"""The temperature that makes confidences match accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bramble_workloads.tasks.classification.temperature import HIGHEST, LOWEST, fit_temperature


def logits(sharpness: float, count: int = 4000) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.int64]]]:
    """Scores whose honest temperature is `sharpness`, and labels drawn from what they mean."""
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, (count, 5))
    chances = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(5, p=row) for row in chances])
    return (honest * sharpness).astype(np.float32), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(sharpness: float) -> None:
    assert fit_temperature(*logits(sharpness)) == pytest.approx(sharpness, rel=0.08)


def test_the_temperature_is_bounded_and_one_without_samples() -> None:
    scores = np.eye(3, dtype=np.float32) * 9
    assert fit_temperature((scores / 1000).astype(np.float32), np.arange(3)) == LOWEST
    assert fit_temperature(scores, np.array([1, 2, 0])) == HIGHEST
    assert fit_temperature(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)) == 1.0


@pytest.mark.parametrize("count", [3, 24, 300])
def test_a_small_split_without_an_error_does_not_make_answers_certain(count: int) -> None:
    """After N right answers of N, a confidence of (N + 1) / (N + 2) is honest (Laplace's rule of succession)."""
    scores = np.eye(3, dtype=np.float32)[np.arange(count) % 3] * 9
    scaled = np.exp(9 / fit_temperature(scores, np.arange(count) % 3))
    assert scaled / (scaled + 2) == pytest.approx((count + 1) / (count + 2), abs=1e-3)
