"""Mixed precision, where the device supports it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn


class Precision:
    """Chooses bfloat16 or float16 on a GPU that supports it, and float32 elsewhere. `scaler` only acts with float16."""

    def __init__(self, wanted: Literal["auto", "off"], device: torch.device) -> None:
        self.dtype: torch.dtype | None = None
        if wanted == "auto" and device.type == "cuda":
            self.dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        self._device = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    def autocast(self) -> AbstractContextManager[object]:
        """The context for the forward pass and the loss."""
        return torch.autocast(self._device, dtype=self.dtype) if self.dtype else nullcontext()

    def step(self, optimizer: torch.optim.Optimizer, network: nn.Module, clip_norm: float | None) -> None:
        """Unscale and clip the gradients, and take one optimiser step."""
        if clip_norm is not None:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
