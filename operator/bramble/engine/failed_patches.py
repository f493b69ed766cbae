"""Patches that stand alone and fail: nothing else of the plan depends on them, so the pass goes on and there is another one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bramble.contracts.names import first_names
from bramble.engine.metrics import Metrics
from bramble.errors import BrambleError, NotFound
from bramble.kube.resources import Key

AGAIN_SECONDS = 1.0
"""After this time there is another pass. The watch has usually told of the change by then."""

LAST_AGAIN_SECONDS = 60.0
"""The delay doubles up to this while a same object fails in each pass: the cache stands still, or something else writes it all the time."""

NAMED = 5
"""How many objects are named in the log."""

log = logging.getLogger(__name__)


class FailedPatches:
    """Counts and logs them, and tells when to look again.

    Attributes:
        on_gone: called when a cached object is found to exist no longer.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.on_gone: list[Callable[[], None]] = []
        self._last: dict[str, tuple[frozenset[Key], float]] = {}
        """By planned object: what failed in its last pass, and the delay after it."""

    def failed(self, kind: str, key: Key, error: BrambleError) -> None:
        """Record a patch of a plan of this kind that failed because the object has changed or is gone."""
        self._metrics.errors.labels(kind, type(error).__name__).inc()
        log.debug("%s %s was not patched: %s: %s", key.kind, key.name, type(error).__name__, error)
        if isinstance(error, NotFound):
            for call in self.on_gone:
                call()

    def look_again(self, uid: str, failed: frozenset[Key]) -> float | None:
        """The seconds until the next pass of an object in whose pass these failed; None if none did."""
        before, delay = self._last.pop(uid, (frozenset[Key](), 0.0))
        if not failed:
            return None
        stuck = failed & before
        again = min(LAST_AGAIN_SECONDS, 2 * delay) if stuck else AGAIN_SECONDS
        if again == LAST_AGAIN_SECONDS > delay:
            names = first_names([f"{key.kind} {key.name}" for key in sorted(stuck)], NAMED)
            log.warning("%s cannot be changed: for a minute each try has failed, because something else writes it all the time", names)
        self._last[uid] = (failed, again)
        return again

    def forget(self, uid: str) -> None:
        """Drop what is kept about a deleted object."""
        self._last.pop(uid, None)
