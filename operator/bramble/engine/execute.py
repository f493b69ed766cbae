"""Carries out a plan: its items in order, then one status write, then events. Nothing else in the operator writes.

Each write first checks the Lease's deadline, and passes a write site before and after. Each is conditional on the state that the pass read.
So a leader that stalled in between changes nothing (design, §3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard, TypeVar

from bramble.api.conditions import find, merge
from bramble.api.labels import STEP
from bramble.boottime import boottime
from bramble.engine.cache import labels_of
from bramble.engine.changes import Changes
from bramble.engine.clock import utcnow
from bramble.engine.events import event
from bramble.engine.failed_patches import FailedPatches
from bramble.engine.faults import Faults, Site
from bramble.engine.metrics import Metrics
from bramble.engine.ownership import matches, require_ours, with_digest
from bramble.engine.rewritten import CONDITION, RewrittenChildren
from bramble.engine.status import check_memory, conditions_changed, same, shorten
from bramble.errors import AlreadyExists, BrambleError, Conflict, NameConflict, NotFound, NotLeader
from bramble.kinds.plan import Apply, CreateOnce, Delete, Emit, FileResult, Item, PatchFields, Plan
from bramble.kube.api import Api
from bramble.kube.resources import EVENT, RESOURCES, Key, Manifest, key_of

Result = TypeVar("Result")
States = Mapping[Key, Manifest | None]
"""What the pass read, by key; None for an object that does not exist."""

log = logging.getLogger(__name__)


class LeaderCheck(Protocol):
    """Tells whether this replica may write now."""

    def check(self) -> None:
        """Raises bramble.errors.NotLeader."""


class ResultStore(Protocol):
    """Where results are filed."""

    async def put_once(self, namespace: str, key: str, content: bytes) -> None:
        """Write a small document unless it exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings about writing.

    Attributes:
        status_seconds: the shortest time between two status writes of an object that change neither a condition nor memory.
        instance: the name of this replica in events.
    """

    status_seconds: float
    instance: str


PATCHES_AT_ONCE = 8
"""Patches that stand alone at the same time. A Fleet has one for each node that joins it."""


def stands_alone(item: Item) -> TypeGuard[PatchFields]:
    """Whether nothing else of the plan depends on this item."""
    return isinstance(item, PatchFields) and item.alone


def child_label(kind: str, manifest: Manifest | None = None) -> str:
    """The name of a child in write sites: its kind and, where it has one, its step."""
    step = labels_of(manifest).get(STEP) if manifest is not None else None
    return f"{kind}/{step}" if step else kind


class Executor:
    """Writes what plans contain."""

    def __init__(
        self, api: Api, results: ResultStore, changes: Changes, leader: LeaderCheck, faults: Faults, metrics: Metrics, rules: Rules
    ) -> None:
        self._api, self._results, self._changes, self._leader = api, results, changes, leader
        self._faults, self._metrics, self._rules = faults, metrics, rules
        self._clock: Callable[[], float] = boottime
        self._status_written: dict[str, float] = {}
        self._rewritten = RewrittenChildren(self._clock)
        self.failed_patches = FailedPatches(metrics)

    async def execute(self, planned: Manifest, plan: Plan, states: States, memory: frozenset[str] = frozenset()) -> float | None:
        """Carry out a whole plan.

        Args:
            planned: the object that was planned, as the pass read it.
            states: everything that the pass read.
            memory: the wire names of the status fields that only a plan with `remember` may change.

        Returns:
            The seconds after which there is more to write: a patch of an object that has changed, a status that was held back, or a child
            that something rewrites, which is then tried again. None if there is nothing.

        Raises:
            BrambleError: a write failed. The writes before it have landed.
        """
        former = planned.get("status") or {}
        if plan.status is not None:
            check_memory(former, plan.status, memory, plan.remember)
        for item in plan.items:
            if isinstance(item, CreateOnce) and (found := states.get(key_of(item.manifest))) is not None:
                require_ours(found, item.manifest)  # before the first write: a pod would mount somebody else's ConfigMap of that name
        for item in plan.items:
            if not stands_alone(item):
                planned = await self._item(planned, item, states)
        again = await self._patch_all(planned, [item for item in plan.items if stands_alone(item)])
        held_back = None
        if plan.status is None:
            await self._emit(planned, plan.events)
        else:
            held_back = await self._status(planned, self._with_rewritten(planned, plan), memory)
        due = (again, held_back, self._rewritten.due_in(planned["metadata"]["uid"]))
        return min((each for each in due if each is not None), default=None)

    def _with_rewritten(self, planned: Manifest, plan: Plan) -> Plan:
        """The plan, whose status also says which children something else rewrites."""
        status, uid = plan.status or {}, planned["metadata"]["uid"]
        conditions = [each for each in status.get("conditions") or () if each["type"] != CONDITION]
        told = find(status.get("conditions") or (), CONDITION)
        if (condition := self._rewritten.condition(uid)) is None:
            # A plan without children proves nothing: it may be the first one of a new leader, which has applied none yet.
            looked = any(isinstance(item, Apply | Delete) for item in plan.items)
            return plan if told is None or not looked else replace(plan, status={**status, "conditions": conditions})
        generation = int(planned["metadata"].get("generation", 0))
        merged = [*conditions, *merge([told] if told is not None else [], (condition,), generation, utcnow())]
        events = () if told is not None else (Emit("Warning", condition.reason, condition.message),)
        return replace(plan, status={**status, "conditions": merged}, events=(*plan.events, *events))

    def begin_to_lead(self) -> None:
        """Drop what was learnt in an earlier time of leading."""
        self._rewritten.forget_all()

    def forget(self, uid: str) -> None:
        """Drop what is kept about a deleted object."""
        self._status_written.pop(uid, None)
        self.failed_patches.forget(uid)
        self._rewritten.forget(uid)

    async def _item(self, planned: Manifest, item: Item, states: States) -> Manifest:
        """Carry out one item. Returns the planned object, in its new state if the item changed it."""
        kind = planned["kind"]
        match item:
            case CreateOnce(manifest, needs):
                await self._create(kind, manifest, needs)
            case Apply(manifest):
                await self._apply(planned, manifest, states)
            case Delete(key, uid, propagation):
                resource = RESOURCES[key.kind]
                site = Site(kind, "delete", child_label(key.kind, states.get(key)))
                await self._write(site, lambda: self._api.delete(resource, key.namespace, key.name, uid, propagation))
                self._rewritten.as_stated(planned["metadata"]["uid"], key)
            case FileResult(namespace, store_key, content):
                site = Site(kind, "file", store_key.split("/", 1)[0])
                await self._write(site, lambda: self._results.put_once(namespace, store_key, content))
            case PatchFields():
                patched = await self._patch(kind, item)
                return patched if item.key == key_of(planned) else planned
        return planned

    async def _create(self, kind: str, manifest: Manifest, needs: tuple[Manifest, ...] = ()) -> None:
        """Create a child unless it exists. An existing object that is not the wanted child ends the pass."""
        resource, key = RESOURCES[manifest["kind"]], key_of(manifest)
        if (found := self._changes.cache.get(key)) is not None:
            require_ours(found, manifest)
            return
        for needed in needs:
            await self._require_admitted(needed)
        try:
            site, marked = Site(kind, "create", child_label(key.kind, manifest)), with_digest(manifest)
            made = await self._write(site, lambda: self._api.create(resource, marked))
        except AlreadyExists:
            found = await self._api.get(resource, key.namespace, key.name)
            if found is None:
                raise
            require_ours(found, manifest)
            made = found
        self._changes.updated(made)

    async def _require_admitted(self, manifest: Manifest) -> None:
        """End the pass if the API server would refuse this child, or has an object of its name that is not the wanted child."""
        resource, key = RESOURCES[manifest["kind"]], key_of(manifest)
        if (found := self._changes.cache.get(key)) is not None:
            require_ours(found, manifest)
            return
        try:
            await self._api.create(resource, with_digest(manifest), dry_run=True)
        except AlreadyExists:
            if (found := await self._api.get(resource, key.namespace, key.name)) is not None:
                require_ours(found, manifest)

    async def _apply(self, planned: Manifest, manifest: Manifest, states: States) -> None:
        """Apply a child, on condition that it is still in the state that the pass read. A child that already matches is not written, and
        neither is one that something else rewrites to what was found.

        An object of that name that is not the wanted child ends the pass. Only a child that is known to be ours is applied with force.
        """
        resource, key, stated = RESOURCES[manifest["kind"]], key_of(manifest), with_digest(manifest)
        wanted, owner = stated, planned["metadata"]["uid"]
        found = states[key] if key in states else await self._api.get(resource, key.namespace, key.name)
        if found is not None:
            require_ours(found, manifest)
            if matches(found, stated):
                self._rewritten.as_stated(owner, key)
                return
            if self._rewritten.is_settled(owner, key, found, stated):
                return
            preconditions = {name: found["metadata"][name] for name in ("uid", "resourceVersion")}
            wanted = {**stated, "metadata": {**stated["metadata"], **preconditions}}
        site, force = Site(planned["kind"], "apply", child_label(key.kind, manifest)), found is not None
        try:
            applied = await self._write(site, lambda: self._api.apply(resource, wanted, force=force))
        except Conflict as error:
            if not force:
                raise NameConflict(f"somebody else has just created {key.kind} {key.namespace}/{key.name}: {error}") from error
            raise
        if not force and not applied.created:
            log.warning("somebody else created %s %s/%s while it was being applied", *key)
        self._rewritten.applied(owner, key, applied.manifest, stated)
        self._changes.updated(applied.manifest)

    async def _patch(self, kind: str, item: PatchFields) -> Manifest:
        """Merge-patch an object, on condition that it is still in the state that the pass read."""
        metadata = {**(item.patch.get("metadata") or {}), "uid": item.uid, "resourceVersion": item.resource_version}
        patch, resource, key = {**item.patch, "metadata": metadata}, RESOURCES[item.key.kind], item.key
        patched = await self._write(Site(kind, "patch", key.kind), lambda: self._api.merge(resource, key.namespace, key.name, patch))
        self._changes.updated(patched)
        return patched

    async def _patch_all(self, planned: Manifest, patches: Sequence[PatchFields]) -> float | None:
        """Make patches that stand alone, several at the same time. Returns when to look again, if an object had changed or is gone."""
        turns, kind, failed = asyncio.Semaphore(PATCHES_AT_ONCE), planned["kind"], set[Key]()

        async def one(patch: PatchFields) -> None:
            async with turns:
                try:
                    await self._patch(kind, patch)
                except (Conflict, NotFound) as error:
                    failed.add(patch.key)
                    self.failed_patches.failed(kind, patch.key, error)

        for error in await asyncio.gather(*map(one, patches), return_exceptions=True):
            if error is not None:
                raise error
        return self.failed_patches.look_again(planned["metadata"]["uid"], frozenset(failed))

    async def _status(self, planned: Manifest, plan: Plan, memory: frozenset[str]) -> float | None:
        """Write the status, unless nothing changed, or unless the last write was too recent.

        A status that changes a condition or memory is never held back.
        """
        former, present = planned.get("status") or {}, shorten(plan.status or {}, memory)
        if same(former, present):
            return None
        uid = planned["metadata"]["uid"]
        if not plan.remember and not conditions_changed(former, present):
            wait = self._status_written.get(uid, float("-inf")) + self._rules.status_seconds - self._clock()
            if wait > 0:
                return wait
        resource, changed = RESOURCES[planned["kind"]], {**planned, "status": present}
        verb = "remember" if plan.remember else "status"
        written = await self._write(Site(planned["kind"], verb, planned["kind"]), lambda: self._api.replace_status(resource, changed))
        self._status_written[uid] = self._clock()
        self._changes.updated(written)
        await self._emit(written, plan.events)
        return None

    async def _emit(self, about: Manifest, events: tuple[Emit, ...]) -> None:
        """Create the events. One that cannot be created is logged and counted, and does not fail the pass."""
        now = utcnow()
        for emit in events:
            try:
                await self._create_event(about, event(about, emit, self._rules.instance, now))
            except AlreadyExists:
                continue
            except NotLeader:
                raise
            except BrambleError as error:
                self._metrics.errors.labels(about["kind"], type(error).__name__).inc()
                log.warning("event %s of %s was not created: %s", emit.reason, key_of(about), error)

    async def _create_event(self, about: Manifest, manifest: Manifest) -> None:
        await self._write(Site(about["kind"], "create", EVENT.kind), lambda: self._api.create(EVENT, manifest))

    async def _write(self, site: Site, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make one write. This is the only place in the operator where a plan's call is sent."""
        self._leader.check()
        self._faults.before(site)
        result = await call()
        self._faults.after(site)
        self._metrics.writes.labels(site.kind, site.verb).inc()
        return result
