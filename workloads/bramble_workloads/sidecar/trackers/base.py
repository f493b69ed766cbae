"""The interface of a tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from bramble_workloads.sidecar.context import Context

Progress = Mapping[str, Any]
"""One line of `$BRAMBLE_PROGRESS` as the JSON of a `bramble.contracts.report.Progress`. It is not parsed: pydantic starts slowly."""


class Tracker(ABC):
    """Sends the progress of one attempt to another system. The sidecar of node rank 0 has one instance of each tracker that `open` returns.

    Attributes:
        name: the name in messages.
        least_seconds: the shortest time between two calls of `log`.
        repeat_seconds: if there is no new line for this long, `log` is called again with the last one. None for a system that stores the
            lines.
    """

    name: ClassVar[str]
    least_seconds: ClassVar[float] = 1.0
    repeat_seconds: ClassVar[float | None] = None

    @classmethod
    @abstractmethod
    def open(cls, context: Context) -> Self | None:
        """Create the tracker of this attempt; None if neither the job nor the environment configures it. It does not connect yet."""

    @abstractmethod
    def log(self, lines: Sequence[Progress]) -> bool:
        """Send lines of progress. They are for information only.

        The call runs in a thread, and there is at most one at a time.

        Args:
            lines: the new lines since the last call that returned True, oldest first; at least one.

        Returns:
            False if the system did not answer. The next call then has the same lines again.
        """
