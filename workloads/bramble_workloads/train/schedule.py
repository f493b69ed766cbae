"""The learning rate of each optimiser step. Pure."""

from __future__ import annotations

import math

from bramble.contracts.hyperparameters import Hyperparameters


def learning_rate(step: int, steps_per_epoch: int, wanted: Hyperparameters) -> float:
    """Rate of optimiser step `step`, counted from 0 over the whole run: linear warm-up, then constant or half a cosine down to 0.

    Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without restarts.
    """
    total, warmup = wanted.epochs * steps_per_epoch, wanted.warmup_epochs * steps_per_epoch
    if step < warmup:
        return wanted.learning_rate * (step + 1) / (warmup + 1)
    if wanted.scheduler == "constant":
        return wanted.learning_rate
    done = (step - warmup) / max(1.0, total - warmup)
    return wanted.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
