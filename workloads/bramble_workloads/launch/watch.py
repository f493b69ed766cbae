"""Records how each rank of this node ends. The sidecar gets the cause of a failure while the other ranks are still being stopped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import handshake
from .ending import Ending, ErrorFile, cause, peek, stopped
from .logs import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .handshake import RunFolder
    from .plan import LaunchPlan

GRACE_FOR_CAUSES = 1.0
"""After a rank has lost its peer, the other ranks have this many seconds to end by themselves: one of them may be the cause."""
POLL_SECONDS = 0.02
LINES = 20


class Watch:
    """Records the ranks of one node that ended by themselves, and makes their causes.

    Attributes:
        asked_to_end: SIGTERM has reached the launcher. However a rank ends from then on, that is why.
    """

    def __init__(self, plan: LaunchPlan, folder: RunFolder) -> None:
        self._plan = plan
        self._folder = folder
        self._own: dict[int, Ending] = {}
        self._all: tuple[int, ...] = ()
        self.asked_to_end = False

    def look(self, pids: Mapping[int, int]) -> bool:
        """Look for ranks that have ended. If one failed by itself, write the causes and return True.

        Call it before any rank is stopped. `pids` are the process ids by global rank.
        """
        self._all = tuple(pids)
        self._collect(pids)
        if not any(ending.failed for ending in self._own.values()):
            return False
        deadline = time.monotonic() + GRACE_FOR_CAUSES
        while all(found["kind"] == "PeerLost" for found in self.causes()) and len(self._own) < len(pids) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._collect(pids)
        handshake.write(self._folder.causes, {"causes": self.causes()})
        return True

    def causes(self) -> list[dict[str, Any]]:
        """A cause for each rank that failed by itself."""
        return [self._cause(rank, ending) for rank, ending in sorted(self._own.items()) if ending.failed]

    def final_causes(self) -> list[dict[str, Any]]:
        """Those of `causes`, and one for each rank that the launcher stopped."""
        return [*self.causes(), *(self._stopped(rank) for rank in self._all if rank not in self._own)]

    def _collect(self, pids: Mapping[int, int]) -> None:
        for rank, pid in pids.items():
            if rank not in self._own and (ending := peek(pid)) is not None:
                self._own[rank] = ending

    def _cause(self, rank: int, ending: Ending) -> dict[str, Any]:
        return cause(rank, ending, self._folder.error(rank), self._lines(rank), alone=self._plan.world_size == 1)

    def _stopped(self, rank: int) -> dict[str, Any]:
        error = ErrorFile.read(self._folder.error(rank))
        if self.asked_to_end:
            return stopped(rank, f"the pod was asked to end{f'; it said: {error.message}' if error.message else ''}", self._lines(rank))
        if error.message is not None:  # it had failed, but was stopped before it ended
            return cause(rank, Ending(code=error.code), self._folder.error(rank), self._lines(rank), alone=False)
        return stopped(rank, "the store refused this run" if self._folder.refused.exists() else "another rank had ended", self._lines(rank))

    def _lines(self, rank: int) -> list[str]:
        return last_lines(self._folder.log(rank), self._folder.older_log(rank), LINES)
