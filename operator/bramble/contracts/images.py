"""Pictures as the input of a model: what every task that takes pictures shares."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from bramble.contracts.base import Document
from bramble.contracts.tasks.base import Input, Operation


class ImageInput(Input):
    """A picture as one of `media_types`, of limited size."""

    kind: Literal["image"] = "image"
    media_types: tuple[str, ...] = ("image/png", "image/jpeg")
    max_pixels: int = Field(40_000_000, gt=0)


class Decode(Operation):
    """Decodes bytes to a picture; `exif` turns it upright."""

    op: Literal["decode"] = "decode"
    color: Literal["RGB", "L"] = "RGB"
    exif: bool = True


class Resize(Operation):
    """Pillow's antialiased resize. `edge: shorter` keeps the aspect, `both` stretches to a square of `size`."""

    op: Literal["resize"] = "resize"
    edge: Literal["shorter", "both"] = "shorter"
    size: int = Field(gt=0)
    filter: Literal["bilinear", "bicubic", "nearest"] = "bilinear"


class Crop(Operation):
    """Cuts (height, width) from the middle."""

    op: Literal["crop"] = "crop"
    at: Literal["center"] = "center"
    size: tuple[int, int]


class Normalize(Operation):
    """Computes `(pixel / scale - mean) / std`, with one mean and one std for each channel."""

    op: Literal["normalize"] = "normalize"
    scale: float = 255
    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGE_OPERATIONS: tuple[type[Operation], ...] = (Decode, Resize, Crop, Normalize)


class Augment(Document):
    """Random changes to training pictures. None of them inverts or recolours a picture."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    shift: float = Field(0.0, ge=0, le=0.5)
    """Up to this share of the edge in each direction; the gap is filled with the picture's own edge pixels."""
    flip: bool = False
    """Mirrors half of the pictures left to right. Do not use it for digits or text."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Multiplies pixels by a factor from 1 - brightness to 1 + brightness."""
