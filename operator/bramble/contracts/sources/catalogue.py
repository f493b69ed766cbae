"""The formats in an ordered tuple, and the type whose values come from it."""

from __future__ import annotations

from typing import Annotated

from bramble.contracts.base import OneOf
from bramble.contracts.sources.base import SourceContract
from bramble.contracts.sources.image_folder import IMAGE_FOLDER

FORMATS: tuple[SourceContract, ...] = (IMAGE_FOLDER,)

FormatName = Annotated[str, OneOf(tuple(each.format for each in FORMATS))]


def format_named(name: str) -> SourceContract:
    """The contract of a format.

    Raises:
        KeyError: this release has no such format.
    """
    return {each.format: each for each in FORMATS}[name]
