"""The memory that decoding pictures takes: estimated from a picture's header, and shared by all threads of a process.

Pillow keeps a colour pixel in 4 bytes. The estimate is the peak of loading, turning, converting and resizing one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

MAX_PICTURE_BYTES = 256 * 2**20
"""The most that decoding one picture may take on a device, and so in a dataset. 40,000,000 pixels in RGB take 153 MiB; with transparency,
or turned upright, they would take 305 MiB, and as a progressive JPEG 381 MiB."""

STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes of a pixel, by Pillow's mode. All others have 4."""
COLOUR = 4
COEFFICIENT = 2
"""Bytes that libjpeg keeps for each pixel of each component while it reads the scans of a JPEG that has several."""
SIXTEEN_BITS = 4
"""Bytes of a pixel beside the picture of 16 bits while it becomes one of 8 bits."""


def stored(mode: str) -> int:
    """Bytes that Pillow keeps for a pixel of this mode."""
    return STORED.get(mode, COLOUR)


def needed(image: Image.Image, scans: int, color: str, *, turned: bool, resized: int) -> int:
    """Estimate the bytes that it takes to decode a picture and resize it.

    Args:
        image: opened, not loaded.
        scans: of a JPEG; 1 for others.
        color: the mode that is wanted, `RGB` or `L`.
        turned: whether it is turned upright.
        resized: the pixels of the largest picture that is made of it.
    """
    pixels, read, wanted = image.width * image.height, stored(image.mode), stored(color)
    load = read + (COEFFICIENT * len(image.getbands()) if scans > 1 else 0)
    convert = 0 if image.mode == color else read + wanted
    if image.mode.startswith("I"):
        convert = read + max(SIXTEEN_BITS, 1 + wanted)
    elif image.mode in {"P", "PA"}:
        convert = max(read + COLOUR, COLOUR + wanted)
    return max(pixels * max(load, 2 * read if turned else 0, convert), (pixels + 2 * resized) * wanted)


class DecodingMemory:
    """A budget of bytes for all pictures that a process decodes at once. A picture waits until its part is free.

    Attributes:
        limit: the budget of a device. None in jobs: they read pictures of a dataset, of which the snapshot has refused the expensive ones.
            What an older snapshot took stays usable, and its pixels and scans are bounded all the same.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._used = 0
        self._freed = threading.Condition()

    @property
    def most(self) -> int | None:
        """The most that one picture may take; None for no limit."""
        return None if self.limit is None else min(self.limit, MAX_PICTURE_BYTES)

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Hold so many bytes, which must be at most `most`."""
        if self.limit is None:
            yield
            return
        with self._freed:
            self._freed.wait_for(lambda: self._used + count <= (self.limit or 0))
            self._used += count
        try:
            yield
        finally:
            with self._freed:
                self._used -= count
                self._freed.notify_all()


MEMORY = DecodingMemory()
"""That of this process. The agent and its trials set the limit."""
