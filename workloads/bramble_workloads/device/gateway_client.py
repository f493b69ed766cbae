"""A device's, or a benchmark pod's, calls to the gateway. Connections are opened from here only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from pydantic import ValidationError

from bramble.contracts.assignment import Assignment
from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.canonical import digest_of
from bramble.contracts.report import Report
from bramble_workloads import paths
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable, WrongBlob

CONNECT_SECONDS = 5
CALL_SECONDS = 15
POLL_SECONDS = 40
"""More than the 25 s after which the gateway answers 304."""
STALLED_SECONDS = 20
"""A download that gives nothing for this long is begun anew, where it stopped."""
CHUNK = 256 * 1024
TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Assignments(ExtensibleDocument):
    """The answer to `GET /v1/assignment`: all of this node."""

    etag: str
    assignments: tuple[Assignment, ...] = ()


class BlobStream(NamedTuple):
    """An open download."""

    start: int
    """The position of the first byte that will come: 0 where the server ignored the range."""
    chunks: AsyncIterator[bytes]


class GatewayClient:
    """One address, TLS with its authority, and the projected token, which is read anew for every call. Use as a context manager.

    Every call raises `GatewayUnavailable` where a later try may succeed and `GatewayRefused` where the gateway says no.
    """

    def __init__(self, url: str, token: Path | None = None, authority: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token or paths.gateway_token()
        self._authority = authority or paths.gateway_ca()
        self._session: aiohttp.ClientSession | None = None
        self._context = ssl.create_default_context()
        self._trusted = b""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._context, limit=8)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    def _trust(self) -> None:
        """Take the authority as it is now: a new installation has another, and this process outlives it."""
        if self._authority.is_file() and (content := self._authority.read_bytes()) != self._trusted:
            try:
                self._context.load_verify_locations(cadata=content.decode())
            except ssl.SSLError as error:
                raise GatewayUnavailable(f"{self._authority} is no PEM: {error.reason}") from error
            self._trusted = content

    async def assignments(self, after: str | None) -> Assignments | None:
        """What this node, which the token names, should run.

        With `after`, the etag of an earlier answer, waits for a change: None when there was none (304).
        """
        query = {"after": after} if after is not None else {}
        async with self._call("GET", "/v1/assignment", POLL_SECONDS, params=query) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return None
            body = await response.read()
        try:
            return Assignments.model_validate_json(body)
        except ValidationError as error:
            raise GatewayRefused(f"the gateway's assignment is not one that this agent knows; update its image: {error}") from error

    async def report(self, report: Report) -> None:
        """What runs here."""
        async with self._call("POST", "/v1/status", CALL_SECONDS, data=report.model_dump_json(by_alias=True, exclude_none=True)):
            pass

    async def file_result(self, key: str, result: Mapping[str, Any]) -> None:
        """File a job's result (at most 64 KiB) at its key."""
        async with self._call("POST", "/v1/results", CALL_SECONDS, json={"key": key, "result": result}):
            pass

    async def blob(self, digest: str) -> bytes:
        """A whole blob in memory, verified: for documents and pictures.

        Raises:
            WrongBlob: the bytes do not hash to the digest.
        """
        async with self.open_blob(digest, 0) as stream:
            content = b"".join([chunk async for chunk in stream.chunks])
        if digest_of(content) != digest:
            raise WrongBlob(f"the gateway gave {len(content)} bytes for {digest} that hash to {digest_of(content)}")
        return content

    @asynccontextmanager
    async def open_blob(self, digest: str, start: int) -> AsyncIterator[BlobStream]:
        """A blob's bytes from `start` on, unverified. Redirects to the store are followed, without the token."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        stalled = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALLED_SECONDS)
        async with self._call("GET", f"/v1/blobs/{digest.removeprefix('sha256:')}", None, headers=headers, timeout=stalled) as response:
            begins = start if response.status == HTTPStatus.PARTIAL_CONTENT else 0
            yield BlobStream(begins, response.content.iter_chunked(CHUNK))

    @asynccontextmanager
    async def _call(
        self, method: str, path: str, seconds: float | None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use the client as a context manager")
        self._trust()
        sent = {"Content-Type": "application/json", **(headers or {}), "Authorization": f"Bearer {self._bearer()}"}
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(method, f"{self.url}{path}", headers=sent, **options) as response,
            ):
                await _accept(response, path)
                yield response
        except TimeoutError as error:
            raise GatewayUnavailable(f"the gateway at {self.url} did not answer {path} in time") from error
        except aiohttp.ClientError as error:
            raise GatewayUnavailable(f"the gateway at {self.url} did not answer {path}: {type(error).__name__}: {error}") from error

    def _bearer(self) -> str:
        try:
            return self._token.read_text().strip()
        except OSError as error:
            raise GatewayUnavailable(f"no token to show the gateway: {self._token}: {error.strerror}") from error


async def _accept(response: aiohttp.ClientResponse, path: str) -> None:
    """Raises GatewayUnavailable or GatewayRefused: the status is an error."""
    if response.status < HTTPStatus.BAD_REQUEST:
        return
    body = (await response.content.read(300)).decode(errors="replace")
    message = f"the gateway answered {response.status} to {path}: {body}"
    if response.status in TRANSIENT or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise GatewayUnavailable(message)
    raise GatewayRefused(message)
