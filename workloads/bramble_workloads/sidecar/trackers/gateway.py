"""Sends progress to the gateway, from which the operator reads it for the status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from bramble_workloads.gateway import GatewayClient
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trackers.base import Progress, Tracker


class GatewayTracker(Tracker):
    """Posts the newest line only. The gateway keeps it in memory, so it is posted again every `repeat_seconds`."""

    name = "gateway"
    repeat_seconds = 5.0

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    @classmethod
    def open(cls, context: Context) -> Self | None:
        gateway = context.job.get("gateway")
        return cls(GatewayClient(gateway["url"])) if gateway else None

    def log(self, lines: Sequence[Progress]) -> bool:
        self._client.progress(dict(lines[-1]))
        return True  # a line that is lost is posted again after `repeat_seconds`
