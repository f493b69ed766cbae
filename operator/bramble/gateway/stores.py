"""The namespaces' S3 stores as the gateway uses them: streamed reads, and one conditional write.

Requests are signed with the `minio` client and made with aiohttp, so that a blob flows from the store to a device without a thread
and without ever standing in memory as a whole.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from minio import Minio
from yarl import URL

from bramble.contracts.store import SECRET_NAME, StoreConfig, StoreError, no_secret
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kube.resources import SECRET, Manifest, Resource

CACHE_SECONDS = 60.0
"""How long a Secret that was read is used; a key that was changed is used at the latest after this."""
LINK_LIFE = timedelta(minutes=15)
"""Of a signed request, from signing to its start: well above any difference of clocks, and it never leaves the gateway."""
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
"""A blob may take as long as it takes while bytes come."""
OK, PARTIAL, NOT_FOUND, CONFLICT, PRECONDITION_FAILED, UNSATISFIABLE = 200, 206, 404, 409, 412, 416


class Reads(Protocol):
    """The one thing of a Kubernetes client that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


@dataclass(frozen=True, slots=True)
class Store:
    """One namespace's bucket and prefix."""

    config: StoreConfig
    client: Minio
    session: aiohttp.ClientSession
    tls: ssl.SSLContext | bool

    @asynccontextmanager
    async def open(self, key: str, byte_range: str | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The store's answer to a GET, its body not yet read: 200, 206, 404 or 416.

        Raises:
            StoreUnavailable: no answer, or one of its own troubles.
            StoreRefused: the key, the bucket or the right is wrong.
        """
        headers = {"Accept-Encoding": "identity", **({"Range": byte_range} if byte_range else {})}
        async with self._request("GET", key, headers=headers) as response:
            if response.status not in (OK, PARTIAL, NOT_FOUND, UNSATISFIABLE):
                raise await self._trouble(response, key)
            yield response

    async def get(self, key: str, limit: int) -> bytes | None:
        """A small document of at most `limit` bytes, or None where there is none.

        Raises:
            StoreRefused: it is larger.
            StoreUnavailable: the store did not answer.
        """
        async with self.open(key) as response:
            if response.status != OK:
                return None
            content = await response.content.read(limit + 1)
            while len(content) <= limit and (more := await response.content.read(limit + 1 - len(content))):
                content += more
        if len(content) > limit:
            raise StoreRefused(f"{self._uri(key)} is larger than {limit} bytes, and no document of ours is")
        return content

    async def put_once(self, key: str, content: bytes) -> bool:
        """Write an object where none is (`If-None-Match: *`); False where one is.

        Raises: as `open`.
        """
        async with self._request("PUT", key, data=content, headers={"If-None-Match": "*"}) as response:
            if response.status in (PRECONDITION_FAILED, CONFLICT):
                return False
            if response.status != OK:
                raise await self._trouble(response, key)
            return True

    @asynccontextmanager
    async def _request(
        self, method: str, key: str, *, headers: Mapping[str, str], data: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.client.get_presigned_url(method, self.config.bucket, f"{self.config.prefix}{key}", expires=LINK_LIFE)
        try:
            signed = URL(url, encoded=True)  # sent as it was signed: quoted again it would not match its signature
            async with self.session.request(
                method, signed, headers=headers, data=data, ssl=self.tls, allow_redirects=False, timeout=TIMEOUT
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreUnavailable(f"the store at {self.config.endpoint}: {str(error) or type(error).__name__}") from error

    async def _trouble(self, response: aiohttp.ClientResponse, key: str) -> StoreUnavailable | StoreRefused:
        text = (await response.content.read(4096)).decode(errors="replace")
        code = text.partition("<Code>")[2].partition("</Code>")[0] or text[:200]
        message = f"{self._uri(key)}: the store at {self.config.endpoint} answered {response.status} {code}"
        return StoreRefused(message) if response.status < 500 and response.status not in (408, 429) else StoreUnavailable(message)  # noqa: PLR2004

    def _uri(self, key: str) -> str:
        return f"s3://{self.config.bucket}/{self.config.prefix}{key}"


class Stores:
    """Finds a namespace's store by its Secret."""

    def __init__(self, api: Reads, session: aiohttp.ClientSession, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
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
        until, store = self._known.get(namespace, (0.0, None))
        if store is not None and self._clock() < until:
            return store
        async with self._reading:
            config = await self._config(namespace)
            if store is None or store.config != config:
                store = self._open(namespace, config)
            now = self._clock()
            # Namespaces come and go; those whose store nobody asked for lately are forgotten.
            self._known = {name: entry for name, entry in self._known.items() if entry[0] > now - CACHE_SECONDS}
            self._known[namespace] = (now + CACHE_SECONDS, store)
        return store

    async def _config(self, namespace: str) -> StoreConfig:
        secret = await self._api.get(SECRET, namespace, SECRET_NAME)
        if secret is None:
            raise StoreRefused(no_secret(namespace))
        try:
            return StoreConfig.parse(_decoded(secret))
        except StoreError as error:
            raise StoreRefused(f"namespace {namespace}: {error}") from error

    def _open(self, namespace: str, config: StoreConfig) -> Store:
        address = urlsplit(config.endpoint)
        secure = address.scheme == "https"
        try:
            client = Minio(address.netloc, access_key=config.access_key, secret_key=config.secret_key, region=config.region, secure=secure)
            client.get_presigned_url("GET", config.bucket, "x")  # signs only, and says at once what no request could be made of
            tls = ssl.create_default_context(cadata=config.ca) if secure and config.ca else True  # aiohttp's own, one for all stores
        except ValueError as error:
            raise StoreRefused(f"the store of namespace {namespace} cannot be used: {error}; correct Secret {SECRET_NAME}") from error
        except ssl.SSLError as error:
            raise StoreRefused(f"the store of namespace {namespace}: ca.crt of Secret {SECRET_NAME} is no PEM: {error.reason}") from error
        return Store(config, client, self._session, tls)


def _decoded(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
