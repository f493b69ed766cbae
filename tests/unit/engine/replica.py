"""One life of the operator over a FakeApi: everything that a crash loses, made new by each `Replica`."""

# ruff: noqa: ARG002 - the arguments are the protocol's

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any

from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.device_reports import DeviceReports
from bramble.engine.elapsed import Elapsed
from bramble.engine.execute import Executor, Rules
from bramble.engine.faults import Faults, Site
from bramble.engine.metrics import Metrics
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.engine.queue import WorkQueue
from bramble.engine.reconcile import Reconciler
from bramble.engine.relist import Relist, WatchProgress
from bramble.errors import DocumentTooLarge
from bramble.kinds.blockers import Blocker
from bramble.kinds.controller import Controller
from bramble.kube.resources import CONFIG_MAP, JOB, POD, Resource
from bramble.settings import Settings
from tests.unit.engine.fake_api import FakeApi

SETTINGS = Settings(
    namespace="bramble-system",
    images_train="bramble.local/train@sha256:1",
    images_convert="bramble.local/convert@sha256:2",
    images_edge="bramble.local/edge@sha256:3",
    gateway_url="https://bramble-gateway.bramble-system.svc:8443",
    gateway_ca="/nowhere/ca.crt",
)


class Crash(BaseException):
    """The process ends here."""


class FakeStore:
    """Documents by namespace and key."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], bytes] = {}

    async def problem(self, namespace: str) -> Blocker | None:
        return None

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:
        content = self.documents.get((namespace, key))
        if content is not None and len(content) > most:
            raise DocumentTooLarge(f"{key} has more than {most} bytes")
        return content

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        self.documents.setdefault((namespace, key), content)


class CountedFaults(Faults):
    """Raises Crash at the given write sites, counted over all lives."""

    def __init__(self, crashes: Iterable[int]) -> None:
        super().__init__()
        self.crashes = set(crashes)
        self.passed: list[str] = []

    def _pass(self, moment: Any, site: Site) -> None:
        self.passed.append(f"{moment}:{site}")
        if len(self.passed) - 1 in self.crashes:
            raise Crash(self.passed[-1])


class AlwaysLeads:
    def check(self) -> None:
        return


class Time:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def live_through(
    replica: Callable[[], Replica], run_one: Callable[[], bool], check: Callable[[], None] = lambda: None, most: int = 200
) -> None:
    """Lives of the operator, each ended by a crash or by there being nothing left to do, while the cluster goes on.

    Args:
        replica: makes the next life.
        run_one: lets the cluster do one thing; whether there was any.
        check: called after each life but the last.
        most: lives, after which it has failed.
    """
    for _ in range(most):
        try:
            await replica().settle()
            if not run_one():
                return
        except Crash:
            run_one()
        check()
    raise AssertionError(f"{most} lives were not enough")


class Replica:
    """A queue, a cache and a reconciler, filled by a full list as at every start."""

    def __init__(
        self,
        api: FakeApi,
        store: FakeStore,
        controllers: Iterable[Controller[Any]],
        faults: Faults,
        time: Time,
        *,
        settings: Settings = SETTINGS,
        also: tuple[Resource, ...] = (),
    ) -> None:
        by_kind = {controller.resource.kind: controller for controller in controllers}
        metrics = Metrics()
        self.time, self.api, elapsed = time, api, Elapsed(time)
        self.queue = WorkQueue(clock=time, draw=random.Random(1))
        self.changes = Changes(Cache(), self.queue, by_kind)
        children = (resource for controller in by_kind.values() for resource in controller.children)
        resources = (*(controller.resource for controller in by_kind.values()), JOB, POD, CONFIG_MAP, *children, *also)
        self.relist = Relist(api, self.changes, metrics, resources, WatchProgress(time), clock=time)
        executor = Executor(api, store, self.changes, AlwaysLeads(), faults, metrics, Rules(status_seconds=0, instance="test"))
        self.reconciler = Reconciler(
            by_kind,
            self.queue,
            self.changes,
            lambda: PassReader(api, settings, self.changes, store, DeviceReports(time), ObjectEvents(api, time), elapsed),
            executor,
            metrics,
            self.relist.request,
        )

    async def settle(self, passes: int = 200, seconds: float = 30.0) -> None:
        """Deliver all changes and run passes until nothing is left to do within `seconds`; raises Crash through."""
        await self.relist.compare()
        until = self.time.now + seconds
        for _ in range(passes):
            if self.queue.idle:
                due = self.queue.next_due()
                if due is None or due > until:
                    return
                self.time.now = max(self.time.now, due)
                continue
            key = await asyncio.wait_for(self.queue.get(), 10)
            try:
                await self.reconciler._guarded_pass(key)
            finally:
                self.queue.done(key)
            await self.relist.compare()
        raise AssertionError(f"no end after {passes} passes: {self.queue.depth} keys wait")
