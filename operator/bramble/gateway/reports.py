"""Holds the reports and the progress that this replica received. They are in memory only, because devices and jobs send them again within
seconds.

Reports are kept as the JSON that the operator will read, so that reading them costs no parsing. Five thousand of them take a few tens of
megabytes.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bramble.contracts.report import ObjectRef, Progress, Report
from bramble.gateway.bounded import drop_oldest

FORGET_REPORT_SECONDS = 3600.0
"""A report older than this is no longer passed on. The Fleet's status shows the device as offline long before."""

FORGET_PROGRESS_SECONDS = 900.0
"""Progress older than this is no longer passed on."""

MAX_REPORTS = 20_000
MAX_PROGRESS = 5_000
"""The most reports and the most progress kept. The oldest is dropped first."""


NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class _Received:
    """A document as JSON, the time when it was received, and its number among all received documents."""

    at: float
    number: int
    json: bytes


class _Sender(NamedTuple):
    """The agent process that sent a report, and the report's number within it."""

    boot_id: str
    instance: str
    sequence: int


class ReceivedReports:
    """The newest report of each node, and the newest progress of each step of each object."""

    def __init__(self, replica: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`replica` is this replica's name. A cursor that a process gave out is only valid in the same process."""
        self._replica = replica
        self._clock = clock
        self._started = clock()
        self._process = secrets.token_hex(4)
        self._received = 0
        self._reports: OrderedDict[str, tuple[_Sender, _Received]] = OrderedDict()
        self._progress: OrderedDict[tuple[ObjectRef, str], tuple[int, _Received]] = OrderedDict()

    @property
    def devices(self) -> int:
        """The number of nodes with a report."""
        return len(self._reports)

    def add_report(self, report: Report) -> bool:
        """Keep a report. Returns False, and drops it, if a newer one of the same agent process has already arrived."""
        sender = _Sender(report.boot_id, report.instance, report.sequence)
        before = self._reports.get(report.node)
        if before is not None and before[0][:2] == sender[:2] and before[0].sequence >= sender.sequence:
            return False
        self._reports[report.node] = (sender, self._record(report.model_dump_json(by_alias=True, exclude_defaults=True)))
        self._reports.move_to_end(report.node)
        drop_oldest(self._reports, MAX_REPORTS)
        return True

    def add_progress(self, progress: Progress) -> bool:
        """Keep a job's progress. Returns False, and drops it, if it is of an earlier attempt than the known one."""
        key = (progress.object, progress.step)
        before = self._progress.get(key)
        if before is not None and before[0] > progress.attempt:
            return False
        self._progress[key] = (progress.attempt, self._record(progress.model_dump_json(by_alias=True, exclude_defaults=True)))
        self._progress.move_to_end(key)
        drop_oldest(self._progress, MAX_PROGRESS)
        return True

    def observed(self, after: str = "") -> bytes:
        """Everything received, as the JSON of an `Observed`; with a cursor of this process, only what was received after it."""
        now = self._clock()
        process, _, number = after.partition(".")
        since = int(number) if process == self._process and NUMBER.fullmatch(number) else -1
        reports = _pieces(b"report", (received for _, received in self._reports.values()), since, now, FORGET_REPORT_SECONDS)
        progress = _pieces(b"progress", (received for _, received in self._progress.values()), since, now, FORGET_PROGRESS_SECONDS)
        return b'{"replica":"%b","upSeconds":%.3f,"cursor":"%b.%d","reports":[%b],"progress":[%b]}' % (
            self._replica.encode(),
            now - self._started,
            self._process.encode(),
            self._received,
            reports,
            progress,
        )

    def _record(self, json: str) -> _Received:
        self._received += 1
        return _Received(self._clock(), self._received, json.encode())


def _pieces(name: bytes, all_received: Iterable[_Received], since: int, now: float, forget: float) -> bytes:
    """The items of a list in an `Observed`: those received after number `since` that are not too old."""
    return b",".join(
        b'{"ageSeconds":%.3f,"%b":%b}' % (now - received.at, name, received.json)
        for received in all_received
        if received.number > since and now - received.at < forget
    )
