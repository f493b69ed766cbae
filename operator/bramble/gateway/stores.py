"""Finds the store of a namespace by its Secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary

import aiohttp

from bramble.contracts.store import SECRET_NAME, StoreError, no_secret
from bramble.errors import StoreRefused
from bramble.kube.resources import SECRET, Manifest, Resource
from bramble.kube.store import NamespaceStore, Store, Turns
from bramble.objectstore.addresses import Addresses

CACHE_SECONDS = 60.0
"""How long a Secret that was read is used. A key that was changed is used after this time at the latest."""
REFUSED_SECONDS = 5.0
"""The same for a Secret that is missing or cannot be used, and once the store has refused the key: it was probably rotated."""
REQUESTS = 32
"""Requests at the same time to the store of one namespace, so that a store that hangs holds up nobody else's."""
TURN_SECONDS = 5.0
"""How long a request waits for earlier ones to the same store."""


class Reads(Protocol):
    """The one method of a Kubernetes client that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


class _Known(NamedTuple):
    """What was found when the Secret was last read: a store, or why there is none."""

    at: float
    store: Store | str

    def is_used(self, now: float) -> bool:
        good = isinstance(self.store, Store) and not self.store.key_refused
        return now < self.at + (CACHE_SECONDS if good else REFUSED_SECONDS)


class Stores:
    """Finds a namespace's store by its Secret, which is read once at a time for each namespace."""

    def __init__(
        self, api: Reads, addresses: Addresses, session: aiohttp.ClientSession, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`session` is one of `store_session`, for the same addresses."""
        self._api = api
        self._addresses = addresses
        self._session = session
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._reading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # kept by the calls that hold or await one

    async def of(self, namespace: str) -> Store:
        """The store of this namespace.

        Raises:
            StoreRefused: there is no Secret, or it cannot be used.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        known = self._used(namespace)
        if known is None:
            async with self._reading.setdefault(namespace, asyncio.Lock()):
                known = self._used(namespace) or await self._read(namespace)
        if isinstance(known.store, str):
            raise StoreRefused(known.store)
        return known.store

    def _used(self, namespace: str) -> _Known | None:
        """What is known, unless it is too old."""
        known = self._known.get(namespace)
        return known if known is not None and known.is_used(self._clock()) else None

    async def _read(self, namespace: str) -> _Known:
        found, before = await self._found(namespace), self._known.get(namespace)
        store: Store | str
        if isinstance(found, str):
            store = found
        elif before is None or isinstance(before.store, str):
            store = Store(found, self._session, Turns(REQUESTS, TURN_SECONDS))
        elif before.store.config == found.config:
            store = before.store
            store.key_refused = False
        else:
            store = Store(found, self._session, before.store.turns)
        now = self._clock()
        # Namespaces are created and deleted, so stores that were not used lately are dropped.
        self._known = {name: entry for name, entry in self._known.items() if entry.at > now - 2 * CACHE_SECONDS}
        known = self._known[namespace] = _Known(now, store)
        return known

    async def _found(self, namespace: str) -> NamespaceStore | str:
        """The client, or why there is none."""
        secret = await self._api.get(SECRET, namespace, SECRET_NAME)
        if secret is None:
            return no_secret(namespace)
        try:
            return NamespaceStore.described_by(secret, self._addresses)
        except StoreError as error:
            return f"namespace {namespace}: {error}"
