"""The CA certificates that a client of the store trusts."""

from __future__ import annotations

import ssl
from functools import cache

from bramble.contracts.store import StoreConfig, StoreError


def trust(config: StoreConfig) -> ssl.SSLContext | None:
    """The TLS context for a store; None for an endpoint without TLS.

    Raises:
        StoreError: `ca.crt` is not a PEM bundle.
    """
    if not config.endpoint.startswith("https://"):
        return None
    if not config.ca:
        return _system()
    try:
        return ssl.create_default_context(cadata=config.ca)
    except (ssl.SSLError, ValueError) as error:
        raise StoreError(f"ca.crt is not a PEM bundle: {error}") from error


@cache
def _system() -> ssl.SSLContext:
    """A context with the CA certificates of the system. All stores share it, because it takes three quarters of a megabyte."""
    return ssl.create_default_context()
