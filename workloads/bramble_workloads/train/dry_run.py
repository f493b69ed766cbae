"""Tries the network before the ranks meet: an architecture that does not fit its samples must not cost attempts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from bramble.contracts.canonical import canonical_json
from bramble.contracts.package import MAX_BYTES
from bramble_workloads.errors import SpecError
from bramble_workloads.tasks.objective import Objective

TWO = 2
"""Samples that every network can be trained with. Batch normalisation of a single value per channel cannot."""


def require_fit(network: nn.Module, objective: Objective[Any], truth: Any, smallest: int) -> None:
    """Run a copy of the network on blank samples, as training does.

    Args:
        network: the network, on the CPU.
        objective: makes the targets and the losses.
        truth: an annotation of the dataset.
        smallest: the number of samples in the smallest batch of a rank.

    Raises:
        SpecError: the network cannot take samples of this shape, or so few of them at a time, or the names of the classes are too long for
            a package.
    """
    described = objective.describe()
    if (length := len(canonical_json(described))) > MAX_BYTES:
        raise SpecError(f"package.json would have {length} bytes of at most {MAX_BYTES}: use fewer classes, or shorter names for them")
    shape = described.input.tensor.shape[1:]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        if (problem := _problem(network, objective, truth, (TWO, *shape))) is not None:
            size = "x".join(str(edge) for edge in shape)
            raise SpecError(f"trainer.builtin: the network cannot take samples of {size} (imageSize, channels): {problem}")
        if smallest < TWO and (problem := _problem(network, objective, truth, (smallest, *shape))) is not None:
            raise SpecError(f"hyperparameters: the network cannot be trained with a batch of one sample a rank: {problem}; raise batchSize")


def _problem(network: nn.Module, objective: Objective[Any], truth: Any, shape: tuple[int, ...]) -> str | None:
    targets = torch.from_numpy(np.stack([objective.target(truth)] * shape[0]))
    try:
        objective.losses(copy.deepcopy(network).train()(torch.zeros(shape)), targets, training=True)
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:  # each is raised by some architecture of timm
        return next(iter(str(error).splitlines()), "") or type(error).__name__
    return None
