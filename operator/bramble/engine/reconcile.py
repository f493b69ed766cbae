"""One pass over one object, and the loop of workers that runs passes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bramble.api.conditions import Condition, merge
from bramble.engine.clock import boottime, utcnow
from bramble.engine.execute import Executor
from bramble.engine.feed import Feed
from bramble.engine.lease import Lease
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.engine.sources import Reader
from bramble.errors import BrambleError, Conflict, NotFound, NotLeader, Retryable, StoreUnavailable, Terminal
from bramble.kinds.controller import Controller
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import events_of
from bramble.kube.resources import Key, Manifest

PASS_SECONDS = 60.0
"""Longest that a pass may take; a store or an API server that hangs must not hold a worker. Telling of it may take two requests more."""

TERMINAL_SECONDS = 30.0
"""After a terminal error the object is looked at again this late: what is in the way may be a thing that is not watched,
such as somebody else's object."""

LASTING = 3
"""So many passes of an object that fail in a row are no hiccup: its condition says what is in the way."""

READY = "Ready"
INTERNAL_ERROR = "InternalError"
PASS_TIMED_OUT = "PassTimedOut"
FAULT_CHARACTERS = 400
"""Of an unforeseen exception's text in a condition, so that what to do about it still fits."""

log = logging.getLogger(__name__)


class Reconciler:
    """Runs passes: gather, plan, execute.

    `doubt` is called when a write finds that an object is gone which the cache still holds.
    """

    def __init__(
        self,
        controllers: Mapping[str, Controller[Any]],
        queue: WorkQueue,
        feed: Feed,
        reader: Callable[[], Reader],
        executor: Executor,
        metrics: Metrics,
        doubt: Callable[[], None],
    ) -> None:
        self._controllers, self._queue, self._feed = controllers, queue, feed
        self._reader, self._executor, self._metrics = reader, executor, metrics
        self._doubt = doubt

    async def work(self, lease: Lease) -> None:
        """Take keys and run their passes, for ever, while this replica leads."""
        while True:
            await lease.leading.wait()
            key = await self._queue.get()
            try:
                if lease.leading.is_set():
                    await self._guarded(key)
            finally:
                self._queue.done(key)

    async def reconcile(self, key: Key) -> None:
        """One pass.

        Raises:
            BrambleError: it could not be finished; what was written before has landed.
        """
        controller, reader = self._controllers[key.kind], self._reader()
        seen = await controller.gather(key, reader)
        planned = reader.seen.get(key)
        if seen is None or planned is None:
            self._queue.forget(key)
            return
        now = utcnow()
        plan = controller.plan(seen, now)
        held_back = await self._executor.carry_out(planned, plan, reader.seen, controller.memory)
        if held_back is not None:
            self._queue.add_after(key, held_back)
        if plan.wake_at is not None:
            self._queue.add_after(key, seconds_until(plan.wake_at, now))

    async def _guarded(self, key: Key) -> None:
        """A pass whose failure stays its own: every other object goes on."""
        began = boottime()
        try:
            async with asyncio.timeout(PASS_SECONDS):
                await self.reconcile(key)
        except Terminal as error:
            self._count(key, error)
            log.warning("%s: %s: %s", label(key), type(error).__name__, error)
            self._queue.add_after(key, TERMINAL_SECONDS)
            await self._report(key, type(error).__name__, str(error))
        except (Conflict, NotLeader) as error:
            self._count(key, error)
            log.debug("%s: %s", label(key), error)
            self._queue.retry(key)
        except (Retryable, TimeoutError) as error:
            self._count(key, error)
            if isinstance(error, NotFound):
                self._doubt()
            delay = self._queue.retry(key)
            log.info("%s: %s: %s; again in %.1f s", label(key), type(error).__name__, error, delay)
            told = what_lasts(error)
            if told is not None and self._queue.failures(key) >= LASTING:
                await self._report(key, *told)
        except Exception as error:  # the queue loop: one object's fault must not stop the others (house style, rule 12)
            self._count(key, error)
            delay = self._queue.retry(key)
            log.exception("%s: the pass failed; again in %.1f s", label(key), delay)
            if self._queue.failures(key) >= LASTING:
                await self._report(key, INTERNAL_ERROR, fault(error))
        else:
            self._queue.succeeded(key)
        self._metrics.reconcile.labels(key.kind).observe(boottime() - began)

    async def _report(self, key: Key, reason: str, message: str) -> None:
        """A failed pass becomes `Ready=False`; the one place where this happens. The next pass that goes through states it anew."""
        planned = self._feed.cache.get(key)
        if planned is None:
            return
        try:
            await self._executor.carry_out(planned, not_ready(planned, reason, message), {}, self._controllers[key.kind].memory)
        except (BrambleError, RecursionError) as second:  # an object nested too deep to be planned may be so to be written too
            self._count(key, second)
            delay = self._queue.retry(key)
            log.info("%s: its condition could not be written: %s; again in %.1f s", label(key), second, delay)

    def _count(self, key: Key, error: BaseException) -> None:
        self._metrics.errors.labels(key.kind, type(error).__name__).inc()


def not_ready(planned: Manifest, reason: str, message: str) -> Plan:
    """The status and the event that tell why passes of this object fail; the rest of the status stays as it was."""
    status = planned.get("status") or {}
    former = status.get("conditions") or ()
    stated = (Condition(READY, "False", reason, message),)
    generation = int(planned["metadata"].get("generation", 0))
    conditions = merge(former, stated, generation, utcnow())
    events = events_of(former, stated, {reason: "Warning"})
    return Plan(status={**status, "conditions": conditions}, events=events)


def what_lasts(error: Exception) -> tuple[str, str] | None:
    """Reason and message for the condition, where a failure that comes again and again is one that a status can tell of."""
    if isinstance(error, StoreUnavailable):
        return type(error).__name__, str(error)
    if isinstance(error, TimeoutError):
        return PASS_TIMED_OUT, (
            f"Bramble does not get through this object in {PASS_SECONDS:g} s: the store or the API server answers slowly. "
            f"Bramble goes on trying: make the store answer faster; the metric bramble_reconcile_seconds says whether all objects are slow"
        )
    return None


def fault(error: Exception) -> str:
    """What a condition says of an exception that nobody foresaw."""
    text = str(error)
    told = text if len(text) <= FAULT_CHARACTERS else f"{text[: FAULT_CHARACTERS - 3]}..."
    return (
        f"a fault of Bramble's, not of this object: {type(error).__name__}: {told}. "
        f"Bramble goes on trying; the operator's log has the traceback: please report it with that"
    )


def seconds_until(moment: datetime, now: datetime) -> float:
    """From `now`; a moment without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - now).total_seconds()


def label(key: Key) -> str:
    """The object as logs name it."""
    return f"{key.kind} {key.namespace}/{key.name}" if key.namespace else f"{key.kind} {key.name}"
