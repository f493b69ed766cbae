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
QUICK_PIXELS = 500_000
"""Pixels of a picture, in all its scans together, that are decoded within a few milliseconds."""
QUICK_PART = 4
"""Quick pictures together may take one of so many parts of the budget more than the others, so that they do not wait for those."""
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


class Costly(Exception):
    """It takes long to decode the picture, and the thread has none to spare. Nothing was decoded."""


class DecodingMemory:
    """A budget of bytes for all pictures that a process decodes at once. A picture waits until its part is free.

    Attributes:
        limit: the budget of a device. None in jobs: they read pictures of a dataset, of which the snapshot has refused the expensive ones.
            What an older snapshot took stays usable, and its pixels and scans are bounded all the same.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self._used = {False: 0, True: 0}
        """Bytes of pictures that take long, and of quick ones."""
        self._freed = threading.Condition()
        self._here = threading.local()

    @property
    def most(self) -> int | None:
        """The most that one picture may take; None for no limit."""
        return None if self.limit is None else min(self.limit, MAX_PICTURE_BYTES)

    @contextmanager
    def quick_only(self) -> Iterator[None]:
        """Decode no picture in this thread that takes long: `hold` raises Costly for it."""
        self._here.quick_only = True
        try:
            yield
        finally:
            self._here.quick_only = False

    @contextmanager
    def hold(self, count: int, pixels: int) -> Iterator[None]:
        """Hold memory for a picture.

        Args:
            count: the bytes, at most `most`.
            pixels: that are decoded, in all scans together.

        Raises:
            Costly: it takes long, and the thread is for quick pictures only.
        """
        quick = pixels <= QUICK_PIXELS and (self.limit is None or count <= self.limit // QUICK_PART)
        if not quick and getattr(self._here, "quick_only", False):
            raise Costly
        if self.limit is None:
            yield
            return
        most = self.limit // QUICK_PART if quick else self.limit
        with self._freed:
            self._freed.wait_for(lambda: self._used[quick] + count <= most)
            self._used[quick] += count
        try:
            yield
        finally:
            with self._freed:
                self._used[quick] -= count
                self._freed.notify_all()


MEMORY = DecodingMemory()
"""That of this process. The agent and its trials set the limit."""
