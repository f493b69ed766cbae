"""The store of a namespace, which its Secret describes."""

from __future__ import annotations

from bramble.contracts.store import SECRET_NAME, StoreConfig
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kube.resources import Manifest
from bramble.objectstore.bucket import Bucket, Patience

PATIENCE = Patience(connect_seconds=3, read_seconds=15, retries=0)
"""A pass, or the caller of the gateway, tries again by itself."""


class NamespaceStore(Bucket):
    """The objects of one namespace, with the operator's errors."""

    refused = StoreRefused
    unavailable = StoreUnavailable

    def __init__(self, config: StoreConfig, namespace: str) -> None:
        super().__init__(config, PATIENCE, secret=f"Secret {SECRET_NAME} of namespace {namespace}")

    @classmethod
    def described_by(cls, secret: Manifest) -> NamespaceStore:
        """The store that a Secret describes.

        Raises:
            bramble.contracts.store.StoreError: the Secret lacks a key, or no request could be made with what it holds.
        """
        config = StoreConfig.of_secret(secret.get("data") or {})
        store = cls(config, secret["metadata"]["namespace"])
        store.check()
        return store
