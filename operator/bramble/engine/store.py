"""The namespaces' S3 stores, as far as the operator reads and writes them: small documents only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import aiohttp

from bramble.boottime import boottime
from bramble.contracts.store import SECRET_NAME, StoreError, no_secret
from bramble.contracts.untrusted import SMALL_DOCUMENT
from bramble.engine.document_memory import DocumentMemory
from bramble.engine.places import PRESENT
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kube.api import Api
from bramble.kube.resources import SECRET
from bramble.kube.store import NamespaceStore, Store, Turns, store_session
from bramble.objectstore.addresses import Addresses

SECRET_SECONDS = 5.0
"""How long a Secret, read or found missing, is believed: the operator may not watch Secrets."""

FORGET_SECONDS = 600.0
"""The client of a namespace whose store was not asked for during this time is dropped."""

PROBE_KEY = "results/probe"
"""Never written. Reading it shows whether the store accepts the access key: then it answers that the object is absent."""

CALLS_AT_ONCE = 3
"""Calls to the store of one namespace at a time."""

TURN_SECONDS = 2.0
"""How long a call waits for earlier calls to the same store."""


def _place_left() -> AbstractAsyncContextManager[None]:
    place = PRESENT.get()
    return place.left() if place is not None else nullcontext()


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found when the Secret was last read: a store, or the problem with it."""

    at: float
    store: Store | None
    problem: Blocker | None


class Stores:
    """Keeps one client for each namespace, and replaces it when its Secret changes. A pass that waits for a store gives its place to
    another meanwhile.

    Args:
        api: reads the Secrets.
        addresses: those that a store may have.
        memory: bounds the documents of all namespaces together.
        clock: in seconds.
    """

    def __init__(self, api: Api, addresses: Addresses, memory: DocumentMemory, clock: Callable[[], float] = boottime) -> None:
        self._api, self._addresses, self._memory, self._clock = api, addresses, memory, clock
        self._looked: dict[str, Looked] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    async def problem(self, namespace: str) -> Blocker | None:
        """Why the namespace's store cannot be used, or None."""
        looked = await self._look(namespace)
        if looked.store is None:
            return looked.problem
        try:
            await self._find(namespace, looked.store, PROBE_KEY, SMALL_DOCUMENT)
        except StoreRefused as error:
            return Blocker("StoreRefused", str(error))
        except StoreUnavailable as error:
            return Blocker("StoreUnavailable", str(error))
        return None

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:
        """Read a document of at most so many bytes; None when it is not there.

        Raises:
            DocumentTooLarge: the document is larger.
            StoreRefused: there is no usable Secret, or the store refuses it.
            StoreUnavailable: the store did not answer, or the documents of all stores take too much memory, and this one had to go.
        """
        return await self._find(namespace, await self._store(namespace), key, most)

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        """Write a small document, unless one is there. Raises as `fetch` does."""
        store = await self._store(namespace)
        async with _place_left():
            await store.put_once(key, content)

    async def _store(self, namespace: str) -> Store:
        looked = await self._look(namespace)
        if looked.store is None:
            problem = looked.problem
            raise StoreRefused(problem.message if problem is not None else f"namespace {namespace} has no store")
        return looked.store

    async def _find(self, namespace: str, store: Store, key: str, most: int) -> bytes | None:
        # The document counts while its pass waits for a place, and then until that ends.
        async with self._memory.reading(namespace, PRESENT.get()) as reading, _place_left():
            return await store.find(key, most, reading.arrived)

    async def _look(self, namespace: str) -> Looked:
        known = self._looked.get(namespace)
        if known is not None and self._clock() < known.at + SECRET_SECONDS:
            return known
        secret = await self._api.get(SECRET, namespace, SECRET_NAME)
        store, problem = None, None
        if secret is None:
            problem = Blocker("StoreMissing", no_secret(namespace))
        else:
            try:
                store = self._with_client(NamespaceStore.described_by(secret, self._addresses), self._looked.get(namespace))
            except StoreError as error:
                problem = Blocker("StoreInvalid", f"namespace {namespace}: {error}")
        looked = Looked(self._clock(), store, problem)
        self._looked = {name: each for name, each in self._looked.items() if looked.at - each.at < FORGET_SECONDS}
        self._looked[namespace] = looked
        return looked

    def _with_client(self, client: NamespaceStore, known: Looked | None) -> Store:
        """The namespace's store, with its open connections if its Secret is as it was, and with its turns in any case."""
        before = known.store if known is not None else None
        if before is not None and before.config == client.config:
            return before
        if self._session is None:
            self._session = store_session(self._addresses)
        return Store(client, self._session, before.turns if before is not None else Turns(CALLS_AT_ONCE, TURN_SECONDS))
