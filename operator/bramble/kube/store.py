"""The store of a namespace, whose Secret has the address and the key, as the operator and the gateway use it.

Requests are signed by the common client and sent with aiohttp, so that one which waits takes no thread. A tenant chooses the store, and it
may hang, send a byte now and then, or send without end. So a namespace has its own turns, the time of each request is bounded as a whole,
and its name is resolved in a thread of its own: nothing that others need is held up.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
from yarl import URL

from bramble.contracts.store import SECRET_NAME, StoreConfig, StoreError
from bramble.errors import DocumentTooLarge, StoreRefused, StoreUnavailable
from bramble.kube.resources import Manifest
from bramble.objectstore.addresses import Addresses
from bramble.objectstore.answers import Meaning, error_code, meaning
from bramble.objectstore.bucket import Bucket, Patience
from bramble.objectstore.trust import trust

PATIENCE = Patience(connect_seconds=3, read_seconds=15, retries=0)
"""Requests are not repeated here, because the next pass or the gateway's caller tries again."""

SILENT_SECONDS = 30.0
"""How long a store may send nothing in the middle of an answer."""

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENT_SECONDS)

ANSWER_SECONDS = 20.0
"""The longest that a store may take for the whole answer about a document, from the name's resolution on, and for the head of one about a
blob. A store that sends a byte now and then never exceeds the time without bytes."""

OK, PARTIAL, CONFLICT, PRECONDITION_FAILED, UNSATISFIABLE = 200, 206, 409, 412, 416
PLAIN = {"Accept-Encoding": "identity"}
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
ERROR_BYTES = 4096
"""How much of an error document is read. It usually has a few hundred bytes."""


class NamespaceStore(Bucket):
    """The objects of one namespace, with the operator's errors."""

    refused = StoreRefused
    larger = DocumentTooLarge
    key_refused = StoreRefused
    unavailable = StoreUnavailable
    changed = StoreUnavailable

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


