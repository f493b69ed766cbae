"""What the executor writes for each item of a plan, on which conditions, and when it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bramble.api.labels import APPLIED, STEP, owner_labels
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.execute import Executor, Rules
from bramble.engine.failed_patches import AGAIN_SECONDS
from bramble.engine.faults import Faults, Site
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.engine.status import PlanError
from bramble.errors import AlreadyExists, ApiUnavailable, BrambleError, Conflict, NameConflict, NotFound, NotLeader, Refused
from bramble.kinds.plan import Apply, CreateOnce, Delete, Emit, FileResult, Item, PatchFields, Plan, manifest_digest
from bramble.kube.api import Applied, Propagation
from bramble.kube.resources import Key, Manifest, Resource, key_of
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import FakeStore, Time

STATUS_SECONDS = 5.0
CHILD = Key("ConfigMap", "ads", "child")
MEMORY = frozenset({"attempt"})
DONE = Emit("Normal", "Done", "it is done")


@dataclass
class RecordingApi(FakeApi):
    """A model of the API server that also keeps every write as it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, Any]] = []
        self.refuses: BrambleError | None = None

    def record(self, verb: str, what: Any) -> None:
        self.sent.append((verb, what))
        if self.refuses is not None:
            raise self.refuses

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        self.record(f"{'try to create' if dry_run else 'create'} {resource.kind}", manifest)
        return await super().create(resource, manifest, dry_run=dry_run)

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        self.record("apply with force" if force else "apply", manifest)
        return await super().apply(resource, manifest, force=force)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        self.record("merge", patch)
        return await super().merge(resource, namespace, name, patch)

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        self.record("status", manifest)
        return await super().replace_status(resource, manifest)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        self.record("delete", (namespace, name, uid, propagation))
        await super().delete(resource, namespace, name, uid, propagation)

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.sent]


@dataclass
class Leader:
    """A replica that leads for a number of writes; None for ever."""

    writes: int | None = None
    checks: int = 0

    def check(self) -> None:
        self.checks += 1
        if self.writes is not None and self.checks > self.writes:
            raise NotLeader("another replica may lead")


class RecordedSites(Faults):
    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []

    def _pass(self, moment: Any, site: Site) -> None:
        self.passed.append(f"{moment}:{site}")


@dataclass
class World:
    api: RecordingApi = field(default_factory=RecordingApi)
    store: FakeStore = field(default_factory=FakeStore)
    leader: Leader = field(default_factory=Leader)
    sites: RecordedSites = field(default_factory=RecordedSites)
    time: Time = field(default_factory=Time)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.changes = Changes(Cache(), WorkQueue(), {})
        rules = Rules(status_seconds=STATUS_SECONDS, instance="replica-0")
        self.executor = Executor(self.api, self.store, self.changes, self.leader, self.sites, self.metrics, rules)
        self.executor._clock = self.time
        self.planned: Manifest = self.api.put(made("Dataset", "tape", uid="owner"))

    def put(self, manifest: Manifest) -> Manifest:
        """An object on the API server and in the cache."""
        stored = self.api.put(manifest)
        self.changes.updated(stored)
        return stored

    async def execute(self, plan: Plan, states: Mapping[Key, Manifest | None] | None = None) -> float | None:
        held_back = await self.executor.execute(self.planned, plan, states or {}, MEMORY)
        found = self.api.objects[key_of(self.planned)]
        self.planned = found
        return held_back

    async def items(self, *items: Item, states: Mapping[Key, Manifest | None] | None = None) -> None:
        await self.execute(Plan(items=items), states)

    async def status(self, *, remember: bool = False, events: tuple[Emit, ...] = (), **fields: Any) -> float | None:
        return await self.execute(Plan(status=fields, events=events, remember=remember))


@pytest.fixture
def world() -> World:
    return World()


def child(data: Mapping[str, str], owner: str = "owner", name: str = "child", labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    all_labels = {**owner_labels("Dataset", "tape", owner), **(labels or {})}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ads", "labels": all_labels},
        "data": dict(data),
    }


