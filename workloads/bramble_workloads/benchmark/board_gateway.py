"""How a benchmark pod reads blobs and files its result: through the gateway only."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bramble.contracts.assignment import Blob
from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.contracts.store import cause_key, result_key
from bramble_workloads.device.blobs import Blobs
from bramble_workloads.device.errors import WrongBlob
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.errors import SpecError, TryAgain
from bramble_workloads.job import Work

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long the gateway may be away before the job fails with `TryAgain`, so that the operator starts another one."""
FIRST_DELAY = 0.5
LAST_DELAY = 10.0


def with_patience(call: Callable[[], T]) -> T:
    """Repeat a call, with growing delays, until it succeeds.

    Raises:
        TryAgain: it did not succeed for two minutes.
    """
    began, delay = time.monotonic(), FIRST_DELAY
    while True:
        try:
            return call()
        except (TryAgain, WrongBlob) as error:
            if time.monotonic() - began + delay > PATIENCE_SECONDS:
                raise TryAgain(f"after {PATIENCE_SECONDS:.0f} s: {error}") from error
        time.sleep(delay)
        delay = min(LAST_DELAY, 2 * delay)


class BoardGateway:
    """Blocking calls for a job's threads. They run on one asynchronous client in a thread of its own. Use as a context manager."""

    def __init__(self, url: str, folder: Path) -> None:
        self._client = GatewayClient(url)
        self._blobs = Blobs(folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._client.__aenter__)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._await(lambda: self._client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def get_blob(self, digest: str) -> bytes:
        """Read a verified blob into memory.

        Raises:
            TryAgain: the gateway did not answer for two minutes, or sent wrong bytes each time.
            SpecError: the gateway refuses this pod the blob.
        """
        return with_patience(lambda: self._await(lambda: self._client.blob(digest)))

    def keep(self, digest: str, size: int | None) -> Path:
        """Download a blob to a file of the folder. Where its size is known, an interrupted download continues where it stopped.

        Raises:
            TryAgain, SpecError: as `get_blob`.
        """
        path = self._blobs.path(digest)
        if self._blobs.has(digest):
            return path
        if size is None:
            path.write_bytes(self.get_blob(digest))
        else:
            blob = Blob(sha256=digest, bytes=size)
            with_patience(lambda: self._await(lambda: self._blobs.fetch(blob, self._client)))
        return path

    def _await(self, call: Callable[[], Awaitable[T]]) -> T:
        async def awaited() -> T:
            return await call()

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()


class GatewayFiling:
    """Files the result or the cause through the gateway. The gateway takes nothing else, so the log stays in the container."""

    def __init__(self, work: Work[BenchmarkJob]) -> None:
        self._work = work

    def file(self, key: str, content: bytes) -> None:
        """File one document; the log is ignored.

        Raises:
            TryAgain: the gateway did not answer for two minutes.
            SpecError: the gateway refuses the document, or the job names no gateway.
        """
        prefix, gateway = self._work.job.prefix, self._work.gateway
        if key not in {result_key(prefix), cause_key(prefix, 0)}:
            return
        if gateway is None:
            raise SpecError("the job names no gateway, and a device can file its result only through one")
        document: dict[str, Any] = json.loads(content)
        with_patience(lambda: gateway.file_result(key, document))
