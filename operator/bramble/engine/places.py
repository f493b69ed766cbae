"""How many passes work at the same time. One that waits for a namespace's store gives its place to another meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any


class Place:
    """The place of one pass. It is held while the pass works, and not while it waits for a store.

    Attributes:
        held: whether the pass has its place now. One that was ended while it waited to come back has none.
    """

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self.held = True
        self._ended = False
        self._away = 0
        self._coming_back = asyncio.Lock()
        self._at_end = ExitStack()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Give the place to others while the body runs, and wait for one again. Of several bodies at once, the last one waits."""
        self._away += 1
        self._give_back()
        try:
            yield
        finally:
            self._away -= 1
            if not self._away:
                await self._come_back()

    def at_end(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call this when the pass has ended. A call to a store may outlast it, if another at the same time failed."""
        self._at_end.callback(call, *arguments)
        if self._ended:
            self._at_end.close()

    def end(self) -> None:
        """Let another pass work: this one has ended."""
        self._ended = True
        self._give_back()
        self._at_end.close()

    def _give_back(self) -> None:
        if self.held:
            self.held = False
            self._free.release()

    async def _come_back(self) -> None:
        async with self._coming_back:  # one at a time: the first comes back for all
            if self._is_without():
                await self._free.acquire()
                self.held = True
                if self._ended:  # meanwhile
                    self._give_back()

    def _is_without(self) -> bool:
        return not self._ended and not self.held


PRESENT: ContextVar[Place | None] = ContextVar("PRESENT", default=None)
"""The place of the pass that runs; None outside of passes."""


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

    async def take(self) -> Place:
        """Wait for a place and take it. The caller must end it."""
        await self._free.acquire()
        return Place(self._free)
