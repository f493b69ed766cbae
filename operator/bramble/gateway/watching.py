"""Keeps the assignments like the API server's: list, watch, and list again when the watch has lost its place.

While the API server is away the last that was seen stays in force: devices are told nothing new, and nothing is taken from them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

from bramble.contracts.assignment import LABEL
from bramble.errors import BrambleError
from bramble.gateway.assignments import Assignments
from bramble.kube.api import Listing
from bramble.kube.resources import CONFIG_MAP, Resource

log = logging.getLogger(__name__)

WATCH_SECONDS = 300
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Back-off in seconds between two tries, doubling; half of it is drawn by lot."""


class Watches(Protocol):
    """What is needed of a Kubernetes client."""

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "") -> Listing: ...

    def watch(
        self, resource: Resource, namespace: str, label_selector: str, since: int, seconds: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]: ...


async def follow(api: Watches, namespace: str, assignments: Assignments, random_share: Callable[[], float] = random.random) -> None:
    """Feed `assignments` from the ConfigMaps of this namespace, until cancelled."""
    wait = FIRST_WAIT
    while True:
        try:
            listing = await api.list(CONFIG_MAP, namespace, LABEL)
            assignments.replace(listing.items)
            wait = FIRST_WAIT
            await _watch(api, namespace, assignments, listing.resource_version)
        except BrambleError as error:
            log.warning("assignments: %s; again in %.1f s", error, wait)
            await asyncio.sleep(wait * (0.5 + random_share() / 2))
            wait = min(LONGEST_WAIT, wait * 2)


async def _watch(api: Watches, namespace: str, assignments: Assignments, since: int) -> None:
    """Watches one after another, each from where the last ended. Raises BrambleError: the place is lost, or the API server is."""
    while True:
        async for kind, manifest in api.watch(CONFIG_MAP, namespace, LABEL, since, WATCH_SECONDS):
            since = int(manifest["metadata"]["resourceVersion"])
            if kind == "DELETED":
                assignments.remove(manifest["metadata"]["name"])
            elif kind != "BOOKMARK":
                assignments.put(manifest)