class CheckedResolver(aiohttp.abc.AbstractResolver):
    """Resolves the names of stores. The connection goes to an address that was checked; one in the URL itself is checked beforehand.

    Each name is resolved in a thread of its own. A tenant's name servers may answer late or never, and the threads of the event loop are
    few and serve everybody. The session resolves a name once at a time, so a namespace takes one thread.
    """

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a host.

        Raises:
            bramble.objectstore.addresses.AddressRefused: no store may have one of them.
            OSError: the name cannot be resolved.
        """
        found = await _looked_up(host, port, family)
        for _, _, _, _, address in found:
            self._addresses.check(host, str(address[0]), port)
        return [
            {"hostname": host, "host": _with_scope(address), "port": int(address[1]), "family": kind, "proto": proto, "flags": NUMERIC}
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """A lookup under way ends by itself."""


def _with_scope(address: tuple[Any, ...]) -> str:
    """The address as text, with the scope that a link-local one of IPv6 has."""
    _, _, *of_ipv6 = address
    return f"{address[0]}%{of_ipv6[1]}" if any(of_ipv6[1:]) else str(address[0])


async def _looked_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def look_up() -> None:
        found: list[Any] | OSError
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        except OSError as error:
            found = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found)

    def tell(found: list[Any] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    return await answer


def store_session(addresses: Addresses) -> aiohttp.ClientSession:
    """A session for requests to stores that have these addresses."""
    # Each namespace has turns of its own (`Turns`). Decompression would change the bytes that the digest was computed from.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, resolver=CheckedResolver(addresses))
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)


BROKEN: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ServerDisconnectedError, "it closed the connection"),
    (aiohttp.ClientPayloadError, "its answer broke off"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
)
"""What is said instead of an error's own text, which has the signed URL or a part of the answer. That may come from a server which the
tenant cannot reach."""


def _described(error: Exception) -> str:
    return next((text for kind, text in BROKEN if isinstance(error, kind)), str(error) or type(error).__name__)


class Turns:
    """How many requests to the store of one namespace are under way at the same time, and how long another waits for them.

    Args:
        at_once: requests at the same time.
        seconds: how long a request waits.
    """

    def __init__(self, at_once: int, seconds: float) -> None:
        self.at_once, self._seconds = at_once, seconds
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it while the body runs.

        Raises:
            TimeoutError: none of the earlier requests ended in time.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise TimeoutError(f"{self.at_once} earlier requests have not ended") from None
        try:
            yield
        finally:
            self._free.release()


@dataclass(slots=True)
class Store:
    """The requests to the store of one namespace.

    Attributes:
        client: signs the requests.
        session: sends them; one of `store_session`.
        turns: of the namespace.
        key_refused: whether the store has refused the key since the Secret was read.
    """

    client: NamespaceStore
    session: aiohttp.ClientSession
    turns: Turns
    key_refused: bool = False
    tls: ssl.SSLContext | bool = field(init=False)

    def __post_init__(self) -> None:
        self.tls = trust(self.client.config) or True

    @property
    def config(self) -> StoreConfig:
        """The address of the store and the key to it."""
        return self.client.config

    @asynccontextmanager
    async def open(self, key: str, byte_range: str | None = None) -> AsyncIterator[aiohttp.ClientResponse | None]:
        """Send a GET and yield the store's answer, which has the status 200, 206 or 416; None if there is no such object.

        The body is not read yet, and the caller bounds the time that it takes.

        Raises:
            StoreUnavailable: the store did not answer, or answered with a server error.
            StoreRefused: the key or the bucket is wrong, or the key lacks a permission.
        """
        headers = {**PLAIN, **({"Range": byte_range} if byte_range else {})}
        async with self._request("GET", key, headers=headers) as (response, bound):
            there = await self._is_there(response, key, OK, PARTIAL, UNSATISFIABLE)
            bound.reschedule(None)
            yield response if there else None

    async def find(self, key: str, limit: int, arrived: Callable[[int], None] = lambda _: None) -> bytes | None:
        """Read a small document of at most `limit` bytes; None if it does not exist.

        Args:
            arrived: is told how many more bytes of it have arrived, and may raise an exception.

        Raises:
            DocumentTooLarge: it has more bytes.
            StoreRefused: as `open`.
            StoreUnavailable: the store did not send all of it in time.
        """
        async with self._request("GET", key, headers=PLAIN) as (response, _):
            if not await self._is_there(response, key, OK):
                return None
            with BytesIO() as content:  # `getvalue` does not copy, and the end of the block frees what arrived of a document given up
                while content.tell() <= limit and (more := await response.content.read(limit + 1 - content.tell())):
                    content.write(more)
                    arrived(len(more))
                if content.tell() > limit:
                    raise self.client.too_large(key, limit)
                return content.getvalue()

    async def put_once(self, key: str, content: bytes) -> bool:
        """Write an object unless it exists (`If-None-Match: *`). Returns False if it exists.

        Raises:
            StoreUnavailable, StoreRefused: as for `open`.
        """
        async with self._request("PUT", key, data=content, headers={"If-None-Match": "*"}) as (response, _):
            if response.status in (PRECONDITION_FAILED, CONFLICT):
                return False
            if not await self._is_there(response, key, OK):
                raise self.client.silence(key, OSError("it says that an object is absent which is being written"))
            return True

    @asynccontextmanager
    async def _request(
        self, method: str, key: str, *, headers: Mapping[str, str], data: bytes | None = None
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, asyncio.Timeout]]:
        """Send a request when it is this one's turn. Yields the answer, and the bound of the time for all of it."""
        # The URL is sent unchanged: if it were quoted again, it would not match its signature.
        signed = URL(self.client.presigned(method, key), encoded=True)
        options: dict[str, Any] = {"ssl": self.tls, "allow_redirects": False, "timeout": TIMEOUT}
        bound = asyncio.timeout(None)
        try:
            async with self.turns.turn(), bound:
                bound.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS)
                async with self.session.request(method, signed, headers=headers, data=data, **options) as response:
                    yield response, bound
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"no whole answer within {ANSWER_SECONDS:g} s" if bound.expired() else _described(error)
            raise self.client.silence(key, OSError(what)) from error
        except StoreError as error:
            raise self.client.unusable(error) from error

    async def _is_there(self, response: aiohttp.ClientResponse, key: str, *expected: int) -> bool:
        """True for one of the expected statuses, False if the object is absent. Any other answer is raised as what it means."""
        if response.status in expected:
            return True
        code = error_code(await response.content.read(ERROR_BYTES))
        self.key_refused |= meaning(response.status, code) is Meaning.KEY_REFUSED
        problem = self.client.problem(key, response.status, code)
        if isinstance(problem, self.client.absent):
            return False
        raise problem
