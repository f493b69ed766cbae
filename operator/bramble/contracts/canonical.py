"""Canonical JSON (RFC 8785) and the digests made from it."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785
from pydantic import BaseModel


def canonical_json(document: Any) -> bytes:
    """The one byte form of a document: same content, same bytes, same digest, whoever writes it.

    Args:
        document: a pydantic model or a JSON-like value. Fields that are None are left out of models.

    Raises:
        rfc8785.CanonicalizationError: the value is outside JSON's domain (NaN, integers beyond 2**53).
    """
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return rfc8785.dumps(document)


def digest_of(content: bytes) -> str:
    """`sha256:` and the hex digest of these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def document_digest(document: Any) -> str:
    """The identity of a document: the digest of its canonical JSON."""
    return digest_of(canonical_json(document))


def short(digest: str) -> str:
    """The 16 hex digits of a digest that fit in a label (a label value holds 63 characters, a digest has 64)."""
    return digest.removeprefix("sha256:")[:16]