async def applied_child(world: World, data: Mapping[str, str]) -> Manifest:
    """A child that this operator has applied before."""
    await world.items(Apply(child(data)), states={CHILD: None})
    world.api.sent.clear()
    return world.api.objects[CHILD]


async def test_a_child_is_created_once(world: World) -> None:
    await world.items(CreateOnce(child({"a": "1"})))
    await world.items(CreateOnce(child({"a": "2"})))
    assert world.api.verbs == ["create ConfigMap"]
    assert world.api.objects[CHILD]["data"] == {"a": "1"}
    assert world.api.objects[CHILD]["metadata"]["annotations"] == {APPLIED: manifest_digest(child({"a": "1"}))}


async def test_a_child_in_the_cache_is_checked_to_be_ours_before_it_counts_as_created(world: World) -> None:
    world.put(child({"a": "1"}, owner="somebody-else"))
    with pytest.raises(Conflict, match="belongs to an earlier Dataset"):
        await world.items(CreateOnce(child({"a": "1"})))
    world.put(made("ConfigMap", "child", metadata={"labels": {**owner_labels("Dataset", "other", "other")}}))
    with pytest.raises(NameConflict, match="exists and is not ours"):
        await world.items(CreateOnce(child({"a": "1"})))
    assert world.api.sent == []


async def test_nothing_is_created_while_the_pass_has_seen_a_name_taken(world: World) -> None:
    """A Job is created before its ConfigMap. Its pod must not mount somebody else's."""
    theirs = world.api.put(made("ConfigMap", "child"))
    job = {**child({}), "kind": "Job", "metadata": {**child({})["metadata"], "name": "job"}}
    with pytest.raises(NameConflict):
        await world.items(CreateOnce(job), CreateOnce(child({"a": "1"})), states={CHILD: theirs})
    assert world.api.sent == []


def job_and_config_map() -> tuple[CreateOnce, CreateOnce]:
    job = {**child({}), "kind": "Job", "metadata": {**child({})["metadata"], "name": "job"}}
    return CreateOnce(job, needs=(child({"a": "1"}),)), CreateOnce(child({"a": "1"}))


async def test_a_child_is_created_once_what_it_needs_would_be_admitted(world: World) -> None:
    await world.items(*job_and_config_map())
    assert world.api.verbs == ["try to create ConfigMap", "create Job", "create ConfigMap"]
    assert world.sites.passed == [f"{moment}:Dataset/create/{kind}" for kind in ("Job", "ConfigMap") for moment in ("before", "after")]


async def test_a_child_is_not_created_while_what_it_needs_is_refused(world: World) -> None:
    """Otherwise the Job would hold its node, and use up its deadline, without the ConfigMap that its pods mount."""
    world.api.refuses = Refused("exceeded quota")
    with pytest.raises(Refused, match="exceeded quota"):
        await world.items(*job_and_config_map())
    assert world.api.verbs == ["try to create ConfigMap"]
    world.api.refuses = None
    await world.items(*job_and_config_map())
    assert world.api.verbs[1:] == ["try to create ConfigMap", "create Job", "create ConfigMap"]


async def test_what_a_child_needs_may_be_there_if_it_is_ours(world: World) -> None:
    world.api.put(child({"a": "1"}))
    await world.items(*job_and_config_map())
    assert world.api.verbs == ["try to create ConfigMap", "create Job", "create ConfigMap"]


@pytest.mark.parametrize("cached", [True, False])
async def test_a_child_is_not_created_while_what_it_needs_has_a_name_that_is_taken(world: World, *, cached: bool) -> None:
    (world.put if cached else world.api.put)(made("ConfigMap", "child"))
    with pytest.raises(NameConflict):
        await world.items(*job_and_config_map())
    assert "create Job" not in world.api.verbs


async def test_a_child_that_only_the_api_server_knows_is_checked_to_be_ours(world: World) -> None:
    world.api.put(made("ConfigMap", "child"))
    with pytest.raises(NameConflict):
        await world.items(CreateOnce(child({"a": "1"})))
    world.api.put(child({"a": "1"}))
    await world.items(CreateOnce(child({"a": "1"})))
    assert world.changes.cache.get(CHILD) is not None, "the answer goes into the cache"


