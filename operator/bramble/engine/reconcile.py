"""Runs passes: one pass plans one object and carries the plan out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bramble.api.conditions import Condition, merge
from bramble.boottime import boottime
from bramble.engine.changes import Changes
from bramble.engine.clock import utcnow
from bramble.engine.execute import Executor
from bramble.engine.lease import Lease
from bramble.engine.metrics import Metrics
from bramble.engine.pass_reader import PassReader
from bramble.engine.places import PRESENT, Place, Places
from bramble.engine.queue import WorkQueue
from bramble.errors import BrambleError, Conflict, NotAdmitted, NotFound, NotLeader, Retryable, StoreUnavailable, Terminal
from bramble.kinds.controller import Controller
from bramble.kinds.plan import Plan
from bramble.kinds.status_update import events_of
from bramble.kube.resources import Key, Manifest

PASS_SECONDS = 60.0
"""Time limit of a pass, so that a store or an API server that hangs does not hold its place. Reporting a failure may take two requests
more."""

TERMINAL_SECONDS = 30.0
"""Seconds until an object is planned again after a terminal error. Its cause may be an object that is not watched."""

FAILURES_BEFORE_REPORT = 3
"""Retryable failures in a row after which the object's Ready condition reports the error. Fewer usually pass by themselves."""

READY = "Ready"
INTERNAL_ERROR = "InternalError"
PASS_TIMED_OUT = "PassTimedOut"
ERROR_CHARACTERS = 400
"""Most characters of an unexpected exception in a condition, so that the advice after it still fits."""

log = logging.getLogger(__name__)


class Reconciler:
    """Takes keys from the queue and runs their passes: gather, plan, execute."""

    def __init__(
        self,
        controllers: Mapping[str, Controller[Any]],
        queue: WorkQueue,
        changes: Changes,
        reader: Callable[[], PassReader],
        executor: Executor,
        metrics: Metrics,
        request_relist: Callable[[], None],
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        """`reader` makes the reader of one pass; `request_relist` is called when a write finds that a cached object no longer exists; `now`
        is the time that passes are planned by.
        """
        self._controllers, self._queue, self._changes = controllers, queue, changes
        self._reader, self._executor, self._metrics = reader, executor, metrics
        self._request_relist, self._now = request_relist, now

    async def work(self, lease: Lease, places: Places) -> None:
        """Take keys and run their passes while this replica leads, for ever."""
        async with asyncio.TaskGroup() as passes:
            while True:
                await lease.leading.wait()
                key = await self._queue.get()
                passes.create_task(self._pass(key, lease, await places.take()))

    async def _pass(self, key: Key, lease: Lease, place: Place) -> None:
        """Run the pass of a key that was taken from the queue, in the place that was taken for it."""
        PRESENT.set(place)  # for this task and those that it begins
        try:
            if lease.leading.is_set():
                await self._guarded_pass(key)
        finally:
            self._queue.done(key)
            place.end()

    async def reconcile(self, key: Key) -> None:
        """Run one pass.

        Raises:
            BrambleError: the pass could not be finished. What was written before the error has landed.
        """
        controller, reader = self._controllers[key.kind], self._reader()
        observed = await controller.gather(key, reader)
        planned = reader.states.get(key)
        if observed is None or planned is None:
            self._queue.forget(key)
            return
        now = self._now()
        # A plan looks at thousands of devices, and is pure. In a thread it keeps the loop from renewing the Lease for milliseconds at most.
        plan = await asyncio.to_thread(controller.plan, observed, now)
        due_in = await self._executor.execute(planned, plan, reader.states, controller.memory)
        if due_in is not None:
            self._queue.add_after(key, due_in)
        if plan.wake_at is not None:
            self._queue.add_after(key, seconds_until(plan.wake_at, now))

    async def _guarded_pass(self, key: Key) -> None:
        """Run one pass and handle its failure, so that other objects go on."""
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
                self._request_relist()
            delay = self._queue.retry(key)
            log.info("%s: %s: %s; next try in %.1f s", label(key), type(error).__name__, error, delay)
            described = describe_retryable(error)
            enough = 1 if isinstance(error, NotAdmitted) else FAILURES_BEFORE_REPORT
            if described is not None and self._queue.failures(key) >= enough:
                await self._report(key, *described)
        except Exception as error:  # the queue loop: one object's fault must not stop the others (house style, rule 12)
            self._count(key, error)
            delay = self._queue.retry(key)
            log.exception("%s: the pass failed; next try in %.1f s", label(key), delay)
            if self._queue.failures(key) >= FAILURES_BEFORE_REPORT:
                await self._report(key, INTERNAL_ERROR, describe_unexpected(error))
        else:
            self._queue.succeeded(key)
        self._metrics.reconcile.labels(key.kind).observe(boottime() - began)

    async def _report(self, key: Key, reason: str, message: str) -> None:
        """Write a failed pass into the object as `Ready=False`. The next pass that succeeds replaces the condition."""
        planned = self._changes.cache.get(key)
        if planned is None:
            return
        try:
            await self._executor.execute(planned, not_ready(planned, reason, message, self._now()), {}, self._controllers[key.kind].memory)
        except (BrambleError, RecursionError) as second:  # an object that is nested too deep to be planned may be too deep to be written
            self._count(key, second)
            delay = self._queue.retry(key)
            log.info("%s: the condition could not be written: %s; next try in %.1f s", label(key), second, delay)

    def _count(self, key: Key, error: BaseException) -> None:
        self._metrics.errors.labels(key.kind, type(error).__name__).inc()


def not_ready(planned: Manifest, reason: str, message: str, now: datetime) -> Plan:
    """A plan that writes the failure into the Ready condition and emits its event. The rest of the status stays."""
    status = planned.get("status") or {}
    former = status.get("conditions") or ()
    ready = (Condition(READY, "False", reason, message),)
    generation = int(planned["metadata"].get("generation", 0))
    conditions = merge(former, ready, generation, now)
    events = events_of(former, ready, {reason: "Warning"})
    return Plan(status={**status, "conditions": conditions}, events=events)


def describe_retryable(error: Exception) -> tuple[str, str] | None:
    """Reason and message for the Ready condition; None for errors that a status cannot explain, such as an API server that is away."""
    if isinstance(error, StoreUnavailable | NotAdmitted):
        return type(error).__name__, str(error)
    if isinstance(error, TimeoutError):
        return PASS_TIMED_OUT, (
            f"Planning this object takes longer than {PASS_SECONDS:g} s, because the store or the API server answers slowly. "
            f"Bramble keeps trying; check the store"
        )
    return None


def describe_unexpected(error: Exception) -> str:
    """The message of a condition about an exception that no code expects."""
    text = str(error)
    shown = text if len(text) <= ERROR_CHARACTERS else f"{text[: ERROR_CHARACTERS - 3]}..."
    return (
        f"Bramble has a fault, not this object: {type(error).__name__}: {shown}. "
        f"Bramble keeps trying; please report this with the traceback in the operator's log"
    )


def seconds_until(moment: datetime, now: datetime) -> float:
    """Seconds from `now` until `moment`, which is in UTC if it names no zone."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - now).total_seconds()


def label(key: Key) -> str:
    """The object's name in log lines."""
    return f"{key.kind} {key.namespace}/{key.name}" if key.namespace else f"{key.kind} {key.name}"
