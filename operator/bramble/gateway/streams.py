"""The places for blobs that are sent at the same time, shared fairly between the namespaces whose stores they come from.

A tenant's store may send a byte now and then, and a caller may read one now and then. Either would keep its place. So a namespace that has
fewer places than another takes one of the other's, from the stream that has been still for longest. Who loses its place loses nothing: the
caller continues with a Range.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from bramble.gateway.identity import Caller
from bramble.gateway.refusals import Busy

STREAMS = 64
"""Blobs sent at the same time. Each takes 256 KiB of memory, all of them 16 MiB."""

NAMESPACE_STREAMS = 16
"""Blobs sent at the same time from one namespace's store."""

CALLER_STREAMS = 4
"""Blobs sent at the same time to one device or job, so that one that reads nothing leaves room for the others of its namespace."""

WAIT_SECONDS = 20.0
"""How long a call waits for a place before it is answered with 503."""


@dataclass(eq=False, slots=True)
class Stream:
    """A blob that is being sent, or waits for its place.

    Attributes:
        namespace: whose store it comes from.
        place: done when the stream has its place.
        moved_at: when a byte of it was last passed on.
        bound: ends the stream when its place is taken; None before it begins.
        leaves: its place was taken.
    """

    namespace: str
    place: asyncio.Future[None]
    moved_at: float
    bound: asyncio.Timeout | None = None
    leaves: bool = False

    def end(self) -> None:
        """Take the place of a stream that has begun."""
        if self.bound is not None:
            self.leaves = True
            self.bound.reschedule(asyncio.get_running_loop().time())


class Streams:
    """Gives out the places."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sending: list[Stream] = []
        self._waiting: list[Stream] = []
        # An entry of the following lives while a call holds it or waits for it.
        self._of_namespace: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._of_caller: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()

    @property
    def taken(self) -> int:
        """How many places are in use."""
        return len(self._sending)

    @asynccontextmanager
    async def place(self, namespace: str, caller: Caller) -> AsyncIterator[Stream]:
        """Wait for a place, and keep it while the body runs.

        Raises:
            Busy: no place became free in time.
            TimeoutError: another namespace needed the place, and the body was ended.
        """
        of_namespace = self._of_namespace.setdefault(namespace, asyncio.Semaphore(NAMESPACE_STREAMS))
        of_caller = self._of_caller.setdefault((caller.node or "", caller.pod_uid or ""), asyncio.Semaphore(CALLER_STREAMS))
        loop = asyncio.get_running_loop()
        stream = Stream(namespace, loop.create_future(), self._clock())
        deadline = loop.time() + WAIT_SECONDS
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout_at(deadline):
                    await held.enter_async_context(of_caller)
                    await held.enter_async_context(of_namespace)
                    held.callback(self._leave, stream)
                    self._ask(stream)
                    await stream.place
            except TimeoutError:
                limit = f"{STREAMS} in all, {NAMESPACE_STREAMS} from namespace {namespace}, {CALLER_STREAMS} to one caller"
                raise Busy(f"too many blobs are being sent already (the limit is {limit}); try again") from None
            async with asyncio.timeout(None) as stream.bound:
                self._begun()
                yield stream

    def moved(self, stream: Stream) -> None:
        """Record that a byte of a stream was passed on."""
        stream.moved_at = self._clock()

    def _ask(self, stream: Stream) -> None:
        self._waiting.append(stream)
        self._give_out()
        if stream in self._waiting:
            self._take_from_largest(stream.namespace)

    def _begun(self) -> None:
        """A stream has begun, and can be ended from now on. Whoever came before that found no place to take, and still waits."""
        leaving = sum(stream.leaves for stream in self._sending)
        for stream in self._waiting[leaving:]:
            self._take_from_largest(stream.namespace)

    def _leave(self, stream: Stream) -> None:
        """The stream has ended, or was given up before it began."""
        (self._waiting if stream in self._waiting else self._sending).remove(stream)
        self._give_out()

    def _give_out(self) -> None:
        """Give free places to the streams that wait, first to the namespace that has the fewest."""
        while self._waiting and len(self._sending) < STREAMS:
            held = self._held()
            chosen = min(self._waiting, key=lambda each: held[each.namespace])  # of equal ones the first
            self._waiting.remove(chosen)
            self._sending.append(chosen)
            if not chosen.place.done():  # its call has ended otherwise, and leaves at once
                chosen.place.set_result(None)

    def _take_from_largest(self, namespace: str) -> None:
        """End a stream of the namespace with most places, if it has more than this one will have. Places were already taken for those of
        its streams that wait.
        """
        held = self._held()
        will_have = held[namespace] + sum(stream.namespace == namespace for stream in self._waiting)
        staying = [stream for stream in self._sending if not stream.leaves and stream.bound is not None]
        most = max((held[stream.namespace] for stream in staying), default=0)
        if most <= will_have:
            return
        stillest = min((stream for stream in staying if held[stream.namespace] == most), key=lambda stream: stream.moved_at)
        stillest.end()

    def _held(self) -> Counter[str]:
        """The places that each namespace keeps."""
        return Counter(stream.namespace for stream in self._sending if not stream.leaves)
