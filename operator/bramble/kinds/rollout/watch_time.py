"""When a promoted version is watched. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from bramble.api.objects import Object, moment
from bramble.api.rollout import Spec, Status
from bramble.api.schema import seconds

ALWAYS = "always"

WatchState = Literal["Watching", "Paused", "Over"]


def watch_until(rollout: Object[Spec, Status]) -> datetime | None:
    """When the watch of the stable version ends; None where it never does."""
    watch = rollout.spec.analysis.watch
    if watch is None or watch.for_ == ALWAYS:
        return None
    return moment(rollout.status.promoted_at) + timedelta(seconds=seconds(watch.for_))


def watch_state(rollout: Object[Spec, Status], now: datetime) -> WatchState | None:
    """Where the watch of the stable version is. A version that the fleet has gone back to is not watched: nothing is known of its own rate,
    and two versions would take turns.
    """
    status = rollout.status
    if rollout.spec.analysis.watch is None or status.stable is None or not status.promoted_at:
        return None
    until = watch_until(rollout)
    if until is not None and now >= until:
        return "Over"
    return "Watching" if status.candidate is None else "Paused"
