"""Keeps the assignments up to date: list, watch, and list again when the watch cannot continue.

While the API server does not answer, the last known assignments stay in force.
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
"""Duration of one watch request."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds of back-off between two tries: it doubles from the first to the longest, and half of it is drawn at random."""


class Watches(Protocol):
    """The methods of a Kubernetes client that are needed here."""

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "") -> Listing: ...

    def watch(
        self, resource: Resource, namespace: str, label_selector: str, since: int, seconds: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]: ...


async def follow(api: Watches, namespace: str, assignments: Assignments, random_share: Callable[[], float] = random.random) -> None:
    """Update `assignments` from the ConfigMaps of this namespace, until cancelled."""
    wait = FIRST_WAIT
    while True:
        try:
            listing = await api.list(CONFIG_MAP, namespace, LABEL)
            assignments.replace(listing.items)
            wait = FIRST_WAIT
            await _watch(api, namespace, assignments, listing.resource_version)
        except BrambleError as error:
            log.warning("the assignments cannot be watched: %s; next try in %.1f s", error, wait)
            await asyncio.sleep(wait * (0.5 + random_share() / 2))
            wait = min(LONGEST_WAIT, wait * 2)


async def _watch(api: Watches, namespace: str, assignments: Assignments, since: int) -> None:
    """Watch for ever, each request from where the last one ended.

    Raises:
        BrambleError: the API server does not answer, or can no longer continue from there.
    """
    while True:
        async for kind, manifest in api.watch(CONFIG_MAP, namespace, LABEL, since, WATCH_SECONDS):
            since = int(manifest["metadata"]["resourceVersion"])
            if kind == "DELETED":
                assignments.remove(manifest["metadata"]["name"])
            elif kind != "BOOKMARK":
                assignments.put(manifest)
