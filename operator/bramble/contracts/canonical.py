"""Canonical JSON (RFC 8785), and the digests of documents."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785
from pydantic import BaseModel


def canonical_json(document: Any) -> bytes:
    """The canonical bytes of a document. Equal content gives equal bytes, and so an equal digest, whoever writes it.

    Args:
        document: a pydantic model, whose fields with the value None are left out, or a value of JSON types.

    Raises:
        rfc8785.CanonicalizationError: the value is outside JSON's domain (NaN, integers beyond 2**53).
    """
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rfc8785.dumps(document)


def text_bytes(text: str) -> int:
    """The bytes of a text in canonical JSON, without its quotes: 1 for most of ASCII, up to 4 for others, 6 for control characters."""
    return len(canonical_json(text)) - 2


def digest_of(content: bytes) -> str:
    """`sha256:` and the hex digest of these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def document_digest(document: Any) -> str:
    """The digest of a document's canonical JSON, which is its identity."""
    return digest_of(canonical_json(document))


def short(digest: str) -> str:
    """The first 16 hex digits of a digest, for labels: a label value may have 63 characters, and a whole digest has 64 digits."""
    return digest.removeprefix("sha256:")[:16]