async def test_a_child_that_vanished_during_its_creation_ends_the_pass(world: World) -> None:
    world.api.refuses = AlreadyExists("it exists")
    with pytest.raises(AlreadyExists):
        await world.items(CreateOnce(child({"a": "1"})))


async def test_an_apply_is_conditional_on_the_state_that_the_pass_read(world: World) -> None:
    found = await applied_child(world, {"a": "1"})
    await world.items(Apply(child({"a": "2"})), states={CHILD: found})
    ((verb, sent),) = world.api.sent
    assert verb == "apply with force"
    assert sent["metadata"]["uid"] == found["metadata"]["uid"]
    assert sent["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]


async def test_an_apply_on_a_state_that_has_changed_since_changes_nothing(world: World) -> None:
    stale = await applied_child(world, {"a": "1"})
    world.api.put({**stale, "data": {"a": "3"}})
    with pytest.raises(Conflict, match="resourceVersion"):
        await world.items(Apply(child({"a": "2"})), states={CHILD: stale})
    assert world.api.objects[CHILD]["data"] == {"a": "3"}


async def test_an_apply_that_would_change_nothing_is_not_sent(world: World) -> None:
    found = await applied_child(world, {"a": "1"})
    await world.items(Apply(child({"a": "1"})), states={CHILD: found})
    assert world.api.sent == []


async def test_a_child_that_the_pass_did_not_read_is_read_before_it_is_applied(world: World) -> None:
    await applied_child(world, {"a": "1"})
    await world.items(Apply(child({"a": "1"})))
    assert world.api.sent == [], "it has the wanted content already"
    await world.items(Apply(child({"a": "2"})))
    assert world.api.verbs == ["apply with force"]


async def test_a_child_that_was_changed_by_hand_is_applied_again(world: World) -> None:
    found = await applied_child(world, {"a": "1"})
    changed = world.api.put({**found, "data": {"a": "by hand"}})
    await world.items(Apply(child({"a": "1"})), states={CHILD: changed})
    assert world.api.objects[CHILD]["data"] == {"a": "1"}


async def test_a_new_child_is_applied_without_force(world: World) -> None:
    await world.items(Apply(child({"a": "1"})), states={CHILD: None})
    assert world.api.verbs[0] == "apply"
    assert APPLIED in world.api.objects[CHILD]["metadata"]["annotations"]
    assert world.changes.cache.get(CHILD) is not None, "the answer goes into the cache"


async def test_a_child_that_somebody_else_created_meanwhile_is_a_name_conflict(world: World) -> None:
    world.api.put(made("ConfigMap", "child"))
    with pytest.raises(NameConflict, match="somebody else has just created ConfigMap ads/child"):
        await world.items(Apply(child({"a": "1"})), states={CHILD: None})


async def test_an_object_that_is_not_ours_is_never_applied(world: World) -> None:
    theirs = world.api.put(made("ConfigMap", "child"))
    with pytest.raises(NameConflict, match=f"not ours \\(uid {theirs['metadata']['uid']}\\)"):
        await world.items(Apply(child({"a": "1"})), states={CHILD: theirs})
    assert world.api.sent == []


async def test_a_patch_is_conditional_on_uid_and_resource_version(world: World) -> None:
    found = world.api.put(child({"a": "1"}))
    version = found["metadata"]["resourceVersion"]
    patch = PatchFields(CHILD, found["metadata"]["uid"], version, {"metadata": {"labels": {"x": "y"}}})
    await world.items(patch)
    assert world.api.sent == [("merge", {"metadata": {"labels": {"x": "y"}, "uid": found["metadata"]["uid"], "resourceVersion": version}})]
    assert world.changes.cache.get(CHILD) is not None, "the answer goes into the cache"
    with pytest.raises(Conflict):
        await world.items(patch)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_patch_that_stands_alone_and_fails_stops_nothing_else(world: World, gone: bool) -> None:
    found = world.api.put(child({"a": "1"}))
    stale = PatchFields(CHILD, found["metadata"]["uid"], "0", {"metadata": {"labels": {"x": "y"}}}, alone=True)
    if gone:
        del world.api.objects[CHILD]
    due = await world.execute(Plan(items=(stale, CreateOnce(child({}, name="other"))), status={"phase": "Ready"}))
    assert (due, world.api.verbs) == (AGAIN_SECONDS, ["create ConfigMap", "merge", "status"])
    with pytest.raises((Conflict, NotFound)):
        await world.items(replace(stale, alone=False))


async def test_a_patch_of_the_planned_object_is_what_its_status_is_written_onto(world: World) -> None:
    metadata = world.planned["metadata"]
    patch = PatchFields(
        key_of(world.planned), metadata["uid"], metadata["resourceVersion"], {"metadata": {"finalizers": ["bramble.dev/x"]}}
    )
    await world.execute(Plan(items=(patch,), status={"phase": "Ready"}))
    assert world.api.verbs == ["merge", "status"]
    assert world.planned["metadata"]["finalizers"] == ["bramble.dev/x"]


async def test_a_deletion_names_the_uid(world: World) -> None:
    found = world.api.put(child({}, labels={STEP: "train"}))
    await world.items(Delete(CHILD, "another", "Foreground"))
    assert CHILD in world.api.objects
    await world.items(Delete(CHILD, found["metadata"]["uid"]), states={CHILD: found})
    assert CHILD not in world.api.objects
    assert world.sites.passed == [
        "before:Dataset/delete/ConfigMap",
        "after:Dataset/delete/ConfigMap",
        "before:Dataset/delete/ConfigMap/train",
        "after:Dataset/delete/ConfigMap/train",
    ]


async def test_a_result_is_filed_once(world: World) -> None:
    await world.items(FileResult("ads", "results/x.json", b"one"), FileResult("ads", "results/x.json", b"two"))
    assert world.store.documents == {("ads", "results/x.json"): b"one"}
    assert world.sites.passed[0] == "before:Dataset/file/results"


async def test_items_are_written_in_order_before_the_status_and_events_after_it(world: World) -> None:
    plan = Plan(items=(CreateOnce(child({})), CreateOnce(child({}, name="second"))), status={"phase": "Ready"}, events=(DONE,))
    await world.execute(plan)
    assert world.api.verbs == ["create ConfigMap", "create ConfigMap", "status", "create Event"]


async def test_an_item_that_fails_ends_the_pass(world: World) -> None:
    world.put(made("ConfigMap", "child", metadata={"labels": owner_labels("Dataset", "other", "other")}))
    with pytest.raises(NameConflict):
        await world.execute(Plan(items=(CreateOnce(child({})), CreateOnce(child({}, name="second"))), status={"phase": "Ready"}))
    assert world.api.sent == []


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
async def test_each_write_is_made_only_while_this_replica_leads(world: World, writes: int) -> None:
    """The Lease is checked before every single write, the status and the event included."""
    world.leader.writes = writes
    with pytest.raises(NotLeader):
        await world.execute(Plan(items=(CreateOnce(child({})), FileResult("ads", "k", b"")), status={"phase": "Ready"}, events=(DONE,)))
    landed = len(world.api.sent) + len(world.store.documents)
    assert landed == writes


async def test_a_status_is_conditional_on_the_state_that_the_pass_read(world: World) -> None:
    stale = world.planned
    world.api.put(stale)
    with pytest.raises(Conflict, match="resourceVersion"):
        await world.executor.execute(stale, Plan(status={"phase": "Ready"}), {}, MEMORY)


async def test_an_equal_status_is_not_written_and_its_events_are_not_emitted(world: World) -> None:
    await world.status(phase="Ready", events=(DONE,))
    world.api.sent.clear()
    assert await world.status(phase="Ready", events=(DONE,)) is None
    assert world.api.sent == []


@pytest.mark.parametrize(
    ("seconds", "held_back"),
    [
        pytest.param(0.0, 5.0, id="at once: for the whole interval"),
        pytest.param(3.0, 2.0, id="later: for the rest of it"),
        pytest.param(4.75, 0.25, id="just before its end"),
        pytest.param(5.0, None, id="exactly at its end it is written"),
        pytest.param(6.0, None, id="after its end it is written"),
    ],
)
async def test_a_status_that_changes_no_condition_is_held_back(world: World, seconds: float, held_back: float | None) -> None:
    world.time.now = 1000.0
    await world.status(progress=1)
    world.time.now += seconds
    assert await world.status(progress=2) == held_back
    assert world.planned["status"]["progress"] == (2 if held_back is None else 1)


async def test_the_first_status_of_an_object_is_never_held_back(world: World) -> None:
    assert await world.status(progress=1) is None
    assert world.planned["status"] == {"progress": 1}
    assert world.changes.cache.get(key_of(world.planned)) == world.planned, "the answer goes into the cache"


async def test_a_status_that_changes_memory_is_never_held_back(world: World) -> None:
    await world.status(attempt=1, remember=True)
    assert await world.status(attempt=2, remember=True) is None
    assert world.planned["status"]["attempt"] == 2
    assert world.sites.passed[-1] == "after:Dataset/remember/Dataset"


async def test_a_status_that_changes_a_condition_is_never_held_back(world: World) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "Running", "message": ""}
    await world.status(conditions=[condition])
    assert await world.status(conditions=[{**condition, "reason": "Done"}]) is None
    assert world.planned["status"]["conditions"][0]["reason"] == "Done"
    assert await world.status(conditions=[{**condition, "reason": "Done", "message": "more"}]) == STATUS_SECONDS


