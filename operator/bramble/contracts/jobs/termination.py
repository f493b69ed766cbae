"""The termination message of a job's container."""

from __future__ import annotations

from pydantic import Field

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.canonical import canonical_json


class Termination(ExtensibleDocument):
    """Where the result or the cause of the attempt lies, and the digest of it. The document has at most 1 KiB."""

    code: int
    key: str
    """The key of the result or of the cause. Empty if neither could be written, because the job or the store could not be read."""
    sha256: Digest
    message: str = Field("", max_length=600)
    """The message of the cause, only if the key is empty."""

    def encode(self) -> bytes:
        """The bytes for the termination log."""
        return canonical_json(self)
