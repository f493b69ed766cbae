"""What can go wrong while images are built."""

from __future__ import annotations


class ImagesError(Exception):
    """The images cannot be built; the message says why and what to do."""
