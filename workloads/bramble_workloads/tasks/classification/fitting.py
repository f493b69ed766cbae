"""Fits the temperature and the threshold of the positive label on the validation split of each variant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.tasks.classification import Classify
from bramble_workloads.tasks.classification.temperature import fit_temperature

DIGITS = 6
"""A threshold is rounded to this many digits, so that rounding errors of logits do not change the digest of a package."""


def fit(operation: Classify, logits: NDArray[np.float32], true: NDArray[np.int64]) -> Classify:
    """Fit the temperature and, if there is a positive label, its threshold.

    Args:
        operation: the operation that the trainer wrote.
        logits: the logits of the variant on the validation split, float32 [samples, labels].
        true: the positions of the true labels [samples].
    """
    fitted = operation.model_copy(update={"temperature": fit_temperature(logits, true)})
    if operation.positive is None or operation.positive not in operation.labels:
        return fitted
    position = operation.labels.index(operation.positive)
    scaled = logits.astype(np.float64) / fitted.temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scores = exponentials[:, position] / exponentials.sum(axis=1)
    return fitted.model_copy(update={"threshold": fit_threshold(scores, true == position, operation.threshold)})


def fit_threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_], start: float) -> float:
    """Find the threshold with the best F1 score of the positive label.

    If several thresholds are equally good, the one nearest to `start` is chosen, or `start` itself if it is one of them.

    Args:
        scores: the probability of the positive label [samples].
        positive: True for each sample that has the positive label [samples].
        start: the threshold that the trainer wrote. It is returned if the split has only positive or only negative samples.
    """
    if positive.all() or not positive.any():
        return start
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    cuts = np.flatnonzero(np.append(ranked[:-1] != ranked[1:], True))  # equal scores cannot be separated
    f1 = 2 * hits[cuts] / (cuts + 1 + positive.sum())
    best = cuts[np.isclose(f1, f1.max(), rtol=0, atol=1e-12)]
    upper = ranked[best]
    lower = np.where(best + 1 < len(ranked), ranked[np.minimum(best + 1, len(ranked) - 1)], 0.0)
    if ((lower < start) & (start <= upper)).any():
        return start
    middles = (lower + upper) / 2
    return round(float(middles[np.argmin(np.abs(middles - start))]), DIGITS)
