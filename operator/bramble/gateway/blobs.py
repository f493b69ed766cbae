"""`GET /v1/blobs/<sha256>`: a blob of the namespace's store, for those who may have it, in the parts they ask for."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
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
"""Blobs sent at a time: at 256 KiB each in memory, 16 MiB in all."""
NAMESPACE_STREAMS = 16
"""Of one namespace's store, so that one that is slow leaves room for all other fleets."""
WAIT_SECONDS = 20.0
"""How long a call waits for one of them; then it is told to come back."""
WRITE_SECONDS = 60.0
"""A device that takes no byte for so long is hung up on; it goes on where it was with a Range."""

HEX = re.compile(r"[0-9a-f]{64}")
RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
PASSED_ON = ("Content-Length", "Content-Range")


class Blobs:
    """Streams blobs from the stores."""

    def __init__(self, settings: Settings, assignments: Assignments, jobs: Jobs, stores: Stores, metrics: Metrics) -> None:
        self._settings = settings
        self._assignments = assignments
        self._jobs = jobs
        self._stores = stores
        self._closures = Closures()
        self._metrics = metrics
        self._streams = asyncio.Semaphore(STREAMS)
        self._of_namespace: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # kept by those who hold or await one

    async def get(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The whole blob, or the one range asked for.

        Raises:
            Invalid: no digest, or a Range that is not one range of bytes.
            Forbidden: no assignment of this node, and no job of this pod, names the blob.
            Missing: it may be read, and the store does not have it.
            Busy: too many are being read already.
        """
        hexadecimal = request.match_info["sha256"]
        if not HEX.fullmatch(hexadecimal):
            raise Invalid("a blob is named by the 64 lower-case hex digits of its sha256")
        byte_range = request.headers.get("Range")
        if byte_range is not None and not RANGE.fullmatch(byte_range):
            raise Invalid(f"Range {byte_range!r} is not one range of bytes, such as bytes=1048576-")
        digest = f"sha256:{hexadecimal}"
        namespace, store = await self._store_for(caller, digest)
        async with self._stream(namespace), store.open(blob_key(digest), byte_range) as source:
            if source.status == NOT_FOUND:
                raise Missing(f"{digest} is not in the store of its namespace")
            return await self._pass_on(request, source, digest)

    async def _store_for(self, caller: Caller, digest: str) -> tuple[str, Store]:
        """The namespace whose store to read the blob from, and that store, where this caller may."""
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
    async def _stream(self, namespace: str) -> AsyncIterator[None]:
        of_namespace = self._of_namespace.setdefault(namespace, asyncio.Semaphore(NAMESPACE_STREAMS))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await held.enter_async_context(of_namespace)
                    await held.enter_async_context(self._streams)
            except TimeoutError:
                most = f"{STREAMS} in all, {NAMESPACE_STREAMS} of namespace {namespace}"
                raise Busy(f"as many blobs as may be are being read already ({most}); try again") from None
            yield

    async def _pass_on(self, request: web.Request, source: aiohttp.ClientResponse, digest: str) -> web.StreamResponse:
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
                log.info("%s: the caller hung up", digest)
                return answer
            self._metrics.blob_bytes.inc(len(chunk))
        await answer.write_eof()
        return answer


async def _written(answer: web.StreamResponse, chunk: bytes) -> bool:
    """Send a chunk; False where nobody takes it. Errors of the store must not be mistaken for this, so it is told here."""
    try:
        await asyncio.wait_for(answer.write(chunk), WRITE_SECONDS)
    except (ConnectionError, TimeoutError):
        return False
    return True
