"""Builds the reports of a device and sends them to the gateway: every five seconds, and at once when something changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Collection

from bramble.contracts.report import MAX_COUNTERS, MAX_REPORT_BYTES, MAX_RUNNING, REPORT_SECONDS, CandidateState, LeftOut, Report
from bramble_workloads.device import board, memory
from bramble_workloads.device.backoff import retry_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.memory_series import MemorySeries
from bramble_workloads.edge.node import Node

log = logging.getLogger(__name__)

SHORT = 100
"""Characters of a message in a report that would be too long."""
MIN_SPACING_SECONDS = 0.1
"""The shortest time between two reports, so that several changes in quick succession cause one report."""


class Reporter:
    """Sends the reports of one agent process and numbers them in sequence."""

    def __init__(self, node: Node, gateway: GatewayClient) -> None:
        self._node = node
        self._gateway = gateway
        self._started = time.monotonic()
        self._sequence = 0
        self._facts = board.facts()
        self._memory = MemorySeries()
        self._connected = True

    def report(self) -> Report:
        """Build a report of the node's present state, as much of it as fits."""
        self._sequence += 1
        settings = self._node.settings
        models = self._node.models()
        counters = self._node.book.report(model.endpoint.key(model.endpoint.current.label) for model in models if model.endpoint.current)
        uptime_ms = round((time.monotonic() - self._started) * 1000)
        self._memory.add(uptime_ms, memory.anonymous_bytes())
        report = Report(
            node=settings.node,
            fleet=settings.fleet,
            board=settings.board,
            boot_id=self._node.boot_id,
            instance=self._node.instance,
            uptime_ms=uptime_ms,
            sequence=self._sequence,
            running=tuple(model.report(self._started) for model in models[:MAX_RUNNING]),
            counters=counters[:MAX_COUNTERS],
            left_out=LeftOut(running=max(0, len(models) - MAX_RUNNING), counters=max(0, len(counters) - MAX_COUNTERS)),
            health=board.health(settings.state),
            memory=self._memory.samples(uptime_ms),
            facts=self._facts,
        )
        return within(MAX_REPORT_BYTES, report)

    async def run(self) -> None:
        """Send reports for ever. A report that does not arrive loses no counts, because counters are cumulative."""
        while True:
            self._node.changed.clear()
            spacing = MIN_SPACING_SECONDS
            try:
                await self._gateway.report(self.report())
                self._node.record_contact()
                self._log_change(True, "reports reach the gateway")
            except (GatewayUnavailable, GatewayRefused) as error:
                self._log_change(False, f"reports do not reach the gateway: {error}")
                spacing = max(spacing, retry_seconds(error))
            await asyncio.sleep(spacing)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS * random.uniform(0.9, 1.1) - spacing):  # noqa: S311  (spreads load)
                    await self._node.changed.wait()

    def _log_change(self, connected: bool, message: str) -> None:
        """Log the message if the connection to the gateway was lost or came back, and not for each report."""
        if connected != self._connected:
            log.warning("%s", message)
        self._connected = connected


def within(most: int, report: Report) -> Report:
    """The report in at most so many bytes. First its messages are shortened, then counts by class are left out, then counters, always the
    last ones first.
    """
    if _size(report) <= most:
        return report
    running = tuple(
        each.model_copy(update={"message": each.message[:SHORT], "candidate": _short(each.candidate)}) for each in report.running
    )
    report = report.model_copy(update={"running": running})
    told = [place for place, each in enumerate(report.counters) if each.confusion is not None]
    while told and _size(report) > most:
        left, told = told[len(told) // 2 :], told[: len(told) // 2]
        report = _without_confusions(report, left)
    while report.counters and _size(report) > most:
        kept = len(report.counters) // 2
        left_out = report.left_out.model_copy(update={"counters": report.left_out.counters + len(report.counters) - kept})
        report = report.model_copy(update={"counters": report.counters[:kept], "left_out": left_out})
    return report


def _without_confusions(report: Report, places: Collection[int]) -> Report:
    """The report without the counts by class of the counters at these places."""
    counters = tuple(each.model_copy(update={"confusion": None}) if place in places else each for place, each in enumerate(report.counters))
    left_out = report.left_out.model_copy(update={"confusions": report.left_out.confusions + len(places)})
    return report.model_copy(update={"counters": counters, "left_out": left_out})


def _short(candidate: CandidateState | None) -> CandidateState | None:
    return candidate.model_copy(update={"message": candidate.message[:SHORT]}) if candidate is not None else None


def _size(report: Report) -> int:
    return len(report.model_dump_json(by_alias=True, exclude_none=True).encode())
