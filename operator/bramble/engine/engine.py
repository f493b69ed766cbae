"""Puts the engine together: which tasks run, in what order they start, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.clock import utcnow
from bramble.engine.device_reports import DeviceReports
from bramble.engine.document_memory import DocumentMemory
from bramble.engine.elapsed import Elapsed
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults
from bramble.engine.gateway_poll import GatewayPoller
from bramble.engine.lease import Holder, Lease
from bramble.engine.liveness import Liveness
from bramble.engine.metrics import MOST_ROLLOUTS, Metrics
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.engine.places import Places
from bramble.engine.queue import WorkQueue
from bramble.engine.reconcile import Reconciler
from bramble.engine.relist import Relist, WatchProgress
from bramble.engine.serve import Probes
from bramble.engine.store import Stores
from bramble.errors import BrambleError, NotFound
from bramble.kinds.controller import Controller
from bramble.kube.api import Api
from bramble.kube.resources import CONFIG_MAP, DAEMON_SET, JOB, NODE, POD, SERVICE, Key, Manifest, Resource, key_of
from bramble.objectstore.addresses import Addresses
from bramble.settings import Settings

CHILDREN: tuple[Resource, ...] = (JOB, POD, CONFIG_MAP, SERVICE, DAEMON_SET, NODE)
"""What is watched beside our own kinds. Of all but nodes, only the objects with our label are watched."""

SPARE_SECONDS = 60
"""Added to the time of two full lists. When watches and lists have both been silent for longer, this process receives nothing any more."""

ENDING_SECONDS = 10.0
"""How long the watches may take to close their connections."""

CANCEL_SECONDS, CANCEL_ROUNDS = 2.0, 5
"""How long to wait for a cancelled task, and how often to cancel one that has not ended."""

Watch = Callable[["Engine", asyncio.Event], Awaitable[None]]
"""Passes what the API server's watches deliver to `Engine.deliver`, until the event is set."""

log = logging.getLogger(__name__)


