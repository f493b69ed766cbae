"""The gateway's API for a device or a benchmark pod. No other module of theirs opens connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from pydantic import ValidationError

from bramble.contracts.assignment import Assignment, assignment_name
from bramble.contracts.base import ExtensibleDocument, problems_of
from bramble.contracts.canonical import digest_of
from bramble.contracts.report import Report
from bramble_workloads import paths
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable, WrongBlob

STATUS, ASSIGNMENT = "/v1/status", "/v1/assignment"
"""The two calls that every device makes for ever."""

SILENT_SECONDS = 3
"""A connection ends if the other machine does not acknowledge what was sent for so long, and one that it does not accept for so long is
given up (`TCP_USER_TIMEOUT`). So a gateway whose node is gone without a word is told from one that has much to do: its machine
acknowledges everything at once."""
ANSWER_SECONDS = 8
SLOWEST_BYTES_A_SECOND = 64 * 1024
"""A report may take `ANSWER_SECONDS` with its TLS handshake, and longer by what its size takes at this rate. A usual one has a few KiB. If
the gateway's node is gone without a word, the report fails after `SILENT_SECONDS` on the connection that was open, and after as long where
no other can be opened. The third one still arrives before the device counts as offline (`Reporter`)."""
PATIENCE = 2
"""After a time-out the next call of its kind may take so much longer. A gateway that a thousand devices call at once answers each in its
turn; a device that gives up and begins anew only makes the others wait for longer."""
CALL_SECONDS = 15
"""The time limit of a result."""
KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 3, socket.TCP_KEEPCNT: 3}
"""An open connection that the other side does not know of any more is noticed after 8 s: seconds without data, seconds between questions,
and how many, of which `SILENT_SECONDS` leaves the first. Otherwise a long poll would wait for its whole time limit after the gateway's
node is gone, and hear no undo."""
POLL_SECONDS = 40
"""The time limit of a long poll. It is longer than the 25 seconds after which the gateway answers 304."""
STALLED_SECONDS = 20
"""A download that receives no bytes for this long fails with `GatewayUnavailable`. The next try continues where it stopped."""
CHUNK = 256 * 1024
TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
MAX_DIGITS = 9
LONGEST_RETRY_SECONDS = 6
"""The most of a `Retry-After` that is honoured; `backoff.retry_seconds` adds up to a quarter. A report that is refused is sent at most
5.5 s after the one before, so a device that waits as long stays below `OFFLINE_SECONDS`, whatever a proxy asks for. An undo is heard as
soon."""


class _Answer(ExtensibleDocument):
    """The answer to `GET /v1/assignment`: all assignments of this node, each to be read by itself."""

    etag: str
    assignments: tuple[dict[str, Any], ...] = ()


class Unreadable(NamedTuple):
    """An assignment that this release cannot read: its name, and why."""

    name: str
    fault: str


class Assignments(NamedTuple):
    """All assignments of this node.

    Attributes:
        etag: of the answer.
        assignments: those that can be read.
        unreadable: the others. An agent of an earlier release must still hear the undo of another model.
    """

    etag: str
    assignments: tuple[Assignment, ...]
    unreadable: tuple[Unreadable, ...]


class BlobStream(NamedTuple):
    """A download that is under way."""

    start: int
    """The position of the first byte of `chunks` in the blob. It is 0 where the server ignored the Range header."""
    chunks: AsyncIterator[bytes]


class GatewayClient:
    """A client of the gateway. Use it as a context manager.

    Every call raises `GatewayUnavailable` where a later try may succeed, and `GatewayRefused` where the gateway refuses the request.

    Args:
        url: of the gateway, with its scheme.
        token: the file of the projected token. It is read for each call, because the kubelet renews it.
        ca: the file of the CA certificates (PEM) that sign the gateway's certificate.
        context: of TLS, where many clients of one process share it.
    """

    def __init__(self, url: str, token: Path | None = None, ca: Path | None = None, context: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token or paths.gateway_token()
        self._ca = ca or paths.gateway_ca()
        self._session: aiohttp.ClientSession | None = None
        self._context = context or ssl.create_default_context()
        self._trusted = b""
        self._timed_out = set[str]()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=8, socket_factory=_socket)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    def _load_ca(self) -> None:
        """Trust the CA certificates that are in the file now. They change when Bramble is installed again while this process runs."""
        if self._ca.is_file() and (content := self._ca.read_bytes()) != self._trusted:
            try:
                self._context.load_verify_locations(cadata=content.decode())
            except ssl.SSLError as error:
                raise GatewayUnavailable(f"the gateway's CA file {self._ca} is not valid PEM: {error.reason}") from error
            self._trusted = content

    async def assignments(self, after: str | None) -> Assignments | None:
        """Read all assignments of this node. The gateway takes the node's name from the token.

        Args:
            after: the etag of an earlier answer. With it the call waits until the assignments change.

        Returns:
            The assignments; None when they did not change within the gateway's time limit (304).
        """
        query = {"after": after} if after is not None else {}
        async with self._call("GET", ASSIGNMENT, POLL_SECONDS, params=query) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return None
            body = await response.read()
        try:
            answer = _Answer.model_validate_json(body)
        except ValidationError as error:
            raise GatewayRefused(f"this agent cannot read the gateway's assignments; update the agent's image: {error}") from error
        found, unreadable = list[Assignment](), list[Unreadable]()
        for each in answer.assignments:
            try:
                found.append(Assignment.model_validate(each))
            except ValidationError as error:
                unreadable.append(_unreadable(each, error))
        return Assignments(answer.etag, tuple(found), tuple(unreadable))

    async def report(self, report: Report) -> None:
        """Send a report of this device."""
        body = report.model_dump_json(by_alias=True, exclude_none=True).encode()
        seconds = (ANSWER_SECONDS + len(body) / SLOWEST_BYTES_A_SECOND) * self._patience(STATUS)
        async with self._call("POST", STATUS, seconds, data=body):
            pass

    async def file_result(self, key: str, result: Mapping[str, Any]) -> None:
        """File a job's result or cause, at most 64 KiB, under its key."""
        async with self._call("POST", "/v1/results", CALL_SECONDS, json={"key": key, "result": result}):
            pass

    async def blob(self, digest: str) -> bytes:
        """Download a blob into memory and verify it. Use it for documents and pictures, not for graphs.

        Raises:
            WrongBlob: the bytes do not have this digest.
        """
        async with self.open_blob(digest, 0) as stream:
            content = b"".join([chunk async for chunk in stream.chunks])
        if digest_of(content) != digest:
            raise WrongBlob(f"the gateway sent {len(content)} bytes for {digest}, and their digest is {digest_of(content)}")
        return content

    @asynccontextmanager
    async def open_blob(self, digest: str, start: int) -> AsyncIterator[BlobStream]:
        """Download a blob from byte `start` on. The bytes are not verified. Redirects to the store are followed without the token."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        path = f"/v1/blobs/{digest.removeprefix('sha256:')}"
        async with self._call("GET", path, None, headers=headers, stalled=STALLED_SECONDS) as response:
            begins = start if response.status == HTTPStatus.PARTIAL_CONTENT else 0
            yield BlobStream(begins, response.content.iter_chunked(CHUNK))

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        path: str,
        seconds: float | None,
        headers: Mapping[str, str] | None = None,
        stalled: float | None = None,
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a call.

        Args:
            seconds: its time limit.
            stalled: its time limit without a byte of the answer.
        """
        if self._session is None:
            raise RuntimeError("use GatewayClient as a context manager: async with GatewayClient(…) as client")
        self._load_ca()
        sent = {"Content-Type": "application/json", **(headers or {}), "Authorization": f"Bearer {self._read_token()}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS * self._patience(path), sock_read=stalled)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(method, f"{self.url}{path}", headers=sent, timeout=timeout, **options) as response,
            ):
                self._timed_out.discard(path)
                await _raise_for_status(response, path)
                yield response
        except TimeoutError as error:
            if path in (STATUS, ASSIGNMENT):
                self._timed_out.add(path)
            raise GatewayUnavailable(f"the gateway at {self.url} did not answer {path} in time") from error
        except aiohttp.ClientError as error:
            raise GatewayUnavailable(f"the gateway at {self.url} did not answer {path}: {type(error).__name__}: {error}") from error

    def _patience(self, path: str) -> int:
        """How much longer than usual a call may take."""
        return PATIENCE if path in self._timed_out else 1

    def _read_token(self) -> str:
        try:
            return self._token.read_text().strip()
        except OSError as error:
            raise GatewayUnavailable(f"the token for the gateway cannot be read: {self._token}: {error.strerror}") from error


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that notices when the other side is gone without a word."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in {**KEEPALIVE, socket.TCP_USER_TIMEOUT: round(1000 * SILENT_SECONDS)}.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _unreadable(document: Mapping[str, Any], error: ValidationError) -> Unreadable:
    """Name an assignment that cannot be read.

    Raises:
        GatewayRefused: it does not say whose it is, so that no model can be told from one that was withdrawn.
    """
    whose = [document.get(field) for field in ("fleet", "namespace", "model")]
    fault = f"this agent cannot read the assignment; update the agent's image: {problems_of(error)}"
    if not all(isinstance(each, str) for each in whose):
        raise GatewayRefused(fault) from error
    return Unreadable(assignment_name(*map(str, whose)), fault)


async def _raise_for_status(response: aiohttp.ClientResponse, path: str) -> None:
    """Return if the status is not an error.

    Raises:
        GatewayUnavailable: the status is a server error or one of `TRANSIENT`.
        GatewayRefused: the status is any other error.
    """
    if response.status < HTTPStatus.BAD_REQUEST:
        return
    body = (await response.content.read(300)).decode(errors="replace")
    message = f"the gateway answered {response.status} to {path}: {body}"
    if response.status in TRANSIENT or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise GatewayUnavailable(message, _retry_seconds(response.headers.get("Retry-After", "")))
    raise GatewayRefused(message)


def _retry_seconds(text: str) -> float:
    """The whole seconds of a `Retry-After`, as the gateway writes it; 0 for anything else, such as a date."""
    return min(LONGEST_RETRY_SECONDS, int(text)) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
