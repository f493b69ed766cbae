"""Counts crashes of the agent on the disk, so that a package that crashes the agent is noticed after the restart.

While a model is served, its folder has the marker `running.json`. A clean shutdown deletes it. If an agent finds the marker at its start
and the boot id is still the same, the process before crashed, and the crash counts against the package in the marker, unless other models
worked at that moment and this one did not (`last_end`). A reboot does not count: a power cut is the likely cause.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.counters import Cohort
from bramble_workloads.device.disk import remove_durably, write_durably

D = TypeVar("D", bound=ExtensibleDocument)

RUNNING_FILE = "running.json"
MAX_RECORDS = 12
"""How many packages are kept in the record; the oldest is dropped first."""


class RunningMarker(ExtensibleDocument):
    """`running.json`: the package that one process of the agent serves."""

    instance: str
    boot_id: str
    package: Digest
    cohort: Cohort
    attempt: int
    rollout_uid: str


class Crashes(ExtensibleDocument):
    """How often the agent crashed while it served one package in one cohort of one attempt."""

    package: Digest
    cohort: Cohort
    attempt: int
    rollout_uid: str
    count: int


class CrashRecord(ExtensibleDocument):
    """`crashes.json`. `counted` is the process whose crash was counted last, so that a crash during the counting is not counted twice."""

    crashes: tuple[Crashes, ...] = ()
    counted: str | None = None


class CrashLog:
    """The marker and the record of one assignment.

    Args:
        folder: of the assignment.
        boot_id: of this boot of the board.
    """

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._boot_id = boot_id
        self._running = folder / RUNNING_FILE
        self._crashes = folder / "crashes.json"
        self.record = CrashRecord()

    def count_last_crash(self, *, suspect: bool = True) -> None:
        """Count the crash of the process before, if there was one and this model may be the cause, and delete its marker.

        Call it once at a start.
        """
        self.record = _read(self._crashes, CrashRecord) or CrashRecord()
        marker = _read(self._running, RunningMarker)
        if suspect and marker is not None and marker.boot_id == self._boot_id and marker.instance != self.record.counted:
            self.record = add_crash(self.record, marker)
            write_durably(self._crashes, self.record.model_dump_json(by_alias=True).encode())
        if self._running.exists():
            remove_durably(self._running)

    def write_marker(self, marker: RunningMarker) -> None:
        """Write the marker. Call it before a package answers its first request."""
        write_durably(self._running, marker.model_dump_json(by_alias=True).encode())

    def delete_marker(self) -> None:
        """Delete the marker, because the package stops serving on purpose."""
        remove_durably(self._running)


def add_crash(record: CrashRecord, marker: RunningMarker) -> CrashRecord:
    """Return the record with one more crash of the package in the marker."""
    key = (marker.package, marker.cohort, marker.attempt, marker.rollout_uid)
    before = next((each.count for each in record.crashes if (each.package, each.cohort, each.attempt, each.rollout_uid) == key), 0)
    others = tuple(each for each in record.crashes if (each.package, each.cohort, each.attempt, each.rollout_uid) != key)
    now = Crashes(package=marker.package, cohort=marker.cohort, attempt=marker.attempt, rollout_uid=marker.rollout_uid, count=before + 1)
    return CrashRecord(crashes=(*others, now)[-MAX_RECORDS:], counted=marker.instance)


def _read(path: Path, kind: type[D]) -> D | None:
    """Read a document; None where the file does not exist or is damaged."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
