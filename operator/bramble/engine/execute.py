"""Carrying out a plan: its items in order, one status write, then events. The only place that writes.

Each write checks the Lease's deadline, passes a fault site before and after, and is conditional on what the pass saw,
so that a leader that stalled in between changes nothing (design, §3).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bramble.api.labels import STEP
from bramble.engine.cache import labels_of
from bramble.engine.clock import boottime, utcnow
from bramble.engine.events import event
from bramble.engine.faults import Faults, Site
from bramble.engine.feed import Feed
from bramble.engine.metrics import Metrics
from bramble.engine.ownership import marked, require_ours, says
from bramble.engine.status import check_memory, fit, same, turned
from bramble.errors import AlreadyExists, BrambleError, Conflict, NameConflict, NotLeader
from bramble.kinds.plan import Apply, CreateOnce, Delete, Emit, FileResult, Item, PatchFields, Plan
from bramble.kube.api import Api
from bramble.kube.resources import EVENT, RESOURCES, Key, Manifest, key_of

Result = TypeVar("Result")
Seen = Mapping[Key, Manifest | None]
"""What the pass read; None: not there."""

log = logging.getLogger(__name__)


class Guard(Protocol):
    """Says whether this replica may write now."""

    def check(self) -> None:
        """Raises bramble.errors.NotLeader."""


class Filing(Protocol):
    """Where results are filed."""

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        """Write a small document; one that is there is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say about writing.

    Attributes:
        status_seconds: least time between two status writes that change neither a condition nor memory.
        instance: of this replica, in events.
    """

    status_seconds: float
    instance: str


def child_of(kind: str, manifest: Manifest | None = None) -> str:
    """The child as fault sites name it: its kind, and its step where it has one."""
    step = labels_of(manifest).get(STEP) if manifest is not None else None
    return f"{kind}/{step}" if step else kind


class Executor:
    """Writes what plans say."""

    def __init__(self, api: Api, filing: Filing, feed: Feed, guard: Guard, faults: Faults, metrics: Metrics, rules: Rules) -> None:
        self._api, self._filing, self._feed, self._guard = api, filing, feed, guard
        self._faults, self._metrics, self._rules = faults, metrics, rules
        self._clock: Callable[[], float] = boottime
        self._status_written: dict[str, float] = {}

    async def carry_out(self, planned: Manifest, plan: Plan, seen: Seen, memory: frozenset[str] = frozenset()) -> float | None:
        """All of a plan, for the object as the pass saw it.

        Returns:
            Seconds after which the status, held back now, may be written; None when nothing was held back.

        Raises:
            BrambleError: a write failed; those before it have landed.
        """
        former = planned.get("status") or {}
        if plan.status is not None:
            check_memory(former, plan.status, memory, plan.remember)
        for item in plan.items:
            planned = await self._item(planned, item, seen)
        if plan.status is None:
            await self._tell(planned, plan.events)
            return None
        return await self._status(planned, plan, memory)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._status_written.pop(uid, None)

    async def _item(self, planned: Manifest, item: Item, seen: Seen) -> Manifest:
        """One write; returns the planned object, newer when the write was of itself."""
        kind = planned["kind"]
        match item:
            case CreateOnce(manifest):
                await self._create(kind, manifest)
            case Apply(manifest):
                await self._apply(kind, manifest, seen)
            case Delete(key, uid, propagation):
                resource = RESOURCES[key.kind]
                site = Site(kind, "delete", child_of(key.kind, seen.get(key)))
                await self._write(site, lambda: self._api.delete(resource, key.namespace, key.name, uid, propagation))
            case FileResult(namespace, store_key, content):
                site = Site(kind, "file", store_key.split("/", 1)[0])
                await self._write(site, lambda: self._filing.put_once(namespace, store_key, content))
            case PatchFields():
                patched = await self._patch(kind, item)
                return patched if item.key == key_of(planned) else planned
        return planned

    async def _create(self, kind: str, manifest: Manifest) -> None:
        """Create a child unless it is there; not ours ends the pass."""
        resource, key = RESOURCES[manifest["kind"]], key_of(manifest)
        if (found := self._feed.cache.get(key)) is not None:
            require_ours(found, manifest)
            return
        try:
            made = await self._write(Site(kind, "create", child_of(key.kind, manifest)), lambda: self._api.create(resource, manifest))
        except AlreadyExists:
            found = await self._api.get(resource, key.namespace, key.name)
            if found is None:
                raise
            require_ours(found, manifest)
            made = found
        self._feed.seen(made)

    async def _apply(self, kind: str, manifest: Manifest, seen: Seen) -> None:
        """Apply a child onto the state that the pass saw; not ours ends the pass."""
        resource, key, wanted = RESOURCES[manifest["kind"]], key_of(manifest), marked(manifest)
        found = seen[key] if key in seen else await self._api.get(resource, key.namespace, key.name)
        if found is not None:
            require_ours(found, manifest)
            if says(found, wanted):
                return
            conditions = {name: found["metadata"][name] for name in ("uid", "resourceVersion")}
            wanted = {**wanted, "metadata": {**wanted["metadata"], **conditions}}
        site, force = Site(kind, "apply", child_of(key.kind, manifest)), found is not None
        try:
            applied = await self._write(site, lambda: self._api.apply(resource, wanted, force=force))
        except Conflict as error:
            if not force:
                raise NameConflict(f"{key.kind} {key.namespace}/{key.name} was made by somebody else just now: {error}") from error
            raise
        if not force and not applied.created:
            log.warning("%s %s/%s was made by somebody else while it was being applied", *key)
        self._feed.seen(applied.manifest)

    async def _patch(self, kind: str, item: PatchFields) -> Manifest:
        """A merge patch of the object as the pass saw it."""
        metadata = {**(item.patch.get("metadata") or {}), "uid": item.uid, "resourceVersion": item.resource_version}
        patch, resource, key = {**item.patch, "metadata": metadata}, RESOURCES[item.key.kind], item.key
        patched = await self._write(Site(kind, "patch", key.kind), lambda: self._api.merge(resource, key.namespace, key.name, patch))
        self._feed.seen(patched)
        return patched

    async def _status(self, planned: Manifest, plan: Plan, memory: frozenset[str]) -> float | None:
        """The one status write of a pass, unless it says nothing new or comes too soon."""
        former, present = planned.get("status") or {}, fit(plan.status or {}, memory)
        if same(former, present):
            return None
        uid = planned["metadata"]["uid"]
        if not plan.remember and not turned(former, present):
            wait = self._status_written.get(uid, float("-inf")) + self._rules.status_seconds - self._clock()
            if wait > 0:
                return wait
        resource, changed = RESOURCES[planned["kind"]], {**planned, "status": present}
        verb = "remember" if plan.remember else "status"
        written = await self._write(Site(planned["kind"], verb, planned["kind"]), lambda: self._api.replace_status(resource, changed))
        self._status_written[uid] = self._clock()
        self._feed.seen(written)
        await self._tell(written, plan.events)
        return None

    async def _tell(self, about: Manifest, events: tuple[Emit, ...]) -> None:
        """Events are for people: one that cannot be written is logged and counted, and holds nothing up."""
        now = utcnow()
        for emit in events:
            try:
                await self._event(about, event(about, emit, self._rules.instance, now))
            except AlreadyExists:
                continue
            except NotLeader:
                raise
            except BrambleError as error:
                self._metrics.errors.labels(about["kind"], type(error).__name__).inc()
                log.warning("event %s of %s was not written: %s", emit.reason, key_of(about), error)

    async def _event(self, about: Manifest, manifest: Manifest) -> None:
        await self._write(Site(about["kind"], "create", EVENT.kind), lambda: self._api.create(EVENT, manifest))

    async def _write(self, site: Site, call: Callable[[], Awaitable[Result]]) -> Result:
        self._guard.check()
        self._faults.before(site)
        result = await call()
        self._faults.after(site)
        self._metrics.writes.labels(site.kind, site.verb).inc()
        return result
