"""The last words of a job container."""

from __future__ import annotations

from pydantic import Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.canonical import canonical_json


class Termination(ExtensibleDocument):
    """A job container's last word, at most 1 KiB in all: where its result or its cause lies, and the digest of it."""

    code: int
    key: str
    """Of the result or of the cause; empty where neither could be filed (no readable job, no store)."""
    sha256: Digest
    message: str = Field("", max_length=600)
    """Only where the key is empty: what the cause would have said."""

    def encode(self) -> bytes:
        """As it stands in the termination log."""
        return canonical_json(self)
