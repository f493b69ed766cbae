"""The namespaces' S3 stores as the gateway uses them: streamed reads, and one conditional write.

Requests are signed by the common client and sent with aiohttp. So a blob is streamed from the store to a device without a thread and
without a copy of the whole blob in memory.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from yarl import URL

from bramble.contracts.store import SECRET_NAME, StoreConfig, StoreError, no_secret
from bramble.errors import StoreRefused
from bramble.kube.resources import SECRET, Manifest, Resource
from bramble.kube.store import NamespaceStore
from bramble.objectstore.addresses import Addresses
from bramble.objectstore.answers import Meaning, error_code, meaning
from bramble.objectstore.trust import trust

CACHE_SECONDS = 60.0
"""How long a Secret that was read is used. A key that was changed is used after this time at the latest."""
REFUSED_SECONDS = 5.0
"""The same, once the store has refused the key: it was probably rotated."""
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
"""There is no limit for a whole transfer, only for the time without any bytes."""
REQUESTS = 32
"""Requests at the same time to the store of one namespace, so that a store that hangs holds up nobody else's."""
TURN_SECONDS = 5.0
"""How long a request waits for earlier ones to the same store."""
OK, PARTIAL, NOT_FOUND, CONFLICT, PRECONDITION_FAILED, UNSATISFIABLE = 200, 206, 404, 409, 412, 416
ERROR_BYTES = 4096
"""How much of an error document is read. It usually has a few hundred bytes."""


class CheckedResolver(aiohttp.ThreadedResolver):
    """Resolves the names of stores. The connection goes to an address that was checked; one in the URL itself is checked by `Stores`."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a host.

        Raises:
            bramble.objectstore.addresses.AddressRefused: no store may have one of them.
        """
        found = await super().resolve(host, port, family)
        for each in found:
            self._addresses.check(host, each["host"], port)
        return found


def store_session(addresses: Addresses) -> aiohttp.ClientSession:
    """A session for requests to stores that have these addresses."""
    # Each namespace has a limit of its own (`REQUESTS`). Decompression would change the bytes that the digest was computed from.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, resolver=CheckedResolver(addresses))
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)


class Reads(Protocol):
    """The one method of a Kubernetes client that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


@dataclass(slots=True)
class Store:
    """The store of one namespace."""

    client: NamespaceStore
    session: aiohttp.ClientSession
    tls: ssl.SSLContext | bool
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUESTS))
    key_refused: bool = False
    """Whether the store has refused the key since the Secret was read."""

    @property
    def config(self) -> StoreConfig:
        """The address of the store and the key to it."""
        return self.client.config

    @asynccontextmanager
    async def open(self, key: str, byte_range: str | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a GET and yield the store's answer, which has the status 200, 206, 404 or 416. The body is not read yet.

        Raises:
            StoreUnavailable: the store did not answer, or answered with a server error.
            StoreRefused: the key or the bucket is wrong, or the key lacks a permission.
        """
        headers = {"Accept-Encoding": "identity", **({"Range": byte_range} if byte_range else {})}
        async with self._request("GET", key, headers=headers) as response:
            if response.status not in (OK, PARTIAL, UNSATISFIABLE):
                problem = await self._problem(response, key)
                if not isinstance(problem, self.client.absent):
                    raise problem
            yield response

    async def get(self, key: str, limit: int) -> bytes | None:
        """Read a small document of at most `limit` bytes; None if it does not exist.

        Raises:
            StoreRefused: the document is larger.
            StoreUnavailable: the store did not answer.
        """
        async with self.open(key) as response:
            if response.status != OK:
                return None
            content = await response.content.read(limit + 1)
            while len(content) <= limit and (more := await response.content.read(limit + 1 - len(content))):
                content += more
        if len(content) > limit:
            raise self.client.too_large(key, limit)
        return content

    async def put_once(self, key: str, content: bytes) -> bool:
        """Write an object unless it exists (`If-None-Match: *`). Returns False if it exists.

        Raises:
            StoreUnavailable, StoreRefused: as for `open`.
        """
        async with self._request("PUT", key, data=content, headers={"If-None-Match": "*"}) as response:
            if response.status in (PRECONDITION_FAILED, CONFLICT):
                return False
            if response.status != OK:
                raise await self._problem(response, key)
            return True

    @asynccontextmanager
    async def _request(
        self, method: str, key: str, *, headers: Mapping[str, str], data: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        signed = URL(
            self.client.presigned(method, key), encoded=True
        )  # the URL is sent unchanged: if it were quoted again, it would not match its signature
        await self._turn(key)
        try:
            async with self.session.request(
                method, signed, headers=headers, data=data, ssl=self.tls, allow_redirects=False, timeout=TIMEOUT
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.client.silence(key, error) from error
        except StoreError as error:
            raise self.client.unusable(error) from error
        finally:
            self.turns.release()

    async def _turn(self, key: str) -> None:
        """Wait until fewer than `REQUESTS` others to this store are under way. The caller releases the turn.

        Raises:
            StoreUnavailable: none of them ended in time.
        """
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self.turns.acquire()
        except TimeoutError as error:
            raise self.client.silence(key, TimeoutError(f"{REQUESTS} earlier requests have not ended")) from error

    async def _problem(self, response: aiohttp.ClientResponse, key: str) -> Exception:
        code = error_code(await response.content.read(ERROR_BYTES))
        self.key_refused |= meaning(response.status, code) is Meaning.KEY_REFUSED
        return self.client.problem(key, response.status, code)


class Stores:
    """Finds a namespace's store by its Secret."""

    def __init__(
        self, api: Reads, addresses: Addresses, session: aiohttp.ClientSession, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`session` is one of `store_session`, for the same addresses."""
        self._api = api
        self._addresses = addresses
        self._session = session
        self._clock = clock
        self._known: dict[str, tuple[float, Store]] = {}
        self._reading = asyncio.Lock()

    async def of(self, namespace: str) -> Store:
        """The store of this namespace.

        Raises:
            StoreRefused: there is no Secret, or it cannot be used.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        read_at, store = self._known.get(namespace, (0.0, None))
        if store is not None and self._clock() < read_at + (REFUSED_SECONDS if store.key_refused else CACHE_SECONDS):
            return store
        async with self._reading:
            client = await self._client(namespace)
            if store is None or store.config != client.config:
                store = Store(client, self._session, trust(client.config) or True)
            store.key_refused = False
            now = self._clock()
            # Namespaces are created and deleted, so stores that were not used lately are dropped.
            self._known = {name: entry for name, entry in self._known.items() if entry[0] > now - 2 * CACHE_SECONDS}
            self._known[namespace] = (now, store)
        return store

    async def _client(self, namespace: str) -> NamespaceStore:
        secret = await self._api.get(SECRET, namespace, SECRET_NAME)
        if secret is None:
            raise StoreRefused(no_secret(namespace))
        try:
            return NamespaceStore.described_by(secret, self._addresses)
        except StoreError as error:
            raise StoreRefused(f"namespace {namespace}: {error}") from error
