"""Reads and writes the files of one assignment.

A worn SD card may become read-only. Then the agent still serves the packages that are on it, and its reports do not claim a state that
could
not be written: `slots` is the state in memory, and `saved` is the newest state that is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Self, TypeVar

from pydantic import ValidationError

from bramble_workloads.device.disk import sync_folder, write_durably
from bramble_workloads.edge.assignment.decide import Serving
from bramble_workloads.edge.slots.crash_log import RUNNING_FILE, Crashes, CrashLog, RunningMarker
from bramble_workloads.edge.slots.slots import Slots

log = logging.getLogger(__name__)
T = TypeVar("T")

SLOTS_FILE = "slots.json"


def was_served(folder: Path) -> bool:
    """True if the process before served the model of this folder when it ended."""
    return (folder / RUNNING_FILE).exists()


class SlotStore:
    """The slots and the crash log of one assignment.

    Args:
        folder: the folder of the assignment.
        initial: the slots as they were read from the disk, or those of a new assignment.
        writer: an executor with one thread. Writes reach the disk in the order in which they were submitted, also when a step is cancelled.
        instance: the id of this process of the agent.
        boot_id: the id of this boot of the board.
    """

    def __init__(self, folder: Path, initial: Slots, writer: Executor, instance: str, boot_id: str) -> None:
        self.slots = initial
        self.saved: Slots | None = None
        """The newest slots that are on the disk; None if none were written yet."""
        self._folder = folder
        self._writer = writer
        self._instance = instance
        self._boot_id = boot_id
        self._crashes = CrashLog(folder, boot_id)

    @classmethod
    def load(cls, folder: Path, writer: Executor, instance: str, boot_id: str) -> Self | None:
        """Read the slots of a folder; None where the file is absent or cannot be read.

        A file that is damaged, or that a later release wrote, is renamed, and the model starts again with the gateway's next answer.
        """
        try:
            store = cls(folder, Slots.model_validate_json((folder / SLOTS_FILE).read_bytes()), writer, instance, boot_id)
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.error("%s is damaged, or of a later release, and was renamed: %s", folder / SLOTS_FILE, error.errors()[0]["msg"])  # noqa: TRY400
            (folder / SLOTS_FILE).replace(folder / f"{SLOTS_FILE}.damaged")
            return None
        store.saved = store.slots
        return store

    def recover(self, after_restart: Slots, *, suspect: bool) -> tuple[Crashes, ...]:
        """Save the slots after a restart, count the crash of the process before if this model is a suspect, and return all crashes.

        Call it once at a start.

        Raises:
            OSError: the disk cannot be written.
        """
        self.slots = after_restart
        _save(self._folder, after_restart)
        self.saved = after_restart
        self._crashes.count_last_crash(suspect=suspect)
        return self._crashes.record.crashes

    @property
    def name(self) -> str:
        """The name of the assignment."""
        return self._folder.name

    async def remember(self, changed: Slots) -> None:
        """Use these slots from now on, and write them.

        Raises:
            OSError: the disk cannot be written. The slots are in use all the same.
        """
        self.slots = changed
        await self.save()

    async def save(self) -> None:
        """Write the slots, unless they are on the disk already.

        Raises:
            OSError: the disk cannot be written.
        """
        saving = self.slots
        if saving is not self.saved:
            await self._write(partial(_save, self._folder, saving))
            self.saved = saving

    async def mark_serving(self, label: Serving) -> None:
        """Record that this package serves, so that a crash from now on counts against it. Call it before the first request.

        Raises:
            OSError: the disk cannot be written.
        """
        marker = RunningMarker(
            instance=self._instance,
            boot_id=self._boot_id,
            package=label.package,
            cohort=label.cohort,
            attempt=label.attempt,
            rollout_uid=label.rollout_uid,
        )
        await self._write(partial(self._crashes.write_marker, marker))

    async def unmark_serving(self) -> None:
        """Record that nothing serves any more and that this is no crash.

        Raises:
            OSError: the disk cannot be written.
        """
        await self._write(self._crashes.delete_marker)

    async def delete(self) -> None:
        """Delete all files of the assignment.

        Raises:
            OSError: the disk cannot be written.
        """
        await self._write(partial(_remove, self._folder))

    async def _write(self, write: Callable[[], T]) -> T:
        """Write after all earlier writes. The write is completed even if the step that asked for it is cancelled."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, write))


def _save(folder: Path, slots: Slots) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)
    write_durably(folder / SLOTS_FILE, slots.model_dump_json(by_alias=True, exclude_none=True).encode())


def _remove(folder: Path) -> None:
    """Delete the folder, `slots.json` first: after a power cut during the deletion, a folder without this file is ignored."""
    (folder / SLOTS_FILE).unlink(missing_ok=True)
    if folder.is_dir():
        sync_folder(folder)
        rmtree(folder)
        sync_folder(folder.parent)
