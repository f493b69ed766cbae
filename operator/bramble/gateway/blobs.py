"""`GET /v1/blobs/<sha256>`: sends a blob, or a range of it, from the namespace's store to callers that may read it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp
from aiohttp import web

from bramble.contracts.store import blob_key
from bramble.errors import BrambleError
from bramble.gateway.assignments import Assignments
from bramble.gateway.closures import Closures
from bramble.gateway.identity import Caller, require_agent
from bramble.gateway.jobs import Jobs
from bramble.gateway.metrics import Metrics
from bramble.gateway.refusals import Busy, Forbidden, Invalid, Missing
from bramble.gateway.stores import Stores
from bramble.gateway.streams import Stream, Streams
from bramble.kube.store import UNSATISFIABLE, Store
from bramble.settings import Settings

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
CHUNK_SECONDS = 30.0
"""How long a store may take for a chunk, counted while nothing but the store is waited for: 8 KiB a second. A store that only sends a byte
now and then would otherwise keep a stream for ever."""

TAKEN = "the fleets of another namespace need the place of this blob; continue with a Range"

WRITE_SECONDS = 60.0
"""A connection that accepts no byte for this long is closed. The device continues later with a Range."""

HEX = re.compile(r"[0-9a-f]{64}")
RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
PASSED_ON = ("Content-Length", "Content-Range")


class BlobRequest(NamedTuple):
    """The blob that a request asks for, and its byte range; None for the whole blob."""

    digest: str
    byte_range: str | None

    @classmethod
    def of(cls, request: web.Request) -> BlobRequest:
        """Parse the path and the Range header.

        Raises:
            Invalid: the path has no digest, or the header is not a single range of bytes.
        """
        hexadecimal, byte_range = request.match_info["sha256"], request.headers.get("Range")
        if not HEX.fullmatch(hexadecimal):
            raise Invalid("a blob is named by the 64 lower-case hex digits of its sha256")
        if byte_range is not None and not RANGE.fullmatch(byte_range):
            raise Invalid(f"Range {byte_range!r} is not a single range of bytes, such as bytes=1048576-")
        return cls(f"sha256:{hexadecimal}", byte_range)


class Blobs:
    """Streams blobs from the stores to the callers."""

    def __init__(self, settings: Settings, assignments: Assignments, jobs: Jobs, stores: Stores, metrics: Metrics) -> None:
        self._settings = settings
        self._assignments = assignments
        self._jobs = jobs
        self._stores = stores
        self._closures = Closures()
        self._metrics = metrics
        self.streams = Streams()

    async def get(self, wanted: BlobRequest, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Answer `request` with the whole blob, or with the wanted range.

        Raises:
            Forbidden: no assignment of this node, and no job of this pod, names the blob.
            Missing: the caller may read the blob, but the store does not have it.
            Busy: too many blobs are being sent already.
        """
        namespace, store = await self._store_for(caller, wanted.digest)
        answer = web.StreamResponse()
        try:
            async with self.streams.place(namespace, caller) as stream, store.open(blob_key(wanted.digest), wanted.byte_range) as source:
                if source is None:
                    raise Missing(f"{wanted.digest} is not in the store of its namespace")
                await self._pass_on(request, answer, _chunks(source, store, wanted.digest), source, stream)
        except (TimeoutError, BrambleError) as error:
            if answer.prepared:
                log.warning("only a part of %s was sent: %s", wanted.digest, str(error) or TAKEN)
                break_off(request)
            elif isinstance(error, TimeoutError):
                raise Busy(TAKEN) from None
            else:
                raise
        return answer

    async def _store_for(self, caller: Caller, digest: str) -> tuple[str, Store]:
        """The namespace whose store has the blob, and that store.

        Raises:
            Forbidden: the caller may not read the blob.
        """
        if (caller.namespace, caller.service_account) == (self._settings.edge_namespace, self._settings.agent_service_account):
            node = require_agent(caller, self._settings)
            grant = self._assignments.grants(node, digest)
            if grant is None:
                raise Forbidden(f"no assignment of node {node} names {digest}")
            return grant.namespace, await self._stores.of(grant.namespace)
        job = await self._jobs.of(caller)
        store = await self._stores.of(job.ref.namespace)
        if not await self._closures.allows(job.job, store, digest):
            raise Forbidden(f"step {job.step} of {job.ref.kind} {job.ref.name} does not name {digest}")
        return job.ref.namespace, store

    async def _pass_on(
        self,
        request: web.Request,
        answer: web.StreamResponse,
        chunks: AsyncIterator[bytes],
        source: aiohttp.ClientResponse,
        stream: Stream,
    ) -> None:
        """Send the store's answer to the caller, chunk by chunk."""
        answer.set_status(source.status)
        answer.content_type = "application/octet-stream"
        answer.headers["Accept-Ranges"] = "bytes"
        answer.headers["ETag"] = f'"sha256:{request.match_info["sha256"]}"'
        for name in PASSED_ON:
            if name in source.headers:
                answer.headers[name] = source.headers[name]
        if source.status == UNSATISFIABLE:
            answer.headers["Content-Length"] = "0"
            await answer.prepare(request)
            return
        await answer.prepare(request)
        async for chunk in chunks:
            if not await _written(answer, chunk):
                log.info("the caller closed the connection while %s was being sent", request.path)
                return
            self.streams.moved(stream)
            self._metrics.blob_bytes.inc(len(chunk))
        await answer.write_eof()


async def _chunks(source: aiohttp.ClientResponse, store: Store, digest: str) -> AsyncIterator[bytes]:
    """The body of the store's answer, in pieces of at most `CHUNK` bytes.

    Raises:
        StoreUnavailable: the store is too slow.
    """
    now = asyncio.get_running_loop().time
    left, waited = CHUNK, 0.0
    while True:
        began = now()
        try:
            async with asyncio.timeout(CHUNK_SECONDS - waited):
                chunk = await source.content.read(CHUNK)
        except TimeoutError as error:
            late = TimeoutError(f"it has sent only {CHUNK - left} bytes within {CHUNK_SECONDS:g} s")
            raise store.client.silence(blob_key(digest), late) from error
        if not chunk:
            return
        waited, left = waited + now() - began, left - len(chunk)
        if left <= 0:
            left, waited = CHUNK, 0.0
        yield chunk


async def _written(answer: web.StreamResponse, chunk: bytes) -> bool:
    """Send a chunk. Returns False if the caller has closed the connection. It is caught here, because errors of the store look the same."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await answer.write(chunk)
    except (ConnectionError, TimeoutError):
        return False
    return True


def break_off(request: web.Request) -> None:
    """Close the connection in the middle of an answer, so that the caller sees that bytes are missing.

    An error document at this place would be taken for them.
    """
    if request.transport is not None:
        request.transport.abort()
