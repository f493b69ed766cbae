"""The client of a namespace's store, whose Secret has the address and the key."""

from __future__ import annotations

from bramble.contracts.store import SECRET_NAME, StoreConfig
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kube.resources import Manifest
from bramble.objectstore.addresses import Addresses
from bramble.objectstore.bucket import Bucket, Patience

PATIENCE = Patience(connect_seconds=3, read_seconds=15, retries=0)
"""Requests are not repeated here, because the next pass or the gateway's caller tries again."""


class NamespaceStore(Bucket):
    """The objects of one namespace, with the operator's errors."""

    refused = StoreRefused
    key_refused = StoreRefused
    unavailable = StoreUnavailable

    def __init__(self, config: StoreConfig, namespace: str, addresses: Addresses) -> None:
        super().__init__(config, PATIENCE, secret=f"Secret {SECRET_NAME} of namespace {namespace}", addresses=addresses)

    @classmethod
    def described_by(cls, secret: Manifest, addresses: Addresses) -> NamespaceStore:
        """Create the client for the store that a Secret describes, which connects to these addresses only.

        Raises:
            bramble.contracts.store.StoreError: the Secret lacks a key, or a value in it cannot be used.
        """
        config = StoreConfig.of_secret(secret.get("data") or {})
        store = cls(config, secret["metadata"]["namespace"], addresses)
        store.check()
        addresses.check_literal(config.endpoint)
        return store
