"""The full list, at the start and each ten minutes, compared with the cache.

A watch that is begun anew lists what is there and says nothing of what has gone meanwhile; and a watch can die
without a word. Whatever a list finds that no watch delivered is counted as missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from bramble.engine.cache import version_of
from bramble.engine.clock import boottime
from bramble.engine.feed import Feed, selector
from bramble.engine.metrics import Metrics
from bramble.errors import ApiUnavailable
from bramble.kube.api import Api
from bramble.kube.resources import Resource

FIRST_DELAY = 1.0

log = logging.getLogger(__name__)


class Relist:
    """Compares the cache with what the API server lists.

    Attributes:
        filled: whether every kind has been listed once.
        last: when all kinds were last compared, in seconds of our clock.
        missed_in_a_row: by kind, how many comparisons one after another found what its watch had not delivered.
    """

    def __init__(
        self,
        api: Api,
        feed: Feed,
        metrics: Metrics,
        resources: Iterable[Resource],
        clock: Callable[[], float] = boottime,
    ) -> None:
        self._api, self._feed, self._metrics, self._resources, self._clock = api, feed, metrics, tuple(resources), clock
        self.filled = False
        self.last = clock()
        self.missed_in_a_row: dict[str, int] = defaultdict(int)

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

    async def run(self, seconds: float) -> None:
        """Compare each so many seconds, for ever."""
        while True:
            await asyncio.sleep(seconds)
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
        listing = await self._api.list(resource, label_selector=selector(resource))
        missed = sum(self._feed.seen(item) for item in listing.items)
        listed = {item["metadata"]["uid"] for item in listing.items}
        for cached in self._feed.cache.list(resource.kind):
            if cached["metadata"]["uid"] not in listed and version_of(cached) <= listing.resource_version:
                missed += self._feed.gone(cached, listing.resource_version)
        if self.filled:
            self.missed_in_a_row[resource.kind] = self.missed_in_a_row[resource.kind] + 1 if missed else 0
            if missed:
                self._metrics.missed.labels(resource.kind).inc(missed)
                log.warning("a full list of %s found %d changes that no watch had delivered", resource.plural, missed)
        return listing.resource_version
