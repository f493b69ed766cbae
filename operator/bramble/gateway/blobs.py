"""`GET /v1/blobs/<sha256>`: sends a blob, or a range of it, from the namespace's store to callers that may read it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple
from weakref import WeakValueDictionary

import aiohttp
from aiohttp import web

from bramble.contracts.store import blob_key
from bramble.gateway.assignments import Assignments
from bramble.gateway.closures import Closures
from bramble.gateway.identity import Caller, require_agent
from bramble.gateway.jobs import Jobs
from bramble.gateway.metrics import Metrics
from bramble.gateway.refusals import Busy, Forbidden, Invalid, Missing
from bramble.gateway.stores import NOT_FOUND, UNSATISFIABLE, Store, Stores
from bramble.settings import Settings

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
STREAMS = 64
"""Blobs sent at the same time. Each takes 256 KiB of memory, all of them 16 MiB."""

NAMESPACE_STREAMS = 16
"""Blobs sent at the same time from one namespace's store, so that a slow store leaves room for all other fleets."""

CALLER_STREAMS = 4
"""Blobs sent at the same time to one device or job, so that one that reads nothing leaves room for the others of its namespace."""

WAIT_SECONDS = 20.0
"""How long a call waits for its turn before it is answered with 503."""

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
        self._streams = asyncio.Semaphore(STREAMS)
        # An entry of the following lives while a call holds it or waits for it.
        self._of_namespace: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._of_caller: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()

    async def get(self, wanted: BlobRequest, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Answer `request` with the whole blob, or with the wanted range.

        Raises:
            Forbidden: no assignment of this node, and no job of this pod, names the blob.
            Missing: the caller may read the blob, but the store does not have it.
            Busy: too many blobs are being sent already.
        """
        namespace, store = await self._store_for(caller, wanted.digest)
        async with self._turn(namespace, caller), store.open(blob_key(wanted.digest), wanted.byte_range) as source:
            if source.status == NOT_FOUND:
                raise Missing(f"{wanted.digest} is not in the store of its namespace")
            return await self._pass_on(request, source, wanted.digest)

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

    @asynccontextmanager
    async def _turn(self, namespace: str, caller: Caller) -> AsyncIterator[None]:
        """Wait until another blob may be sent, and count it while the body runs."""
        of_namespace = self._of_namespace.setdefault(namespace, asyncio.Semaphore(NAMESPACE_STREAMS))
        of_caller = self._of_caller.setdefault((caller.node or "", caller.pod_uid or ""), asyncio.Semaphore(CALLER_STREAMS))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await held.enter_async_context(of_caller)
                    await held.enter_async_context(of_namespace)
                    await held.enter_async_context(self._streams)
            except TimeoutError:
                limit = f"{STREAMS} in all, {NAMESPACE_STREAMS} from namespace {namespace}, {CALLER_STREAMS} to one caller"
                raise Busy(f"too many blobs are being sent already (the limit is {limit}); try again") from None
            yield

    async def _pass_on(self, request: web.Request, source: aiohttp.ClientResponse, digest: str) -> web.StreamResponse:
        """Send the store's answer to the caller, chunk by chunk."""
        answer = web.StreamResponse(status=source.status)
        answer.content_type = "application/octet-stream"
        answer.headers["Accept-Ranges"] = "bytes"
        answer.headers["ETag"] = f'"{digest}"'
        for name in PASSED_ON:
            if name in source.headers:
                answer.headers[name] = source.headers[name]
        if source.status == UNSATISFIABLE:
            answer.headers["Content-Length"] = "0"
            await answer.prepare(request)
            return answer
        await answer.prepare(request)
        async for chunk in source.content.iter_chunked(CHUNK):
            if not await _written(answer, chunk):
                log.info("the caller closed the connection while %s was being sent", digest)
                return answer
            self._metrics.blob_bytes.inc(len(chunk))
        await answer.write_eof()
        return answer


async def _written(answer: web.StreamResponse, chunk: bytes) -> bool:
    """Send a chunk. Returns False if the caller has closed the connection. It is caught here, because errors of the store look the same."""
    try:
        await asyncio.wait_for(answer.write(chunk), WRITE_SECONDS)
    except (ConnectionError, TimeoutError):
        return False
    return True
