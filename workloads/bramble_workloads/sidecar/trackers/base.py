"""The interface of a tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from bramble_workloads.sidecar.context import Context

Progress = Mapping[str, Any]
"""One line of `$BRAMBLE_PROGRESS` as the JSON of a `bramble.contracts.report.Progress`. It is not parsed: pydantic starts slowly."""


class Tracker(ABC):
    """Sends the progress of one attempt somewhere. The sidecar of node rank 0 has one instance of each tracker that `open` gives.

    Attributes:
        name: for messages.
        least_seconds: between two calls of `log`.
        repeat_seconds: after so long without a new line, `log` is called again with the last one; None for a tracker that keeps what it
            was given.
    """

    name: ClassVar[str]
    least_seconds: ClassVar[float] = 1.0
    repeat_seconds: ClassVar[float | None] = None

    @classmethod
    @abstractmethod
    def open(cls, context: Context) -> Self | None:
        """The tracker of this attempt; None where the job or the environment does not configure it. It does not connect yet."""

    @abstractmethod
    def log(self, lines: Sequence[Progress]) -> bool:
        """Send lines of progress, which is information and never an authority.

        Called in a thread of its own, never twice at a time.

        Args:
            lines: all that are new since the last call that returned True, oldest first; at least one.

        Returns:
            False to get the same lines again with the next call, because nobody answered.
        """
