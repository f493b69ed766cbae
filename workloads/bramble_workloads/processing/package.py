"""Reads a package by its digest, from a store, a gateway or a device's disk."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.package import MAX_BYTES, Package
from bramble.contracts.untrusted import parse_untrusted
from bramble_workloads.processing.errors import DescriptionError

GetBlob = Callable[[str], bytes]
"""Returns the verified bytes of a blob, by digest."""


def read_package(get_blob: GetBlob, digest: str) -> Package:
    """Read the document of a package.

    Raises:
        DescriptionError: it is not a package, or it holds something that this image does not know.
    """
    try:
        return parse_untrusted(Package, get_blob(digest), MAX_BYTES)
    except ValidationError as error:
        raise DescriptionError(f"package {digest} is not one that this image knows: {problems_of(error)}") from error
