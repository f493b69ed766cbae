"""The learning rate of each optimiser step."""

from __future__ import annotations

import math

from bramble.contracts.hyperparameters import Hyperparameters


def learning_rate(begins: float, ends: float, wanted: Hyperparameters) -> float:
    """The learning rate of the optimiser step from `begins` to `ends`: a linear warm-up, then a constant rate or half a cosine down to 0.

    `begins` and `ends` are in epochs since the beginning of the run, because a run may resume with another number of ranks, and its steps
    then use another number of samples.
    Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without restarts.
    """
    warmup = wanted.warmup_epochs
    if begins < warmup:
        return wanted.learning_rate * ends / (warmup + ends - begins)
    if wanted.scheduler == "constant":
        return wanted.learning_rate
    return wanted.learning_rate * 0.5 * (1 + math.cos(math.pi * (begins - warmup) / (wanted.epochs - warmup)))
