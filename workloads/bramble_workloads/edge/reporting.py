"""A device's report on itself: put together here, sent every five seconds and at once when something changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time

from bramble.contracts.report import REPORT_SECONDS, Report
from bramble_workloads.device import board
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.node import Node

log = logging.getLogger(__name__)

SPACING = 0.1
"""Seconds between two reports, so that a burst of changes is one."""


class Reporter:
    """Numbers the reports of one process."""

    def __init__(self, node: Node, gateway: GatewayClient) -> None:
        self._node = node
        self._gateway = gateway
        self._began = time.monotonic()
        self._sequence = 0
        self._facts = board.facts()
        self._heard = True

    def report(self) -> Report:
        """The node's whole state now."""
        self._sequence += 1
        settings = self._node.settings
        return Report(
            node=settings.node,
            fleet=settings.fleet,
            board=settings.board,
            boot_id=self._node.boot_id,
            instance=self._node.instance,
            uptime_ms=round((time.monotonic() - self._began) * 1000),
            sequence=self._sequence,
            running=tuple(model.report() for model in self._node.models()),
            counters=self._node.book.report(),
            health=board.health(settings.state),
            facts=self._facts,
        )

    async def run(self) -> None:
        """Send reports for ever. Without the gateway nothing is lost: counters are cumulative."""
        while True:
            self._node.changed.clear()
            try:
                await self._gateway.report(self.report())
                self._node.heard()
                self._say(True, "reports reach the gateway")
            except (GatewayUnavailable, GatewayRefused) as error:
                self._say(False, f"reports do not reach the gateway: {error}")
            await asyncio.sleep(SPACING)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS * random.uniform(0.9, 1.1) - SPACING):  # noqa: S311  (spreads load)
                    await self._node.changed.wait()

    def _say(self, heard: bool, message: str) -> None:
        """A line when it begins and when it ends, not one every five seconds."""
        if heard != self._heard:
            log.warning("%s", message)
        self._heard = heard
