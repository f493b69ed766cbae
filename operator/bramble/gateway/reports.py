"""What devices and jobs said of themselves, as this replica heard it. In memory only: they say it again in seconds.

Reports are kept as the JSON they will be read as: five thousand of them are a few ten megabytes, and reading them costs no parsing.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from bramble.contracts.report import ObjectRef, Progress, Report

FORGET_REPORT_SECONDS = 3600.0
"""A device silent for so long is no longer told of. Its Fleet's status has named it long before."""
FORGET_PROGRESS_SECONDS = 900.0
MAX_REPORTS = 20_000
MAX_PROGRESS = 5_000

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Said:
    at: float
    turn: int
    json: bytes


class _Voice(NamedTuple):
    """Which of two reports of a node is the newer one: within an instance of its agent by sequence, else by arrival."""

    boot_id: str
    instance: str
    sequence: int


class Heard:
    """The newest report of each node, and the newest progress of each step of each object."""

    def __init__(self, replica: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._replica = replica
        self._clock = clock
        self._born = clock()
        self._era = secrets.token_hex(4)
        self._turn = 0
        self._reports: OrderedDict[str, tuple[_Voice, _Said]] = OrderedDict()
        self._progress: OrderedDict[tuple[ObjectRef, str], tuple[int, _Said]] = OrderedDict()

    @property
    def reports(self) -> int:
        """How many nodes are known."""
        return len(self._reports)

    def report(self, report: Report) -> bool:
        """Keep a report; False for one that a newer one of the same agent process overtook."""
        voice = _Voice(report.boot_id, report.instance, report.sequence)
        before = self._reports.get(report.node)
        if before is not None and before[0][:2] == voice[:2] and before[0].sequence >= voice.sequence:
            return False
        self._reports[report.node] = (voice, self._said(report.model_dump_json(by_alias=True, exclude_defaults=True)))
        self._reports.move_to_end(report.node)
        _cut(self._reports, MAX_REPORTS)
        return True

    def progress(self, progress: Progress) -> bool:
        """Keep a job's progress; False for that of an attempt before the one that is known."""
        key = (progress.object, progress.step)
        before = self._progress.get(key)
        if before is not None and before[0] > progress.attempt:
            return False
        self._progress[key] = (progress.attempt, self._said(progress.model_dump_json(by_alias=True, exclude_defaults=True)))
        self._progress.move_to_end(key)
        _cut(self._progress, MAX_PROGRESS)
        return True

    def observed(self, after: str = "") -> bytes:
        """All that was heard, as an `Observed`; with a cursor of this replica only what was heard since that was given."""
        now = self._clock()
        era, _, turn = after.partition(".")
        since = int(turn) if era == self._era and turn.isdigit() else -1
        reports = _pieces(b"report", (said for _, said in self._reports.values()), since, now, FORGET_REPORT_SECONDS)
        progress = _pieces(b"progress", (said for _, said in self._progress.values()), since, now, FORGET_PROGRESS_SECONDS)
        return b'{"replica":"%b","upSeconds":%.3f,"cursor":"%b.%d","reports":[%b],"progress":[%b]}' % (
            self._replica.encode(),
            now - self._born,
            self._era.encode(),
            self._turn,
            reports,
            progress,
        )

    def _said(self, json: str) -> _Said:
        self._turn += 1
        return _Said(self._clock(), self._turn, json.encode())


def _cut(kept: OrderedDict[Key, Value], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _pieces(name: bytes, all_said: Iterable[_Said], since: int, now: float, forget: float) -> bytes:
    return b",".join(
        b'{"ageSeconds":%.3f,"%b":%b}' % (now - said.at, name, said.json)
        for said in all_said
        if said.turn > since and now - said.at < forget
    )
