"""The engine put together: what runs, in what order, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from bramble.engine.cache import Cache
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults
from bramble.engine.feed import Feed
from bramble.engine.lease import Holder, Lease
from bramble.engine.liveness import Liveness
from bramble.engine.metrics import Metrics
from bramble.engine.observe import Board, Observer
from bramble.engine.queue import WorkQueue
from bramble.engine.reconcile import Reconciler
from bramble.engine.relist import Deliveries, Relist
from bramble.engine.serve import Probes
from bramble.engine.sources import Reader
from bramble.engine.store import Stores
from bramble.errors import BrambleError, NotFound
from bramble.kinds.controller import Controller
from bramble.kube.api import Api
from bramble.kube.resources import CONFIG_MAP, DAEMON_SET, JOB, NODE, POD, SERVICE, Resource
from bramble.settings import Settings

CHILDREN: tuple[Resource, ...] = (JOB, POD, CONFIG_MAP, SERVICE, DAEMON_SET, NODE)
"""What is watched beside the kinds themselves; all but nodes by our label only."""

SPARE_SECONDS = 60
"""On top of two full lists, before watches and lists that are both silent mean that this process is deaf."""

ENDING_SECONDS = 10.0
"""What the watches get to close their connections."""

CANCEL_SECONDS, CANCEL_ROUNDS = 2.0, 5
"""How often a task is cancelled that does not end, and how long each time is waited for it."""

Watch = Callable[["Engine", asyncio.Event], Awaitable[None]]
"""Delivers what the API server's watches say to `Engine.feed` until the event is set."""

log = logging.getLogger(__name__)


class Engine:
    """One replica of the operator.

    Attributes:
        feed: where watches deliver.
        watched: the resources that they should watch.
        deliveries: told of everything that they deliver.
        relist: told when one of them has begun anew.
    """

    def __init__(self, api: Api, settings: Settings, controllers: Iterable[Controller[Any]]) -> None:
        self._api, self._settings = api, settings
        by_kind = {controller.resource.kind: controller for controller in controllers}
        self.watched = (*(controller.resource for controller in by_kind.values()), *CHILDREN)
        self.metrics = Metrics()
        self._queue = WorkQueue()
        self.feed = Feed(Cache(), self._queue, by_kind)
        self._stores, board = Stores(api), Board()
        self.deliveries = Deliveries()
        self.relist = Relist(api, self.feed, self.metrics, self.watched, self.deliveries)
        self._lease = Lease(api, Holder(settings.namespace, settings.pod_name, settings.lease_seconds), self._turned)
        silence = 2 * settings.relist_seconds + SPARE_SECONDS
        liveness = Liveness(self._queue, self.relist, self.deliveries, self._lease.leading.is_set, silence)
        rules = Rules(status_seconds=settings.status_seconds, instance=settings.pod_name)
        faults = Faults(settings.fault, settings.fault_log)
        executor = Executor(api, self._stores, self.feed, self._lease, faults, self.metrics, rules)
        self._reconciler = Reconciler(
            by_kind,
            self._queue,
            self.feed,
            lambda: Reader(api, settings, self.feed, self._stores, board),
            executor,
            self.metrics,
            self.relist.soon,
        )
        self.feed.ended += [executor.forget, board.forget]
        self._observer = Observer(api, settings, self.feed, board, self.metrics)
        self._probes = Probes(liveness, lambda: self.relist.filled, self._measure, self.metrics)

    async def run(self, stop: asyncio.Event, watch: Watch) -> None:
        """Serve probes, wait for our kinds, fill the cache, watch, lead when possible; until `stop` is set.

        Raises:
            Exception: one of the tasks failed, and with it this replica.
        """
        runner = await self._probes.start(self._settings.http_port)
        try:
            await first_of(stop, [asyncio.ensure_future(self._begin())])
            if not stop.is_set():
                await self._work(stop, watch)
        finally:
            self._stores.close()
            await runner.cleanup()

    async def _begin(self) -> None:
        await wait_for_kinds(self._api, self.watched)
        await self.relist.fill()
        log.info("the cache is filled")

    async def _work(self, stop: asyncio.Event, watch: Watch) -> None:
        """Everything that runs for ever. What writes ends first, then the Lease is given up, then the rest ends."""
        workers = [asyncio.ensure_future(self._reconciler.work(self._lease)) for _ in range(self._settings.workers)]
        writing = [*workers, asyncio.ensure_future(self._lease.run())]
        watching = asyncio.ensure_future(watch(self, stop))
        reading = [
            asyncio.ensure_future(self.relist.run(self._settings.relist_seconds)),
            asyncio.ensure_future(self._observer.run()),
        ]
        try:
            await first_of(stop, [*writing, *reading, watching], keep=True)
        finally:
            await cancel(writing)
            await self._release()
            stop.set()
            await cancel(reading)
            await asyncio.wait([watching], timeout=ENDING_SECONDS)
            await cancel([watching])

    def _measure(self) -> None:
        """Figures that are taken when somebody asks for them."""
        leads = self._lease.leading.is_set()  # nobody works on the queue of a replica that waits; it begins anew when it leads
        self.metrics.depth.set(self._queue.depth if leads else 0)
        self.metrics.oldest.set(self._queue.oldest() if leads else 0)
        for resource in self.watched:
            self.metrics.objects.labels(resource.kind).set(self.feed.cache.count(resource.kind))

    def _turned(self, leads: bool) -> None:
        """Leadership began or ended: begin from nothing, since another replica has been at work meanwhile.

        Our own watches may be behind what it did last, which a full list finds out.
        """
        self.metrics.leader.set(1 if leads else 0)
        self._queue.clear()
        if leads:
            self.feed.wake_all()
            self.relist.soon()

    async def _release(self) -> None:
        try:
            await self._lease.release()
        except BrambleError as error:
            log.warning("the lease could not be released: %s; another replica takes it when it has expired", error)


async def first_of(stop: asyncio.Event, tasks: Sequence[asyncio.Future[None]], *, keep: bool = False) -> None:
    """Until one of the tasks has ended or `stop` is set; what still runs is then cancelled unless it is to be kept.

    Raises:
        Exception: that of the task that ended.
    """
    ended: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    waited: set[asyncio.Future[Any]] = {ended, *tasks}
    done, pending = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    await cancel([task for task in pending if task is ended or not keep])
    for task in done:
        task.result()


async def cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel them and wait until they have ended, however they do; what does not end is named and left."""
    ending = tuple(tasks)
    pending = {task for task in ending if not task.done()}
    for _ in range(CANCEL_ROUNDS):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
    for task in ending:
        if task in pending:
            log.error("a task does not end: %r", task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed while the operator was ending: %s: %s", type(error).__name__, error)


async def wait_for_kinds(api: Api, resources: Iterable[Resource], seconds: float = 1.0) -> None:
    """Until the API server serves them all: kopf would pass over a kind whose CRD comes later."""
    missing = tuple(resources)
    while missing:
        problems = [(resource, problem) for resource in missing if (problem := await _list_problem(api, resource))]
        for resource, problem in problems:
            log.info("%s cannot be listed yet: %s", resource.plural, problem)
        missing = tuple(resource for resource, _ in problems)
        if missing:
            await asyncio.sleep(seconds)


async def _list_problem(api: Api, resource: Resource) -> str:
    """Why this resource cannot be listed (with the same right that its watch needs), or nothing."""
    try:
        await api.list(resource, label_selector=f"{resource.group or 'core'}/none=none")
    except NotFound:
        return "the API server does not serve it; install the CRDs"
    except BrambleError as error:
        return str(error)
    return ""
