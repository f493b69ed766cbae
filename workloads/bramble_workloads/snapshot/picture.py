"""Reading one picture: what names it, what it looks like in small, and whether it is one at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bramble.contracts.images import Decode, ImageInput
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.processing.errors import InputError
from bramble_workloads.processing.picture import decode, media_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 32
"""Edge of the grey picture that near-duplicates are looked for in."""
LIMITS = ImageInput(tensor=Tensor(name="x", shape=(1, 1, SMALL, SMALL)))
"""Bytes and pixels that a model takes by default; a picture beyond them could not be sent to a device either."""
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture's bytes say. `small` is uint8 [32, 32], grey; None, with the `fault`, where they are not a picture."""

    digest: str
    bytes: int
    extension: str
    small: NDArray[np.uint8] | None
    fault: str = ""


def read(content: bytes) -> Reading:
    """Hash and decode. Never raises for what the bytes hold."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    extension = EXTENSIONS.get(media_type(content) or "", "")
    try:
        grey = decode(content, LIMITS, Decode(color="L"))
    except InputError as error:
        return Reading(digest, len(content), extension, None, str(error))
    small = grey.resize((SMALL, SMALL), Image.Resampling.BILINEAR)
    return Reading(digest, len(content), extension, np.asarray(small, dtype=np.uint8))
