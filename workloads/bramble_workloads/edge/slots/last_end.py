"""Which models may have ended the process before this one.

All models of a device run in one process, so its end must not be charged to a model that had nothing to do with it. The process keeps the
number of calls that each model works on in a file in memory, which outlives the process, and not the pod or the boot.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

MODELS = 128
"""How many models are kept. Those beyond are never seen at work."""
RECORD = struct.Struct("<32sI")
"""The name of a model's folder, and how many calls it works on."""
COUNT = struct.Struct("<I")
COUNT_AT = RECORD.size - COUNT.size


@dataclass(frozen=True)
class LastEnd:
    """The end of the process before.

    Attributes:
        working: the models that worked on a request or were being loaded, by the names of their folders; empty if none did, or if that is
            not known.
        serving: the models that were served.
    """

    working: frozenset[str] = frozenset()
    serving: frozenset[str] = frozenset()

    @property
    def suspects(self) -> frozenset[str]:
        """The models that may have caused it: those that worked, or all that were served where none is known to have worked.

        Empty where none was served either: then each model may have caused the end of its own trial.
        """
        return self.working or self.serving

    def may_be_of(self, name: str) -> bool:
        """True unless others worked when the process ended, and this model did not."""
        return name in self.suspects or not self.suspects

    def must_be_of(self, name: str) -> bool:
        """True if no other model may have caused it."""
        return self.suspects <= {name}


class WorkLog:
    """The calls that each model works on.

    Args:
        owner: names the agent, so that several agents of one machine have a file each.
        folder: where the file is, which must be in memory: it changes with each request.
    """

    def __init__(self, owner: str, folder: Path) -> None:
        self.found: frozenset[str] = frozenset()
        """The models at work when the process before ended; empty after a clean end, which leaves none at work.

        The file tells the next process the same until `clear`.
        """
        path = folder / f"bramble-{hashlib.sha256(owner.encode()).hexdigest()[:16]}"
        self._names: dict[str, int] = {}
        size = RECORD.size * MODELS
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("%s cannot be opened: %s; a crash is not attributed to one of several models", path, error.strerror)
            self._memory = mmap.mmap(-1, size)
            return
        try:
            os.ftruncate(descriptor, size)
            self._memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        records = RECORD.iter_unpack(bytes(self._memory))
        self.found = frozenset(name.rstrip(b"\0").decode(errors="replace") for name, count in records if count)

    def clear(self) -> None:
        """Forget the process before. Call it once its end is recorded, and before the first `begin`."""
        self._memory[:] = bytes(len(self._memory))

    def begin(self, name: str) -> None:
        """A model begins to work on a call."""
        if name not in self._names:
            if len(self._names) >= MODELS:
                return
            self._names[name] = len(self._names) * RECORD.size
            RECORD.pack_into(self._memory, self._names[name], name.encode(), 0)
        self._add(name, 1)

    def end(self, name: str) -> None:
        """A model has ended a call, whose begin may not have been counted for want of room."""
        if name in self._names:
            self._add(name, -1)

    def _add(self, name: str, change: int) -> None:
        at = self._names[name] + COUNT_AT
        COUNT.pack_into(self._memory, at, max(0, COUNT.unpack_from(self._memory, at)[0] + change))

    def forget(self, kept: Iterable[str]) -> None:
        """Make room: keep only the models that are served, and those at work."""
        wanted = {name for name, at in self._names.items() if COUNT.unpack_from(self._memory, at + COUNT_AT)[0]} | set(kept)
        counts = {name: COUNT.unpack_from(self._memory, at + COUNT_AT)[0] for name, at in self._names.items() if name in wanted}
        self._names = {name: index * RECORD.size for index, name in enumerate(counts)}
        self._memory[:] = b"".join(RECORD.pack(name.encode(), count) for name, count in counts.items()).ljust(len(self._memory), b"\0")
