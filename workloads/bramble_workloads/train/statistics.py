"""Keeps the running statistics of a network, such as those of batch normalisation, as they were after the last whole step."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn


class Statistics:
    """A copy of the buffers of a network. A forward pass changes the buffers, and a step that a lost peer ends is not taken.

    Only the rank that writes checkpoints, and only in a run with peers, needs it.
    """

    def __init__(self, network: nn.Module) -> None:
        by_type: dict[torch.dtype, list[Tensor]] = defaultdict(list)  # of one type they are copied together
        for buffer in network.buffers():
            by_type[buffer.dtype].append(buffer)
        self._pairs = [(buffers, [buffer.clone() for buffer in buffers]) for buffers in by_type.values()]

    def keep(self) -> None:
        """Copy the buffers. Call it after each step."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(copies, buffers)

    def restore(self) -> None:
        """Put the buffers back to what they were after the last whole step."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(buffers, copies)
