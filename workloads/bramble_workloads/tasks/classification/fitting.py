"""Fits the temperature and the threshold of the positive label on the validation split of each variant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.tasks.classification import Classify
from bramble_workloads.tasks.classification.temperature import fit_temperature

DIGITS = 6
"""A threshold is rounded to this many digits, so that the last bits of a logit do not change a package's identity."""


def fit(operation: Classify, logits: NDArray[np.float32], true: NDArray[np.int64]) -> Classify:
    """Sets the temperature and, where there is a positive label, the threshold.

    Args:
        operation: as the trainer wrote it.
        logits: float32 [samples, labels] of the variant on the validation split.
        true: positions of the true labels [samples].
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
    """The threshold with the best F1 of the positive label.

    Of several equally good thresholds, `start` wins if it is one of them, else the one nearest to it.

    Args:
        scores: probability of the positive label [samples].
        positive: which samples are [samples].
        start: as the trainer wrote it; kept where the split has only positive or only negative samples.
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
