"""Adds up the loss and the figures of samples on the device, without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bramble_workloads.train.ranks import Ranks


class Sums:
    """Sums over samples: of the loss, and of each figure of an objective.

    Args:
        figures: the names of the figures.
        device: the device on which the values lie.
    """

    def __init__(self, figures: Sequence[str], device: torch.device) -> None:
        self._names = ("loss", *figures)
        self._sums = torch.zeros(len(self._names), dtype=torch.float64, device=device)
        self._each = self._sums.unbind()
        self._count = 0

    def add(self, losses: Tensor, figures: Sequence[Tensor]) -> None:
        """Add the values of a batch: its losses, [N], and its figures, each [N]. In training, call it without gradients."""
        for total, values in zip(self._each, (losses, *figures), strict=True):
            total.add_(values.sum())
        self._count += len(losses)

    def means(self, ranks: Ranks | None = None) -> dict[str, float]:
        """The means over the samples of this rank, or of all ranks, by name; empty without samples."""
        sums = torch.cat([self._sums, self._sums.new_tensor([self._count])])
        *values, count = (ranks.total(sums) if ranks is not None else sums).tolist()
        return {name: value / count for name, value in zip(self._names, values, strict=True)} if count else {}
