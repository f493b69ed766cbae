"""Lists every watched kind from time to time and compares the lists with the cache.

A watch that is started again says nothing about objects that were deleted meanwhile, and a watch can die silently. So a full list is taken
when the process starts, when a deletion may have been missed, and every ten minutes. What only a list finds is counted as missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from bramble.boottime import boottime
from bramble.engine.cache import version_of
from bramble.engine.changes import Changes, label_selector
from bramble.engine.metrics import Metrics
from bramble.errors import ApiUnavailable
from bramble.kube.api import Api
from bramble.kube.resources import Manifest, Resource

FIRST_DELAY = 1.0
"""Seconds between two tries to take the first lists."""

REQUEST_DELAY = 2.0
"""Seconds from a request to the lists. Several watches usually start together, and one comparison serves them all."""

log = logging.getLogger(__name__)


class WatchProgress:
    """How far the watches have come: the highest delivered resourceVersion of each kind, and when anything was delivered last.

    The events of one kind arrive in the order of their resourceVersions, so a watch that has passed a version has delivered it.

    Attributes:
        last: when a watch last delivered something, in seconds of our clock.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._reached: dict[str, int] = defaultdict(int)
        self.last = clock()

    def delivered(self, manifest: Manifest) -> None:
        """Record that a watch delivered this state, or the deletion, of an object."""
        self._reached[manifest["kind"]] = max(self._reached[manifest["kind"]], version_of(manifest))
        self.last = self._clock()

    def reached(self, kind: str) -> int:
        """The highest resourceVersion that the watch of this kind has delivered; 0 when it has delivered nothing."""
        return self._reached[kind]


class Relist:
    """Compares the cache with full lists.

    A list is usually a little ahead of the watch, so a difference alone proves nothing. A watch is behind when it has still not delivered,
    by the time of the next list, what the last list found.

    Attributes:
        filled: True once every kind has been listed.
        last: when all kinds were last compared, in seconds of our clock.
        behind: by kind, the number of consecutive lists that found its watch behind.
    """

    def __init__(
        self,
        api: Api,
        changes: Changes,
        metrics: Metrics,
        resources: Iterable[Resource],
        watches: WatchProgress,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._api, self._changes, self._metrics, self._resources, self._clock = api, changes, metrics, tuple(resources), clock
        self._watches = watches
        self._found: dict[str, int] = defaultdict(int)
        self._requested = asyncio.Event()
        self.filled = False
        self.last = clock()
        self.behind: dict[str, int] = defaultdict(int)

    async def fill(self) -> None:
        """List every kind, and try again until that succeeds once."""
        while True:
            try:
                await self.compare()
            except ApiUnavailable as error:
                log.warning("the API server cannot be listed yet: %s", error)
                await asyncio.sleep(FIRST_DELAY)
            else:
                return

    def request(self) -> None:
        """Ask for a comparison soon: a watch has just started, or a write found its object gone, so a deletion may have been missed."""
        self._requested.set()

    async def run(self, seconds: float) -> None:
        """Compare every `seconds`, and soon after each request, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._requested.wait()
                await asyncio.sleep(REQUEST_DELAY)
                self._requested.clear()
            try:
                await self.compare()
            except ApiUnavailable as error:
                log.warning("the full list could not be compared: %s", error)
            gc.collect()  # the only full collection (`bramble.__main__.collect_rarely`)

    async def compare(self) -> None:
        """Compare every kind once.

        Raises:
            ApiUnavailable: the API server did not answer a list.
        """
        oldest = None
        for resource in self._resources:
            version = await self._compare(resource)
            oldest = version if oldest is None else min(oldest, version)
        if oldest is not None:
            self._changes.cache.forget_deletions(oldest)
        self.filled, self.last = True, self._clock()

    async def _compare(self, resource: Resource) -> int:
        """Compare one kind; returns the resourceVersion of the list."""
        self._check_watch(resource)
        listing = await self._api.list(resource, label_selector=label_selector(resource))
        found = [version_of(item) for item in listing.items if self._changes.updated(item)]
        listed = {item["metadata"]["uid"] for item in listing.items}
        deleted = [
            self._changes.deleted(cached, listing.resource_version)
            for cached in self._changes.cache.list(resource.kind)
            if cached["metadata"]["uid"] not in listed and version_of(cached) <= listing.resource_version
        ]
        if self.filled and (found or deleted):
            self._metrics.missed.labels(resource.kind).inc(len(found) + len(deleted))
            log.info("a full list of %s was ahead of its watch by %d changes and %d deletions", resource.plural, len(found), len(deleted))
        self._found[resource.kind] = max(found, default=0) if self.filled else 0
        return listing.resource_version

    def _check_watch(self, resource: Resource) -> None:
        """Count how often in a row the watch has not delivered what the list before had found."""
        if self._found[resource.kind] <= self._watches.reached(resource.kind):
            self.behind[resource.kind] = 0
            return
        self.behind[resource.kind] += 1
        log.warning("the watch of %s has not delivered what the previous full list found", resource.plural)
