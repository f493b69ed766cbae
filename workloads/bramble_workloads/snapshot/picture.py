"""Reads one picture: its digest, a small grey version for the search for near-duplicates, and whether it can be decoded at all."""

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
"""Edge in pixels of the small grey version."""
LIMITS = ImageInput(tensor=Tensor(name="x", shape=(1, 1, SMALL, SMALL)))
"""Bounds on bytes and pixels: the defaults of a model. A picture beyond them could not be sent to a device either."""
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `small` is the grey version, uint8 [32, 32]. If the bytes are no picture it is None, and `fault` says why."""

    digest: str
    bytes: int
    extension: str
    small: NDArray[np.uint8] | None
    fault: str = ""


def read(content: bytes) -> Reading:
    """Hash and decode the bytes of a file. Bytes that are no picture raise nothing."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    extension = EXTENSIONS.get(media_type(content) or "", "")
    try:
        grey = decode(content, LIMITS, Decode(color="L"))
    except InputError as error:
        return Reading(digest, len(content), extension, None, str(error))
    small = grey.resize((SMALL, SMALL), Image.Resampling.BILINEAR)
    return Reading(digest, len(content), extension, np.asarray(small, dtype=np.uint8))
