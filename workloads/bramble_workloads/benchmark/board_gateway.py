"""Blobs and filing of a benchmark pod, through the gateway alone."""

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
"""How long the gateway may be away before the job leaves the trouble to the operator."""
FIRST_DELAY = 0.5
LAST_DELAY = 10.0


class BoardGateway:
    """Blocking calls for the threads of a job, over one asynchronous client in a thread of its own. Use as a context manager."""

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
        """A blob in memory, verified.

        Raises:
            TryAgain: the gateway did not answer for two minutes, or gave other bytes each time.
            SpecError: it refuses this pod the blob.
        """
        return self._patiently(lambda: self._client.blob(digest))

    def keep(self, digest: str, size: int | None) -> Path:
        """A blob as a file of the folder, downloaded where it stopped where its size is known.

        Raises: as `get_blob`.
        """
        path = self._blobs.path(digest)
        if self._blobs.has(digest):
            return path
        if size is None:
            path.write_bytes(self.get_blob(digest))
        else:
            self._patiently(lambda: self._blobs.fetch(Blob(sha256=digest, bytes=size), self._client))
        return path

    def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        began, delay = time.monotonic(), FIRST_DELAY
        while True:
            try:
                return self._await(call)
            except (TryAgain, WrongBlob) as error:
                if time.monotonic() - began + delay > PATIENCE_SECONDS:
                    raise TryAgain(f"after {PATIENCE_SECONDS:.0f} s: {error}") from error
            time.sleep(delay)
            delay = min(LAST_DELAY, 2 * delay)

    def _await(self, call: Callable[[], Awaitable[T]]) -> T:
        async def awaited() -> T:
            return await call()

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()


class GatewayFiling:
    """Files a result or a cause through the gateway, which files nothing else: the log stays in the container's."""

    def __init__(self, work: Work[BenchmarkJob]) -> None:
        self._work = work

    def file(self, key: str, content: bytes) -> None:
        """Raises TryAgain: the gateway did not answer for two minutes. SpecError: it refuses, or the job names none."""
        prefix = self._work.job.prefix
        if key not in {result_key(prefix), cause_key(prefix, 0)}:
            return
        if self._work.gateway is None:
            raise SpecError("the job names no gateway: a board has no other way to file its result")
        document: dict[str, Any] = json.loads(content)
        began, delay = time.monotonic(), FIRST_DELAY
        while True:
            try:
                self._work.gateway.file_result(key, document)
            except TryAgain:
                if time.monotonic() - began + delay > PATIENCE_SECONDS:
                    raise
            else:
                return
            time.sleep(delay)
            delay = min(LAST_DELAY, 2 * delay)
