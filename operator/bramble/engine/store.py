"""The namespaces' S3 stores, as far as the operator reads and writes them: small documents only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from bramble.contracts.store import LARGEST_DOCUMENT, SECRET_NAME, StoreError, no_secret
from bramble.engine.clock import boottime
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kube.api import Api
from bramble.kube.resources import SECRET
from bramble.kube.store import NamespaceStore
from bramble.objectstore.addresses import Addresses

SECRET_SECONDS = 5.0
"""How long a Secret, read or found missing, is believed: the operator may not watch Secrets."""

FORGET_SECONDS = 600.0
"""The client of a namespace whose store was not asked for during this time is dropped."""

PROBE_KEY = "results/probe"
"""Never written. Reading it shows whether the store accepts the access key: then it answers that the object is absent."""

CALLS_AT_ONCE = 3
"""Calls to the store of one namespace at a time. They are fewer than the workers, so that a slow store never occupies all of them."""

TURN_SECONDS = 2.0
"""How long a call waits for earlier calls to the same store."""

CALL_SECONDS = 20.0
"""The longest that a call may take. A store that sends a byte now and then never exceeds the timeout of a socket."""

THREADS = 32
"""At most; threads start when they are needed. A call that was given up keeps its thread and its turn until its socket ends."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found when the Secret was last read: a store, or the problem with it."""

    at: float
    store: NamespaceStore | None
    problem: Blocker | None


class Stores:
    """Keeps one client for each namespace, and replaces it when its Secret changes. Calls run in threads, because the client blocks."""

    def __init__(self, api: Api, addresses: Addresses, clock: Callable[[], float] = boottime) -> None:
        self._api, self._addresses, self._clock = api, addresses, clock
        self._looked: dict[str, Looked] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # kept by the calls that hold or await one
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="store")

    def close(self) -> None:
        """Start no more calls, and end the connections that are kept. Calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for looked in self._looked.values():
            if looked.store is not None:
                looked.store.close()

    async def problem(self, namespace: str) -> Blocker | None:
        """Why the namespace's store cannot be used, or None."""
        looked = await self._look(namespace)
        if looked.store is None:
            return looked.problem
        try:
            await self._call(namespace, looked.store, lambda store: store.find(PROBE_KEY, LARGEST_DOCUMENT))
        except StoreRefused as error:
            return Blocker("StoreRefused", str(error))
        except StoreUnavailable as error:
            return Blocker("StoreUnavailable", str(error))
        return None

    async def fetch(self, namespace: str, key: str) -> bytes | None:
        """Read a small document; None when it is not there.

        Raises:
            StoreRefused: there is no usable Secret, or the store refuses it.
            StoreUnavailable: the store did not answer.
        """
        return await self._call(namespace, await self._store(namespace), lambda store: store.find(key, LARGEST_DOCUMENT))

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        """Write a small document, unless one is there. Raises as `fetch` does."""
        await self._call(namespace, await self._store(namespace), lambda store: store.put_once(key, content))

    async def _store(self, namespace: str) -> NamespaceStore:
        looked = await self._look(namespace)
        if looked.store is None:
            problem = looked.problem
            raise StoreRefused(problem.message if problem is not None else f"namespace {namespace} has no store")
        return looked.store

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
                store = NamespaceStore.described_by(secret, self._addresses)
            except StoreError as error:
                problem = Blocker("StoreInvalid", f"namespace {namespace}: {error}")
        if store is not None and known is not None and known.store is not None and known.store.config == store.config:
            store = known.store  # with its open connections
        looked = Looked(self._clock(), store, problem)
        self._looked = {name: each for name, each in self._looked.items() if looked.at - each.at < FORGET_SECONDS}
        self._looked[namespace] = looked
        return looked

    async def _call(self, namespace: str, store: NamespaceStore, call: Callable[[NamespaceStore], Answer]) -> Answer:
        """Call in a thread, when it is the namespace's turn."""
        where = f"the store at {store.config.endpoint} (Secret {SECRET_NAME} of namespace {namespace})"
        turns = self._turns.setdefault(namespace, asyncio.Semaphore(CALLS_AT_ONCE))
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"{where} did not answer: {CALLS_AT_ONCE} earlier calls have not ended") from error
        answer = asyncio.get_running_loop().run_in_executor(self._threads, call, store)
        answer.add_done_callback(lambda ended: _next_turn(turns, ended))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            raise StoreUnavailable(f"{where} did not finish an answer within {CALL_SECONDS:g} s") from error


def _next_turn(turns: asyncio.Semaphore, ended: asyncio.Future[Answer]) -> None:
    turns.release()
    if not ended.cancelled():
        ended.exception()  # retrieves the exception of a call that was given up, which asyncio would otherwise report