async def test_each_object_has_its_own_interval_which_ends_with_it(world: World) -> None:
    await world.status(progress=1)
    world.executor.forget(world.planned["metadata"]["uid"])
    assert await world.status(progress=2) is None


async def test_memory_that_a_plan_changes_without_saying_so_is_not_written(world: World) -> None:
    with pytest.raises(PlanError, match="attempt"):
        await world.execute(Plan(items=(CreateOnce(child({})),), status={"attempt": 1}))
    assert world.api.sent == [], "not even the items are written"


async def test_events_of_a_plan_without_a_status_are_emitted(world: World) -> None:
    await world.execute(Plan(events=(DONE,)))
    ((_, event),) = world.api.sent
    assert (event["reason"], event["note"], event["type"]) == ("Done", "it is done", "Normal")
    assert event["regarding"]["uid"] == "owner"
    assert event["reportingInstance"] == "replica-0"


async def test_an_event_that_exists_is_not_an_error(world: World) -> None:
    await world.execute(Plan(events=(DONE, Emit("Warning", "More", "more"))))
    await world.execute(Plan(events=(DONE, Emit("Warning", "More", "more"))))
    assert len([key for key in world.api.objects if key.kind == "Event"]) == 2
    assert world.metrics.registry.get_sample_value("bramble_errors_total", {"kind": "Dataset", "error": "AlreadyExists"}) is None


async def test_an_event_that_cannot_be_created_is_counted_and_fails_nothing(world: World) -> None:
    world.api.refuses = ApiUnavailable("away")
    await world.execute(Plan(events=(DONE,)))
    assert world.metrics.registry.get_sample_value("bramble_errors_total", {"kind": "Dataset", "error": "ApiUnavailable"}) == 1


async def test_writes_are_counted_when_they_have_landed(world: World) -> None:
    def count() -> float | None:
        return world.metrics.registry.get_sample_value("bramble_writes_total", {"kind": "Dataset", "verb": "create"})

    world.api.refuses = ApiUnavailable("away")
    with pytest.raises(ApiUnavailable):
        await world.items(CreateOnce(child({})))
    assert count() is None
    world.api.refuses = None
    await world.items(CreateOnce(child({})))
    assert count() == 1


async def test_the_child_of_a_step_is_named_with_its_step(world: World) -> None:
    await world.items(CreateOnce(child({}, labels={STEP: "train"})), Apply(child({}, name="other")))
    assert world.sites.passed[0] == "before:Dataset/create/ConfigMap/train"
    assert world.sites.passed[2] == "before:Dataset/apply/ConfigMap"
