"""Pictures in training: reading, augmentation and normalisation, for the objectives of every task that takes pictures."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from bramble.contracts.images import Augment
from bramble.contracts.package import ModelDescription
from bramble_workloads.processing.preprocess import Preprocessor

MOMENTS = {"L": ((0.5,), (0.5,)), "RGB": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
"""Mean and standard deviation of each channel; those of RGB are ImageNet's."""
SCALE = 255
GREY_DIMENSIONS = 2


class PixelReader:
    """Reads the bytes of a picture into pixels, uint8 [C, H, W], by the package's own operations up to normalisation."""

    def __init__(self, description: ModelDescription) -> None:
        self._preprocessor = Preprocessor(description)

    def __call__(self, content: bytes) -> NDArray[np.uint8]:
        """Read one picture.

        Raises:
            InputError: the bytes are not a picture that the description can process.
        """
        picture = np.asarray(self._preprocessor.picture(content), dtype=np.uint8)
        return np.array(picture[None] if picture.ndim == GREY_DIMENSIONS else picture.transpose(2, 0, 1), order="C")


class Normalizer:
    """The package's last operation, on the device: `(pixel / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._mean = torch.tensor(mean)[:, None, None]
        self._std = torch.tensor(std)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalise pixels [N, C, H, W] of any type in 0…255 to float32."""
        if self._mean.device != pixels.device:
            self._mean, self._std = self._mean.to(pixels.device), self._std.to(pixels.device)
        return (pixels.float() / SCALE - self._mean) / self._std


def augment(pixels: Tensor, wanted: Augment, generator: torch.Generator) -> Tensor:
    """Shift and flip pictures and change their brightness at random.

    Args:
        pixels: uint8 [N, C, H, W].
        wanted: the strength of each change.
        generator: a generator on the CPU that is seeded for this batch.

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
    """Moves each picture by whole pixels and repeats its edge pixels in the gap."""
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
