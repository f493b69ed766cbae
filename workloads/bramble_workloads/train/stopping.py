"""Lets all ranks stop after the same optimiser step, when the pod of one of them has been asked to end (SIGTERM)."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

from bramble_workloads.errors import Stopped, StoppedWithPeer
from bramble_workloads.train.ranks import Ranks


class Stopping:
    """Records SIGTERM while it is entered as a context, and tells every rank about it at the same step.

    `after_step` and `settle` are collective: every rank calls them equally often and in the same order. The exchange that one call of
    `after_step` begins runs during the next step, and the next call reads it. So all ranks stop one step after the signal, and no step
    waits for the exchange.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._asked = False
        self._exchange: Exchange | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        del kind, error, trace
        signal.signal(signal.SIGTERM, self._before)

    def after_step(self) -> None:
        """Raise if some rank had been asked to end when the call before this one was made.

        Raises:
            Stopped: this rank was asked to end.
            StoppedWithPeer: another rank was.
        """
        self._read()
        if self._ranks.world_size > 1:
            self._exchange = Exchange(self._ranks, asked=self._asked)
        elif self._asked:
            self._raise(self._ranks.rank)

    def settle(self) -> None:
        """The same as `after_step`, for signals that arrived until now. It waits for all ranks."""
        self.after_step()
        self._read()

    def _read(self) -> None:
        if self._exchange is not None:
            asked, self._exchange = self._exchange.result(), None
            self._raise(asked)

    def _raise(self, asked: int) -> None:
        if asked == self._ranks.rank:
            raise Stopped("asked to end (SIGTERM); the last step is saved")
        if asked >= 0:
            raise StoppedWithPeer(f"stopped after the same step as rank {asked}, which was asked to end (SIGTERM); the step is saved")

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


class Exchange:
    """Finds the highest rank that was asked to end, while the caller goes on with its work."""

    def __init__(self, ranks: Ranks, *, asked: bool) -> None:
        self._highest, self._work = ranks.begin_maximum(ranks.rank if asked else -1)

    def result(self) -> int:
        """The rank; -1 if none was asked. Waits until all ranks have begun the same exchange."""
        self._work.wait()
        return int(self._highest.item())
