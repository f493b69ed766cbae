"""The Events that Kubernetes writes about an object: only there it says why a Job gets no pods and why a pod does not start.

They are not watched, because a cluster has far more Events than objects that wait. Those of one object are listed when somebody asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from bramble.api.objects import moment
from bramble.boottime import boottime
from bramble.kube.api import Api
from bramble.kube.resources import EVENT, Manifest

KEPT_SECONDS = 2.0
"""How long an answer is used again. Several passes over a waiting object may follow each other at once."""

REMEMBERED_SECONDS = 3600.0
"""How long it is remembered where it is not the turn of its object (`warnings`). Kubernetes keeps Events for an hour."""

NOTE_CHARACTERS = 500
"""Of an Event's text. Anybody who may create Events in the namespace may have written it."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class ObjectEvents:
    """Asks the API server, and remembers the answer for a moment."""

    def __init__(self, api: Api, clock: Callable[[], float] = boottime) -> None:
        self._api, self._clock = api, clock
        self._known: dict[str, tuple[float, str]] = {}

    async def warning(self, namespace: str, uid: str) -> str:
        """The newest Event about the object with this uid, if it is a Warning, as `reason: text`; else an empty text.

        Raises:
            BrambleError: the API server did not answer, or refused.
        """
        now = self._clock()
        if uid not in self._known or self._known[uid][0] + KEPT_SECONDS <= now:
            listing = await self._api.list(EVENT, namespace, field_selector=f"regarding.uid={uid}")
            self._known = {other: known for other, known in self._known.items() if known[0] + REMEMBERED_SECONDS > now}
            self._known[uid] = now, _newest_warning(listing.items)
        return self._known[uid][1]

    async def warnings(self, namespace: str, uids: Sequence[str], most: int) -> dict[str, str]:
        """The same of several objects, by uid, without those that were never asked about.

        Args:
            most: of how many the API server is asked: of those about which it was never asked, in their order, and then of those about
                which it was asked the longest time ago. Of the others it is what it said last.

        Raises:
            BrambleError: the API server did not answer, or refused.
        """
        for uid in sorted(uids, key=lambda uid: self._known[uid][0] if uid in self._known else -math.inf)[:most]:
            await self.warning(namespace, uid)
        return {uid: self._known[uid][1] for uid in uids if uid in self._known}


def _newest_warning(events: tuple[Manifest, ...]) -> str:
    newest = max(events, key=lambda event: (_last_seen(event), event.get("type") == "Warning"), default=None)
    if newest is None or newest.get("type") != "Warning":
        return ""
    return f"{newest.get('reason', '')}: {' '.join(str(newest.get('note', '')).split())[:NOTE_CHARACTERS]}"


def _last_seen(event: Manifest) -> datetime:
    """When the Event was last repeated. Kubernetes' own controllers still write the fields of the older Events API, with whole seconds."""
    series: dict[str, Any] = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("deprecatedLastTimestamp"), event.get("eventTime"))
    return max((moment(time).replace(microsecond=0) for time in times if time), default=LONG_AGO)
