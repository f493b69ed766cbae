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
from itertools import accumulate
from typing import NamedTuple

from bramble.contracts.report import ObjectRef, Progress, Report
from bramble.gateway.bounded import drop_oldest

FORGET_SECONDS = {b"report": 3600.0, b"progress": 900.0}
"""What is older than this is no longer passed on. The Fleet's status shows a device as offline long before."""

MAX_REPORTS = 20_000
MAX_PROGRESS = 5_000
"""The most reports and the most progress kept. The oldest is dropped first."""


NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class _Received:
    """A document as JSON, the time when it was received, its number among all received documents, and the name of its field."""

    at: float
    number: int
    name: bytes
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

    def add_report(self, report: Report, encoded: bytes | None = None) -> bool:
        """Keep a report. Returns False, and drops it, if a newer one of the same agent process has already arrived.

        Args:
            encoded: its JSON, where that has been made.
        """
        sender = _Sender(report.boot_id, report.instance, report.sequence)
        before = self._reports.get(report.node)
        if before is not None and before[0][:2] == sender[:2] and before[0].sequence >= sender.sequence:
            return False
        self._reports[report.node] = (sender, self._record(b"report", encoded or _json(report)))
        self._reports.move_to_end(report.node)
        drop_oldest(self._reports, MAX_REPORTS)
        return True

    def add_progress(self, progress: Progress) -> bool:
        """Keep a job's progress. Returns False, and drops it, if it is of an earlier attempt than the known one."""
        key = (progress.object, progress.step)
        before = self._progress.get(key)
        if before is not None and before[0] > progress.attempt:
            return False
        self._progress[key] = (progress.attempt, self._record(b"progress", _json(progress)))
        self._progress.move_to_end(key)
        drop_oldest(self._progress, MAX_PROGRESS)
        return True

    def observed(self, after: str = "", limit: int | None = None) -> bytes:
        """Everything received, as the JSON of an `Observed`.

        Args:
            after: a cursor of this process: only what was received after it. Any other text stands for everything.
            limit: bytes after which no further item is begun, so that the operator reads thousands of reports piece by piece.
        """
        now = self._clock()
        process, _, number = after.partition(".")
        since = int(number) if process == self._process and NUMBER.fullmatch(number) else -1
        received = (item for _, item in (*self._reports.values(), *self._progress.values()))
        wanted = sorted((item for item in received if item.number > since and now - item.at < FORGET_SECONDS[item.name]), key=_number)
        sizes = accumulate((len(item.json) for item in wanted), initial=0)
        page = wanted if limit is None else [item for item, before in zip(wanted, sizes, strict=False) if before < limit]
        more = len(page) < len(wanted)
        return b'{"replica":"%b","upSeconds":%.3f,"cursor":"%b.%d","more":%b,"reports":[%b],"progress":[%b]}' % (
            self._replica.encode(),
            now - self._started,
            self._process.encode(),
            page[-1].number if more else self._received,
            b"true" if more else b"false",
            _pieces(page, b"report", now),
            _pieces(page, b"progress", now),
        )

    def _record(self, name: bytes, json: bytes) -> _Received:
        self._received += 1
        return _Received(self._clock(), self._received, name, json)


def _json(document: Report | Progress) -> bytes:
    return document.model_dump_json(by_alias=True, exclude_defaults=True).encode()


def _number(item: _Received) -> int:
    return item.number


def _pieces(page: Iterable[_Received], name: bytes, now: float) -> bytes:
    """The items of a list in an `Observed`."""
    return b",".join(b'{"ageSeconds":%.3f,"%b":%b}' % (now - item.at, name, item.json) for item in page if item.name == name)
