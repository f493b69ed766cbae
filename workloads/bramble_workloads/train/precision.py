"""Mixed precision where the device has it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn


class Precision:
    """bfloat16 or float16 on a GPU that has them, float32 elsewhere. `scaler` does nothing unless it is float16."""

    def __init__(self, wanted: Literal["auto", "off"], device: torch.device) -> None:
        self.dtype: torch.dtype | None = None
        if wanted == "auto" and device.type == "cuda":
            self.dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        self._device = device.type
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    def autocast(self) -> AbstractContextManager[object]:
        """Around forward pass and loss."""
        return torch.autocast(self._device, dtype=self.dtype) if self.dtype else nullcontext()

    def step(self, optimizer: torch.optim.Optimizer, network: nn.Module, clip_norm: float | None) -> None:
        """One optimiser step, its gradients unscaled and clipped."""
        if clip_norm is not None:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
