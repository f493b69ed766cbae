"""The tuple of trackers."""

from __future__ import annotations

from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trackers.base import Tracker
from bramble_workloads.sidecar.trackers.gateway import GatewayTracker

TRACKERS: tuple[type[Tracker], ...] = (GatewayTracker,)


def open_trackers(context: Context) -> list[Tracker]:
    """Create the trackers of this attempt. Only node rank 0 has trackers, because only its ranks write progress."""
    if context.node_rank != 0:
        return []
    return [tracker for kind in TRACKERS if (tracker := kind.open(context)) is not None]