class Engine:
    """One replica of the operator.

    Attributes:
        watched: the resources to watch.
        changes: where every change of an object goes in.
        metrics: the metrics of this replica.
    """

    def __init__(self, api: Api, settings: Settings, controllers: Iterable[Controller[Any]], now: Callable[[], datetime] = utcnow) -> None:
        """`now` is the time that passes are planned by."""
        self._api, self._settings = api, settings
        self._controllers = tuple(controllers)
        by_kind = {controller.resource.kind: controller for controller in self._controllers}
        more = (resource for controller in by_kind.values() for resource in controller.children)
        self.watched = tuple(dict.fromkeys((*(controller.resource for controller in by_kind.values()), *CHILDREN, *more)))
        self.metrics = Metrics()
        self._queue, self._places = WorkQueue(share=settings.workers), Places(settings.workers)
        self.changes = Changes(Cache(), self._queue, by_kind)
        self._stores = Stores(api, Addresses(settings.store_networks, api.server), DocumentMemory())
        reports, events, elapsed = DeviceReports(), ObjectEvents(api), Elapsed()
        self._watches = WatchProgress()
        self._relist = Relist(api, self.changes, self.metrics, self.watched, self._watches)
        self._lease = Lease(api, Holder(settings.namespace, settings.pod_name, settings.lease_seconds), self._leads)
        silence = 2 * settings.relist_seconds + SPARE_SECONDS
        liveness = Liveness(self._queue, self._relist, self._watches, self._lease.leading.is_set, silence)
        rules = Rules(status_seconds=settings.status_seconds, instance=settings.pod_name)
        faults = Faults(settings.fault, settings.fault_log)
        self._executor = executor = Executor(api, self._stores, self.changes, self._lease, faults, self.metrics, rules)
        self._reconciler = Reconciler(
            by_kind,
            self._queue,
            self.changes,
            lambda: PassReader(api, settings, self.changes, self._stores, reports, events, elapsed),
            executor,
            self.metrics,
            self._relist.request,
            now,
        )
        executor.failed_patches.on_gone.append(self._relist.request)
        self.changes.on_deleted += [executor.forget, reports.forget, elapsed.forget]
        self._poller = GatewayPoller(api, settings, self.changes, reports, self.metrics)
        self._probes = Probes(liveness, lambda: self._relist.filled, self._measure, self.metrics)

    def deliver(self, event: str | None, manifest: Manifest) -> None:
        """Take in an event of a watch.

        Args:
            event: the event's type (`ADDED`, `MODIFIED`, `DELETED`), or None for an object of the list that a watch begins with. Such a
            list
                does not say what was deleted while nobody watched, so it is followed by a full comparison.
            manifest: the object, with kind and apiVersion.
        """
        self._watches.delivered(manifest)
        if event is None:
            self._relist.request()
        is_new = self.changes.deleted(manifest) if event == "DELETED" else self.changes.updated(manifest)
        if is_new:
            self.metrics.events.labels(manifest["kind"]).inc()

    async def run(self, stop: asyncio.Event, watch: Watch) -> None:
        """Serve the probes, wait until our kinds exist, fill the cache, watch, and work while leading; until `stop` is set.

        Raises:
            Exception: one of the tasks failed; this replica cannot go on.
        """
        runner = await self._probes.start(self._settings.http_port)
        try:
            await first_of(stop, [asyncio.ensure_future(self._begin())])
            if not stop.is_set():
                await self._work(stop, watch)
        finally:
            await self._stores.close()
            await runner.cleanup()

    async def _begin(self) -> None:
        await wait_for_kinds(self._api, self.watched)
        await self._relist.fill()
        log.info("the cache is filled")

    async def _work(self, stop: asyncio.Event, watch: Watch) -> None:
        """Run every task until `stop` is set. What writes is ended first, then the Lease is released, then the rest is ended."""
        writing = [asyncio.ensure_future(self._reconciler.work(self._lease, self._places)), asyncio.ensure_future(self._lease.run())]
        watching = asyncio.ensure_future(watch(self, stop))
        reading = [
            asyncio.ensure_future(self._relist.run(self._settings.relist_seconds)),
            asyncio.ensure_future(self._poller.run()),
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
        """Update the gauges that are read on a scrape. The queue of a replica that does not lead is not worked on, so it counts as
        empty.
        """
        leads = self._lease.leading.is_set()
        self.metrics.depth.set(self._queue.depth if leads else 0)
        self.metrics.oldest.set(self._queue.oldest() if leads else 0)
        for resource in self.watched:
            self.metrics.objects.labels(resource.kind).set(self.changes.cache.count(resource.kind))
        for gauge in self.metrics.of_rollouts.values():
            gauge.clear()
        for key, gauges in islice(self._gauges(), MOST_ROLLOUTS if leads else 0):
            for name, figures in gauges.items():
                for metric, figure in figures.items():
                    self.metrics.of_rollouts[name].labels(key.namespace, key.name, metric).set(figure)

    def _gauges(self) -> Iterator[tuple[Key, Mapping[str, Mapping[str, float]]]]:
        """The objects that judge a version, with their figures, in the order of their names."""
        for controller in self._controllers:
            for manifest in sorted(self.changes.cache.list(controller.resource.kind), key=key_of):
                if any((gauges := controller.gauges(manifest)).values()):
                    yield key_of(manifest), gauges

    def _leads(self, leads: bool) -> None:
        """Start with a new queue when leadership begins or ends, because another replica has been working meanwhile.

        Our watches may not have delivered that replica's last writes yet, so a new leader also takes a full list.
        """
        self.metrics.leader.set(1 if leads else 0)
        self._queue.clear()
        if leads:
            self._executor.begin_to_lead()
            self.changes.wake_all()
            self._relist.request()

    async def _release(self) -> None:
        try:
            await self._lease.release()
        except BrambleError as error:
            log.warning("the lease could not be released: %s; another replica takes it when it expires", error)


async def first_of(stop: asyncio.Event, tasks: Sequence[asyncio.Future[None]], *, keep: bool = False) -> None:
    """Wait until one of the tasks has ended or `stop` is set. Then cancel the other tasks, unless `keep` is set.

    Raises:
        Exception: the one that ended the task.
    """
    ended: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    waited: set[asyncio.Future[Any]] = {ended, *tasks}
    done, pending = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    await cancel([task for task in pending if task is ended or not keep])
    for task in done:
        task.result()


async def cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and wait until they have ended. A task that does not end is logged and left running."""
    ending = tuple(tasks)
    pending = {task for task in ending if not task.done()}
    for _ in range(CANCEL_ROUNDS):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
    for task in ending:
        if task in pending:
            log.error("a task does not end after being cancelled: %r", task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed while the operator was stopping: %s: %s", type(error).__name__, error)


async def wait_for_kinds(api: Api, resources: Iterable[Resource], seconds: float = 1.0) -> None:
    """Wait until the API server serves all of them. kopf would ignore a kind whose CRD is installed later."""
    missing = tuple(resources)
    while missing:
        problems = [(resource, problem) for resource in missing if (problem := await _list_problem(api, resource))]
        for resource, problem in problems:
            log.info("%s cannot be listed yet: %s", resource.plural, problem)
        missing = tuple(resource for resource, _ in problems)
        if missing:
            await asyncio.sleep(seconds)


async def _list_problem(api: Api, resource: Resource) -> str:
    """Why this resource cannot be listed, or an empty text. The list needs the same permission as the watch."""
    try:
        await api.list(resource, label_selector=f"{resource.group or 'core'}/none=none")
    except NotFound:
        return "the API server does not serve it; install the CRDs"
    except BrambleError as error:
        return str(error)
    return ""
