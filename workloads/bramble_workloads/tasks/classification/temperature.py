"""Fits the temperature that makes a classifier's confidences match its accuracy.

Sources: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017; for the targets, J. Platt,
"Probabilistic Outputs for Support Vector Machines", 1999.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0
DIGITS = 4
"""The result is rounded, so that the same logits give the same package on every processor."""
HALVINGS = 60


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The T that minimises the mean cross-entropy of softmax(logits / T).

    The target of a sample is not 1 for its class but (N + 1) / (N + 2), the best guess of a probability after N answers that were all right
    (Laplace). So a small validation split without an error does not make every answer on a device certain. The rest is shared by the other
    classes; with many samples it vanishes.

    Args:
        logits: float32 [N, classes].
        labels: int64 [N], the true classes.

    Returns:
        T between `LOWEST` and `HIGHEST`; 1.0 without samples. The cross-entropy is convex in 1/T, so bisection finds its one optimum.
    """
    count, classes = logits.shape
    if count == 0:
        return 1.0
    scores = logits.astype(np.float64)
    own, rest = scores[np.arange(count), labels], 1 / (count + 2)
    true = float(((1 - rest) * own + rest * (scores.sum(axis=1) - own) / (classes - 1)).mean())

    def slope(sharpness: float) -> float:
        """The derivative of the loss with respect to 1/T."""
        scaled = sharpness * scores
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return float((weights * scores).sum(axis=1).mean() - true)

    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return round(2 / (low + high), DIGITS)
