"""Deaths of the agent, counted on the disk: a crash is an outcome of what was served, never a silent zero.

While a model is served, `running.json` says so. A clean leave removes it; found at a start within the same boot, the process before died,
and the package it was serving has one crash more. A reboot counts for nothing: it was most likely the power. Every model of the node is
counted: which of them it was cannot be known afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.counters import Cohort
from bramble_workloads.device.disk import remove_durably, write_durably

D = TypeVar("D", bound=ExtensibleDocument)

MAX_RECORDS = 12


class Running(ExtensibleDocument):
    """What one process of the agent was serving."""

    instance: str
    boot_id: str
    package: Digest
    cohort: Cohort
    attempt: int
    rollout_uid: str


class Crashes(ExtensibleDocument):
    """Of one package in one cohort of one attempt."""

    package: Digest
    cohort: Cohort
    attempt: int
    rollout_uid: str
    count: int


class Record(ExtensibleDocument):
    """`crashes.json`. `counted` is the instance whose death was counted last, so that a crash while counting counts once."""

    crashes: tuple[Crashes, ...] = ()
    counted: str | None = None


class CrashLog:
    """The two files of one assignment."""

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._boot_id = boot_id
        self._running = folder / "running.json"
        self._crashes = folder / "crashes.json"
        self.record = Record()

    def settle(self) -> None:
        """At a start: count the death of the process before, if it died, and forget its marker."""
        self.record = _read(self._crashes, Record) or Record()
        died = _read(self._running, Running)
        if died is not None and died.boot_id == self._boot_id and died.instance != self.record.counted:
            self.record = counted(self.record, died)
            write_durably(self._crashes, self.record.model_dump_json(by_alias=True).encode())
        if self._running.exists():
            remove_durably(self._running)

    def serving(self, running: Running) -> None:
        """Before a package answers its first request."""
        write_durably(self._running, running.model_dump_json(by_alias=True).encode())

    def left(self) -> None:
        """Nothing is served any more, on purpose."""
        remove_durably(self._running)


def counted(record: Record, died: Running) -> Record:
    """The record after one more death."""
    key = (died.package, died.cohort, died.attempt, died.rollout_uid)
    before = next((each.count for each in record.crashes if (each.package, each.cohort, each.attempt, each.rollout_uid) == key), 0)
    others = tuple(each for each in record.crashes if (each.package, each.cohort, each.attempt, each.rollout_uid) != key)
    now = Crashes(package=died.package, cohort=died.cohort, attempt=died.attempt, rollout_uid=died.rollout_uid, count=before + 1)
    return Record(crashes=(*others, now)[-MAX_RECORDS:], counted=died.instance)


def _read(path: Path, kind: type[D]) -> D | None:
    """A document of this device; None where there is none or the disk damaged it."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
