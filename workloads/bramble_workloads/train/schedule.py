"""The learning rate of each optimiser step. Pure."""

from __future__ import annotations

import math

from bramble.contracts.hyperparameters import Hyperparameters


def learning_rate(begins: float, ends: float, wanted: Hyperparameters) -> float:
    """Rate of the optimiser step from `begins` to `ends`, in epochs of the whole run: linear warm-up, then constant or half a cosine to 0.

    Epochs, since a run may go on with fewer or more ranks, whose steps are of other sizes.
    Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, without restarts.
    """
    warmup = wanted.warmup_epochs
    if begins < warmup:
        return wanted.learning_rate * ends / (warmup + ends - begins)
    if wanted.scheduler == "constant":
        return wanted.learning_rate
    return wanted.learning_rate * 0.5 * (1 + math.cos(math.pi * (begins - warmup) / (wanted.epochs - warmup)))
