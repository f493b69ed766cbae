"""One assignment's documents on the disk: what is remembered now, what of it is safely written, and in which order.

A disk may turn read-only, as a worn SD card does. What is on it is then still served; what cannot be written is not claimed in reports.
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
from bramble_workloads.edge.slots.crash_log import Crashes, CrashLog, Running
from bramble_workloads.edge.slots.slots import Slots

log = logging.getLogger(__name__)
T = TypeVar("T")

DOCUMENT = "slots.json"


class SlotStore:
    """The slots and the crash log of one assignment.

    Args:
        folder: of the assignment.
        remembered: as read, or as they begin.
        writer: one thread: writes reach the disk in the order in which they were begun, also when a step is cancelled.
        instance: of this process of the agent.
        boot_id: of this boot of the board.
    """

    def __init__(self, folder: Path, remembered: Slots, writer: Executor, instance: str, boot_id: str) -> None:
        self.slots = remembered
        self.saved: Slots | None = None
        """The newest that is safely on the disk."""
        self._folder = folder
        self._writer = writer
        self._instance = instance
        self._boot_id = boot_id
        self._crashes = CrashLog(folder, boot_id)

    @classmethod
    def found(cls, folder: Path, writer: Executor, instance: str, boot_id: str) -> Self | None:
        """What a folder remembers; None where its document is absent or damaged: the gateway will tell again."""
        try:
            store = cls(folder, Slots.model_validate_json((folder / DOCUMENT).read_bytes()), writer, instance, boot_id)
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.error("%s is damaged and set aside: %s", folder / DOCUMENT, error.errors()[0]["msg"])  # noqa: TRY400
            (folder / DOCUMENT).replace(folder / f"{DOCUMENT}.damaged")
            return None
        store.saved = store.slots
        return store

    def settle(self, after_death: Slots) -> tuple[Crashes, ...]:
        """At a start: remember what follows from the end of the process before, count its death, and give all deaths so far.

        Raises:
            OSError: the disk takes no writes.
        """
        self.slots = after_death
        _save(self._folder, after_death)
        self.saved = after_death
        self._crashes.settle()
        return self._crashes.record.crashes

    async def remember(self, changed: Slots) -> None:
        """Remember this from now on. Raises OSError: it is remembered, and not on the disk."""
        self.slots = changed
        await self.save()

    async def save(self) -> None:
        """Write what is remembered, unless that is on the disk already. Raises OSError."""
        saving = self.slots
        if saving is not self.saved:
            await self._write(partial(_save, self._folder, saving))
            self.saved = saving

    async def mark(self, label: Serving) -> None:
        """Before this answers its first request: a death from now on is its. Raises OSError."""
        running = Running(
            instance=self._instance,
            boot_id=self._boot_id,
            package=label.package,
            cohort=label.cohort,
            attempt=label.attempt,
            rollout_uid=label.rollout_uid,
        )
        await self._write(partial(self._crashes.serving, running))

    async def unmark(self) -> None:
        """Nothing is served any more, on purpose. Raises OSError."""
        await self._write(self._crashes.left)

    async def forget(self) -> None:
        """Remove all of it. Raises OSError."""
        await self._write(partial(_remove, self._folder))

    async def _write(self, write: Callable[[], T]) -> T:
        """Write behind all earlier writes. A step that is cancelled meanwhile does not undo it."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, write))


def _save(folder: Path, remembered: Slots) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent)
    write_durably(folder / DOCUMENT, remembered.model_dump_json(by_alias=True, exclude_none=True).encode())


def _remove(folder: Path) -> None:
    """The document first: without it the rest means nothing, should the power fail half-way."""
    (folder / DOCUMENT).unlink(missing_ok=True)
    if folder.is_dir():
        sync_folder(folder)
        rmtree(folder)
        sync_folder(folder.parent)
