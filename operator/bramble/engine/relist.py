"""The full list, at the start, when an end may have been missed, and each ten minutes, compared with the cache.

A watch that is begun anew lists what is there and says nothing of what has gone meanwhile; and a watch can die
without a word. Whatever a list finds that no watch delivered is counted as missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from bramble.engine.cache import version_of
from bramble.engine.clock import boottime
from bramble.engine.feed import Feed, selector
from bramble.engine.metrics import Metrics
from bramble.errors import ApiUnavailable
from bramble.kube.api import Api
from bramble.kube.resources import Manifest, Resource

FIRST_DELAY = 1.0
DOUBT_SECONDS = 2.0
"""From a doubt to the list: watches begin together, at the start and after an outage."""

log = logging.getLogger(__name__)


class Deliveries:
    """What the watches have delivered: by kind the highest resourceVersion, and when the last of all came.

    Events of one kind come in the order of their resourceVersions, so a watch that has passed a version has told it.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._reached: dict[str, int] = defaultdict(int)
        self.last = clock()

    def heard(self, manifest: Manifest) -> None:
        """A watch delivered this state, or the end, of an object."""
        self._reached[manifest["kind"]] = max(self._reached[manifest["kind"]], version_of(manifest))
        self.last = self._clock()

    def reached(self, kind: str) -> int:
        """How far the watch of this kind has come; 0 when it has told nothing."""
        return self._reached[kind]


class Relist:
    """Compares the cache with what the API server lists.

    A list is always a little ahead of a watch, so what it finds first proves nothing. A watch is behind when, by the next
    list, it has still not told what the last one found.

    Attributes:
        filled: whether every kind has been listed once.
        last: when all kinds were last compared, in seconds of our clock.
        behind: by kind, how many lists in a row found its watch behind.
    """

    def __init__(
        self,
        api: Api,
        feed: Feed,
        metrics: Metrics,
        resources: Iterable[Resource],
        deliveries: Deliveries,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._api, self._feed, self._metrics, self._resources, self._clock = api, feed, metrics, tuple(resources), clock
        self._deliveries = deliveries
        self._found: dict[str, int] = defaultdict(int)
        self._doubt = asyncio.Event()
        self.filled = False
        self.last = clock()
        self.behind: dict[str, int] = defaultdict(int)

    async def fill(self) -> None:
        """List everything, trying again until it has gone through once."""
        while True:
            try:
                await self.compare()
            except ApiUnavailable as error:
                log.warning("the API server cannot be listed yet: %s", error)
                await asyncio.sleep(FIRST_DELAY)
            else:
                return

    def soon(self) -> None:
        """Something may have ended that no watch will tell of: a watch has begun only now, or a write met nothing."""
        self._doubt.set()

    async def run(self, seconds: float) -> None:
        """Compare each so many seconds and whenever there is a doubt, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._doubt.wait()
                await asyncio.sleep(DOUBT_SECONDS)
                self._doubt.clear()
            try:
                await self.compare()
            except ApiUnavailable as error:
                log.warning("the full list could not be compared: %s", error)

    async def compare(self) -> None:
        """One comparison of every kind.

        Raises:
            ApiUnavailable: a list was not answered.
        """
        oldest = None
        for resource in self._resources:
            version = await self._compare(resource)
            oldest = version if oldest is None else min(oldest, version)
        if oldest is not None:
            self._feed.cache.forget_ends(oldest)
        self.filled, self.last = True, self._clock()

    async def _compare(self, resource: Resource) -> int:
        self._judge_watch(resource)
        listing = await self._api.list(resource, label_selector=selector(resource))
        found = [version_of(item) for item in listing.items if self._feed.seen(item)]
        listed = {item["metadata"]["uid"] for item in listing.items}
        ended = [
            self._feed.gone(cached, listing.resource_version)
            for cached in self._feed.cache.list(resource.kind)
            if cached["metadata"]["uid"] not in listed and version_of(cached) <= listing.resource_version
        ]
        if self.filled and (found or ended):
            self._metrics.missed.labels(resource.kind).inc(len(found) + len(ended))
            log.info("a full list of %s was ahead of its watch by %d changes and %d ends", resource.plural, len(found), len(ended))
        self._found[resource.kind] = max(found, default=0) if self.filled else 0
        return listing.resource_version

    def _judge_watch(self, resource: Resource) -> None:
        """Whether the watch has told by now what the last list found."""
        if self._found[resource.kind] <= self._deliveries.reached(resource.kind):
            self.behind[resource.kind] = 0
            return
        self.behind[resource.kind] += 1
        log.warning("the watch of %s has not told what a full list found long ago", resource.plural)
