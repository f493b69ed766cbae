"""Builds the reports of a device and sends them to the gateway: every five seconds, and at once when something changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from itertools import accumulate

from bramble.contracts.report import MAX_COUNTERS, MAX_RUNNING, REPORT_SECONDS, CandidateState, LeftOut, Report
from bramble_workloads.device import board, memory
from bramble_workloads.device.backoff import retry_seconds, wait_seconds
from bramble_workloads.device.errors import GatewayRefused, GatewayUnavailable
from bramble_workloads.device.gateway_client import GatewayClient
from bramble_workloads.edge.memory_series import MemorySeries
from bramble_workloads.edge.node import Node

log = logging.getLogger(__name__)

SHORT = 100
"""Characters of a message in a report that would be too long."""
LARGEST_BYTES = 512 * 1024
"""The bytes of a report, half of what the gateway takes at once. Of larger ones it would refuse so many (64 KiB/s for one caller) that the
device would count as offline."""
CONFUSION_BYTES = 192 * 1024
"""The bytes of a report for counts by class. One dense confusion of 64 classes has 37 KiB."""
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
        return within(LARGEST_BYTES, report)

    async def run(self) -> None:
        """Send reports for ever. A report that does not arrive loses no counts, because counters are cumulative.

        The next one is not waited for then: after half a second, and longer with each failure, there is another try. So one replica of the
        gateway that ends, and takes the open connection with it, does not make a device count as offline.
        """
        failures, due = 0, time.monotonic() + random.uniform(0, REPORT_SECONDS)  # noqa: S311  (spreads load)
        while True:
            self._node.changed.clear()
            try:
                await self._gateway.report(self.report())
                self._node.record_contact()
                self._log_change(True, "reports reach the gateway")
                failures = 0
            except GatewayUnavailable as error:
                self._log_change(False, f"reports do not reach the gateway: {error}")
                await asyncio.sleep(max(wait_seconds(failures, REPORT_SECONDS), retry_seconds(error)))
                failures += 1
                continue
            except GatewayRefused as error:
                self._log_change(False, f"reports do not reach the gateway: {error}")
            due = next_due(due, time.monotonic())
            await asyncio.sleep(MIN_SPACING_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + due - time.monotonic()):
                    await self._node.changed.wait()

    def _log_change(self, connected: bool, message: str) -> None:
        """Log the message if the connection to the gateway was lost or came back, and not for each report."""
        if connected != self._connected:
            log.warning("%s", message)
        self._connected = connected


def next_due(due: float, now: float) -> float:
    """When the next regular report is due, after one that was sent now.

    One that was sent because something changed leaves the time of the next regular one as it is. Otherwise all devices of a fleet, which
    hear of a promotion or an undo together, would report together from then on.

    Args:
        due: when a regular report was due.
    """
    if now < due:
        return due
    following = due + REPORT_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311  (spreads load)
    return following if following > now else now + random.uniform(0, REPORT_SECONDS)  # noqa: S311  (spreads load)


def within(most: int, report: Report) -> Report:
    """The report in at most so many bytes, with at most `CONFUSION_BYTES` of counts by class. First its messages are shortened, then counts
    by class are left out, then counters, always the last ones first.
    """
    room = CONFUSION_BYTES
    report = _with_confusions_of(room, report)
    if _size(report) <= most:
        return report
    running = tuple(
        each.model_copy(update={"message": each.message[:SHORT], "candidate": _short(each.candidate)}) for each in report.running
    )
    report = report.model_copy(update={"running": running})
    while room > 0 and (excess := _size(report) - most) > 0:
        room = max(0, min(room, sum(_confusion_sizes(report))) - excess)
        report = _with_confusions_of(room, report)
    while report.counters and _size(report) > most:
        kept = len(report.counters) // 2
        left_out = report.left_out.model_copy(update={"counters": report.left_out.counters + len(report.counters) - kept})
        report = report.model_copy(update={"counters": report.counters[:kept], "left_out": left_out})
    return report


def _with_confusions_of(most: int, report: Report) -> Report:
    """The report with the first of its counts by class, as many as have at most so many bytes together."""
    sizes = accumulate(_confusion_sizes(report))
    beyond = {place for place, size in enumerate(sizes) if size > most and report.counters[place].confusion is not None}
    if not beyond:
        return report
    counters = tuple(each.model_copy(update={"confusion": None}) if place in beyond else each for place, each in enumerate(report.counters))
    left_out = report.left_out.model_copy(update={"confusions": report.left_out.confusions + len(beyond)})
    return report.model_copy(update={"counters": counters, "left_out": left_out})


def _confusion_sizes(report: Report) -> list[int]:
    """The bytes of the counts by class of each of the counters."""
    return [len(each.confusion.model_dump_json().encode()) if each.confusion is not None else 0 for each in report.counters]


def _short(candidate: CandidateState | None) -> CandidateState | None:
    return candidate.model_copy(update={"message": candidate.message[:SHORT]}) if candidate is not None else None


def _size(report: Report) -> int:
    return len(report.model_dump_json(by_alias=True, exclude_none=True).encode())
