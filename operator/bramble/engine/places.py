"""How many passes work at the same time. One that waits for a namespace's store gives its place to another meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """The places of the passes that work.

    A tenant chooses the store, and it may answer late or never. If the passes that wait for such stores kept their places, the objects of
    all other namespaces would wait as well.

    Args:
        count: how many passes may work at the same time.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = asyncio.Semaphore(count)

    async def take(self) -> None:
        """Wait for a place and take it. The caller must call `give_back`."""
        await self._free.acquire()

    def give_back(self) -> None:
        """Let another pass work."""
        self._free.release()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Give the caller's place back while the body runs, and wait for one again."""
        self.give_back()
        try:
            yield
        finally:
            await self.take()
