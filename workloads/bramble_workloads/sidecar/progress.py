"""Reads progress from `$BRAMBLE_PROGRESS` and gives it to the trackers."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from bramble_workloads.errors import SpecError
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.trackers.base import Tracker
from bramble_workloads.sidecar.trusted import opened

MOST_LINES = 1000
"""The most lines that wait for a tracker that does not answer. The oldest are dropped first."""
MOST_BYTES = 8 * 1024 * 1024
"""Bytes that are read at a time."""
FIELDS = ("epoch", "epochs", "etaSeconds", "metrics", "device", "worldSize", "firstStepAt", "message")


class ProgressFile:
    """Reads `$BRAMBLE_PROGRESS` as it grows."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._offset = 0
        self._first_step_at: str | None = None

    def read(self) -> list[dict[str, Any]]:
        """The new lines since the last call. A line without its line end is left for the next call.

        A file that cannot be read gives none, because progress is only information. Of a line that is too long the parts are ignored.
        """
        try:
            with opened(self._context.run.progress, self._context.run.root) as name, name.open("rb") as file:
                file.seek(self._offset)
                content = file.read(MOST_BYTES)
        except (FileNotFoundError, SpecError):
            return []
        whole = content if len(content) == MOST_BYTES and b"\n" not in content else content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._complete(found) for line in whole.splitlines() if (found := _parsed(line))]

    def _complete(self, found: dict[str, Any]) -> dict[str, Any]:
        """Add the fields that a line need not repeat: the object, the attempt, and the time of the first step."""
        job = self._context.job
        self._first_step_at = found.get("firstStepAt", self._first_step_at)
        first = {"firstStepAt": self._first_step_at} if self._first_step_at else {}
        common = {"object": job["object"], "step": "train", "attempt": job["attempt"], "worldSize": self._context.world_size}
        return {**common, **first, **found}


class Feed:
    """Gives lines to one tracker, in a thread of the pool, and not more often than the tracker allows."""

    def __init__(self, tracker: Tracker, pool: ThreadPoolExecutor) -> None:
        self._tracker = tracker
        self._pool = pool
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        self._given: list[dict[str, Any]] = []
        self._called = -float("inf")
        self._call: Future[bool] | None = None

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Add lines for the tracker."""
        self._waiting.extend(lines)

    def look(self, now: float) -> None:
        """Call the tracker if a call is due. `now` is in seconds on the monotonic clock."""
        if not self._idle():
            return
        waited, repeat = now - self._called, self._tracker.repeat_seconds
        if self._waiting and waited >= self._tracker.least_seconds:
            self._begin(now, list(self._waiting))
        elif self._given and repeat is not None and waited >= repeat:
            self._begin(now, self._given[-1:])

    def finish(self, seconds: float) -> None:
        """Give the tracker all waiting lines, and wait for it for at most this many seconds."""
        deadline = time.monotonic() + seconds
        self._await(deadline)
        if self._idle() and self._waiting:
            self._begin(time.monotonic(), list(self._waiting))
            self._await(deadline)

    def _begin(self, now: float, lines: list[dict[str, Any]]) -> None:
        self._called, self._given = now, lines
        self._call = self._pool.submit(self._tracker.log, lines)

    def _idle(self) -> bool:
        """True if no call is under way. The lines of a call that succeeded are removed from the waiting ones."""
        if self._call is None:
            return True
        if not self._call.done():
            return False
        if self._call.result():
            for line in self._given:
                if self._waiting and self._waiting[0] is line:
                    self._waiting.popleft()
        self._call = None
        return True

    def _await(self, deadline: float) -> None:
        if self._call is not None:
            wait([self._call], max(0.0, deadline - time.monotonic()))


def figures(metrics: object) -> dict[str, float]:
    """The finite numbers of a program's metrics. JSON has no others. Invalid metrics are ignored, because they are only information."""
    found = metrics if isinstance(metrics, dict) else {}
    largest = sys.float_info.max
    return {str(name): float(value) for name, value in found.items() if isinstance(value, int | float) and -largest <= value <= largest}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The known fields of a line. A malformed line is reported in the log and ignored, because progress is only information."""
    try:
        found = json.loads(line)
        known = {name: found[name] for name in FIELDS if found.get(name) is not None}
        known["metrics"] = figures(known.get("metrics"))
        known["epoch"], known["epochs"] = int(known.get("epoch", 0)), int(known.get("epochs", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        print(f"a line of $BRAMBLE_PROGRESS is ignored ({error}): {line[:200]!r}", flush=True)  # noqa: T201
        return None
    return known
