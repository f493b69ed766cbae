"""Changes to a batch of training pictures that leave the labels true, by a generator of its own so that they can be repeated."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from bramble.contracts.hyperparameters import Augment


def augment(pixels: Tensor, wanted: Augment, generator: torch.Generator) -> Tensor:
    """Shift, flip and brighten.

    Args:
        pixels: uint8 [N, C, H, W].
        wanted: how much of each.
        generator: on the CPU, seeded for this batch.

    Returns:
        float32 [N, C, H, W] in 0…255.
    """
    changed = _shifted(pixels, wanted.shift, generator).float()
    count, device = len(pixels), pixels.device
    if wanted.flip:
        flipped = torch.rand(count, generator=generator).lt(0.5).to(device)
        changed = torch.where(flipped[:, None, None, None], changed.flip(-1), changed)
    if wanted.brightness:
        factor = 1 + wanted.brightness * (2 * torch.rand(count, generator=generator) - 1)
        changed = (changed * factor.to(device)[:, None, None, None]).clamp(0, 255)
    return changed


def _shifted(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each picture moved by whole pixels, its edge pixels repeated where it leaves a gap."""
    count, channels, height, width = pixels.shape
    down, right = int(share * height), int(share * width)
    if not down and not right:
        return pixels
    padded = pad(pixels.float(), (right, right, down, down), mode="replicate")
    top = torch.randint(0, 2 * down + 1, (count,), generator=generator).to(pixels.device)
    left = torch.randint(0, 2 * right + 1, (count,), generator=generator).to(pixels.device)
    rows = top[:, None] + torch.arange(height, device=pixels.device)
    columns = left[:, None] + torch.arange(width, device=pixels.device)
    picture = torch.arange(count, device=pixels.device)[:, None, None]
    return padded[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).reshape(count, channels, height, width)
