"""How many bytes the documents of all namespaces' stores take together, from their first byte until the pass that reads them has ended.

A tenant chooses the store, and it may send all but the last byte of a large document. Without a bound over all namespaces, each of them
would hold such documents.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bramble.engine.places import Place
from bramble.errors import StoreUnavailable

MOST_BYTES = 48 * 1024 * 1024
"""Six of the largest documents. With 1,000 objects of each kind the operator takes 162 MiB without them (docs/performance.md)."""


class Reading:
    """A document that is being read, or was read by a pass that has not ended.

    Attributes:
        namespace: whose store it comes from.
        place: of the pass that reads it.
        bytes: how many have arrived.
        bound: ends it to make room for others; None once all of it has arrived.
    """

    def __init__(self, memory: DocumentMemory, namespace: str, place: Place | None, bound: asyncio.Timeout) -> None:
        self._memory = memory
        self.namespace, self.place = namespace, place
        self.bytes = 0
        self.bound: asyncio.Timeout | None = bound

    def arrived(self, more: int) -> None:
        """Count bytes that have arrived.

        Raises:
            StoreUnavailable: this is the document that is given up to make room.
        """
        self.bytes += more
        self._memory.make_room(self)


class DocumentMemory:
    """Counts the documents, and gives up those of a pass when they take too much.

    Args:
        most: how many bytes they may take together.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._held: list[Reading] = []

    @property
    def bytes(self) -> int:
        """How many bytes all documents take."""
        return sum(each.bytes for each in self._held)

    @asynccontextmanager
    async def reading(self, namespace: str, place: Place | None) -> AsyncIterator[Reading]:
        """Count the document that the body reads.

        Args:
            place: of the pass that reads it. It stays counted until that ends; without a pass, until the body ends.

        Raises:
            StoreUnavailable: the document was given up to make room.
        """
        bound = asyncio.timeout(None)
        reading = Reading(self, namespace, place, bound)
        self._held.append(reading)
        kept = False
        try:
            async with bound:
                yield reading
            kept = place is not None and reading in self._held
        except TimeoutError:
            if reading in self._held:
                raise
        finally:
            reading.bound = None
            given_up = reading not in self._held
            if not kept:
                self._drop(reading)
        if given_up:
            raise self._given_up(namespace)
        if place is not None:
            place.at_end(self._drop, reading)

    def make_room(self, asking: Reading) -> None:
        """Give up passes until the documents of the others fit: the pass with the oldest document that is being read, of the namespaces
        with at least half as many bytes as the one with the most. A store that sends quickly thus wins over stores that keep what they have
        sent almost to the end.

        All documents of the pass go, since it fails without the one. Those that hold nothing yet make no room and are not looked at.

        Raises:
            StoreUnavailable: it is the pass of the one that asks.
        """
        while self.bytes > self._most and asking in self._held:
            of_namespace, of_pass = Counter[str](), Counter[Place | Reading]()
            for each in self._held:
                of_namespace[each.namespace] += each.bytes
                of_pass[each.place or each] += each.bytes
            read = [each for each in self._held if each.bound is not None and of_pass[each.place or each]]
            most = max(of_namespace[each.namespace] for each in read)
            chosen = next(each for each in read if 2 * of_namespace[each.namespace] >= most)
            for each in [each for each in self._held if each is chosen or (each.place is not None and each.place is chosen.place)]:
                self._drop(each)
                if each is not asking and each.bound is not None:
                    each.bound.reschedule(asyncio.get_running_loop().time())
        if asking not in self._held:
            raise self._given_up(asking.namespace)

    def _drop(self, reading: Reading) -> None:
        if reading in self._held:
            self._held.remove(reading)

    def _given_up(self, namespace: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"the documents that are being read from all stores have more than {self._most} bytes, and this one of namespace {namespace} "
            f"was read for longest: its store may send it slowly. Bramble tries again"
        )
