"""A simulated fleet around the real gather and plan: no API server and no agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from bramble.api.objects import dump
from bramble.api.rollout import Status
from bramble.contracts.assignment import KEY, Assignment
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import BUCKETS, PREDICT, Cohort, Counters, Histogram, add_histograms
from bramble.contracts.package import Package
from bramble.contracts.report import (
    MEMORY_TICK_MS,
    CandidateState,
    Health,
    Report,
    Running,
    SeenProgress,
    SeenReport,
)
from bramble.contracts.store import blob_key
from bramble.engine.elapsed import Elapsed
from bramble.engine.status import conditions_changed
from bramble.errors import StoreUnavailable
from bramble.kinds.blockers import Blocker
from bramble.kinds.plan import Apply, Delete, FileResult, PatchFields, Plan
from bramble.kinds.rollout.gather import gather
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.plan import plan
from bramble.kinds.sources import Devices
from bramble.kube.resources import CONFIG_MAP, FLEET, MODEL_VERSION, NODE, ROLLOUT, Key, Manifest, Resource, key_of
from bramble.settings import Settings
from bramble_workloads.edge.memory_series import MemorySeries

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = Settings(
    namespace="bramble",
    images_train="t@sha256:1",
    images_convert="c@sha256:2",
    images_edge="e@sha256:3",
    gateway_url="https://gateway:8443",
)
UID = "rollout-uid"
CLASSES = ("a", "b")
"""Of every version."""


@cache
def package(version: str) -> bytes:
    """A real package document."""
    tensor = {"name": "x", "shape": [1, 1, 8, 8]}
    document = {
        "task": "image-classification",
        "input": {"tensor": tensor},
        "preprocess": [{"op": "decode", "color": "L"}],
        "outputs": [{"name": "logits", "shape": [1, 2], "role": "logits"}],
        "postprocess": {"labels": CLASSES},
        "model": "digits",
        "version": version,
        "variant": {"name": "onnx-fp32", "minRuntime": "1.31"},
        "files": {"model": {"sha256": digest_of(version.encode()), "bytes": 1000, "mediaType": "application/onnx"}},
    }
    return canonical_json(Package.model_validate(document))


@cache
def package_digest(version: str) -> str:
    return digest_of(package(version))


@dataclass
class FakeDevice:
    """Takes what the assignment says at once, unless it refuses or abandons it, and counts the requests that it answers."""

    node: str
    online: bool = True
    board: str = "virtual"
    refuses: frozenset[str] = frozenset()
    abandons: frozenset[str] = frozenset()
    active: str | None = None
    seq: int = 0
    attempt: int = 0
    rollout_uid: str = UID
    cohort: Cohort = "stable"
    age: float = 1.0
    clock: float = 0.0
    """For how many seconds the agent has run."""
    since: float = 0.0
    """Since when, on that clock, it has served what it serves."""
    state: CandidateState | None = None
    bad: tuple[str, ...] = ()
    """Packages that it gave up in this attempt."""
    last: Assignment | None = None
    counters: dict[tuple[str, str, int], Counters] = field(default_factory=dict)
    instance: str = "i"
    ended: Report | None = None
    """What the process before reported last, where the operator has seen that."""
    grows: dict[str, float] = field(default_factory=dict)
    """MiB per hour by which memory grows while it serves a package; 0 where none is given."""
    held: float = 200.0
    """MiB that the agent needs."""
    noise: float = 0.0
    """MiB by which every other sample is higher."""
    memory: MemorySeries = field(default_factory=MemorySeries)

    def accept(self, assignment: Assignment) -> None:
        if not self.online or assignment.seq < self.seq:
            return
        if assignment.attempt != self.attempt:
            self.bad = ()
        before, self.last = (self.active, self.cohort, self.attempt), assignment
        self._take(assignment)
        if (self.active, self.cohort, self.attempt) != before:
            self.since = self.clock

    def give_up(self) -> None:
        """Take the stable version again, without having heard anything."""
        assert self.last is not None
        self._take(self.last)
        self.since = self.clock

    def restart(self) -> None:
        """The agent's process is another one from now on."""
        self.clock = self.since = 0.0
        self.held, self.memory = 200.0, MemorySeries()

    def crash(self) -> None:
        """The same, and it counts from zero."""
        self.ended = self.report(seq_known=True)
        self.restart()
        self.instance, self.counters = f"{self.instance}i", {}

    def live(self, seconds: float) -> None:
        """Time passes for the process."""
        self.clock += seconds
        self.held += self.grows.get(self.active or "", 0.0) * seconds / 3600
        tick = round(self.clock * 1000) // MEMORY_TICK_MS
        self.memory.add(round(self.clock * 1000), round((self.held + self.noise * (tick % 2)) * 2**20))

    def _take(self, assignment: Assignment) -> None:
        self.seq, self.attempt, self.rollout_uid = assignment.seq, assignment.attempt, assignment.rollout_uid
        wanted = assignment.package_of(self.node)
        on_trial = assignment.candidate is not None and self.node in assignment.candidate_nodes
        if on_trial and wanted in self.refuses:
            self.state = CandidateState(package=str(wanted), state="refused", message="golden case 3: tensor differs")
            wanted, on_trial = assignment.stable.get(self.board), False
        elif on_trial and wanted in self.abandons:
            self.state = CandidateState(
                package=str(wanted), state="abandoned", message="the gateway did not answer for 600 s while the candidate was served"
            )
            self.bad = (str(wanted),)
            wanted, on_trial = assignment.stable.get(self.board), False
        else:
            self.state = None
        self.active, self.cohort = wanted, "candidate" if on_trial else "stable"

    def serve(self, requests: int, wrong_share: float) -> None:
        """Answer requests, all of them labelled: their true class is the first one."""
        if self.active is None or not self.online:
            return
        key = (self.active, self.cohort, self.attempt)
        before = self.counters.get(key) or Counters(
            namespace="digits",
            model="digits",
            package=self.active,
            cohort=self.cohort,
            attempt=self.attempt,
        )
        buckets = [0] * BUCKETS
        buckets[20] = requests
        wrong = round(requests * wrong_share)
        self.counters[key] = before.model_copy(
            update={
                "counts": {
                    "requests": before.count("requests") + requests,
                    "right": before.count("right") + requests - wrong,
                    "wrong": before.count("wrong") + wrong,
                },
                "histograms": {PREDICT: add_histograms([before.histogram(PREDICT), Histogram(buckets=tuple(buckets))])},
                "confusion": Confusion(
                    classes=CLASSES, cells=(0, 0, before.count("right") + requests - wrong, 0, 1, before.count("wrong") + wrong)
                ),
            }
        )

    def report(self, seq_known: bool) -> Report:
        running = Running(
            fleet="demo", namespace="digits", model="digits", rollout_uid=self.rollout_uid, attempt=self.attempt, seq=self.seq,
            active=self.active, cohort=self.cohort, bad=self.bad, candidate=self.state, serving_since_ms=round(self.since * 1000),
        )  # fmt: skip
        return Report(
            node=self.node, fleet="demo", board=self.board, boot_id="b", instance=self.instance,
            uptime_ms=round(self.clock * 1000), sequence=1,
            running=(running,) if seq_known else (), counters=tuple(self.counters.values()), health=Health(free_bytes=10**9),
            memory=self.memory.samples(round(self.clock * 1000)),
        )  # fmt: skip


class FakeWorld:
    """The objects that a Rollout reads, and the writes of its plans.

    Attributes:
        now: the leader's wall clock.
        clock: seconds, by a clock that nobody sets.
        elapsed: what the present leader has measured.
        mute: the cohort whose devices answer nothing.
    """

    def __init__(self, nodes: int = 4, steps: list[dict[str, Any]] | None = None, guardrails: list[dict[str, Any]] | None = None) -> None:
        self.now = START
        self.clock = 0.0
        self.elapsed = Elapsed(lambda: self.clock)
        self.files: dict[str, bytes] = {}
        self.devices = {f"board-{n}": FakeDevice(f"board-{n}") for n in range(1, nodes + 1)}
        self.wrong: dict[str, float] = {}
        self.requests = 50
        self.mute = ""
        self.proves_silence = True
        self.store_away = False
        self.written_at = START - timedelta(hours=1)
        self.objects: dict[Key, dict[str, Any]] = {}
        self.events: list[str] = []
        self.assigned: list[Assignment] = []
        for number, node in enumerate(self.devices):
            labels = {"bramble.dev/agent": "demo.virtual", "zone": "ab"[number % 2]}
            self._put(NODE, "", node, {}, labels=labels)
        boards = [{"name": "virtual", "selector": {"b": "v"}}]
        fleet = {"nodeSelector": {"f": "demo"}, "stratifyBy": ["zone"], "boards": boards, "allowedNamespaces": ["digits"]}
        self._put(FLEET, "", "demo", fleet)
        steps = steps or [{"nodes": 1, "bake": "10s"}, {"nodes": "50%", "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]
        guardrails = (
            guardrails
            if guardrails is not None
            else [{"metric": "accuracy", "maxRatio": "1.5", "ceiling": "0.1", "limit": "0.3", "minEvents": 50}]
        )
        spec = {
            "fleetRef": {"name": "demo"},
            "modelVersionRef": {"name": "digits-1-0-0"},
            "strategy": {"canary": {"steps": steps}},
            "analysis": {"guardrails": guardrails, "deadline": "10m"},
        }
        self._put(ROLLOUT, "digits", "digits", spec, uid=UID)
        self.add_version("1.0.0")

    # ------------------------------------------------------------------------------------------------------ what users do

    def add_version(self, version: str, ready: bool = True) -> None:
        digest = package_digest(version)
        self.files[blob_key(digest)] = package(version)
        name = f"digits-{version.replace('.', '-')}"
        spec = {"model": "digits", "version": version, "source": {"trainingRunRef": {"name": "r"}}}
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "R",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        target = {"fleet": "demo", "board": "virtual", "variant": "onnx-fp32", "package": digest}
        self._put(MODEL_VERSION, "digits", name, spec, status={"conditions": [condition], "targets": [target]})

    def want(self, version: str) -> None:
        self.rollout["spec"]["modelVersionRef"] = {"name": f"digits-{version.replace('.', '-')}"}
        self.rollout["metadata"]["generation"] += 1

    def ask(self, **request: Any) -> None:
        self.rollout["metadata"].setdefault("annotations", {})["bramble.dev/request"] = json.dumps(request)

    # ------------------------------------------------------------------------------------------------------ what is

    @property
    def rollout(self) -> dict[str, Any]:
        return self.objects[Key("Rollout", "digits", "digits")]

    @property
    def status(self) -> Status:
        return Status.model_validate(self.rollout.get("status") or {})

    @property
    def assignment(self) -> Assignment | None:
        found = next((each for key, each in self.objects.items() if key.kind == CONFIG_MAP.kind and KEY in each.get("data", {})), None)
        return Assignment.model_validate_json(found["data"][KEY]) if found is not None else None

    def condition(self, type_: str) -> str:
        found = next((each for each in self.status.conditions if each["type"] == type_), None)
        return f"{found['status']}/{found['reason']}" if found is not None else ""

    def active(self) -> dict[str, str]:
        names = {package_digest(version): version for version in ("1.0.0", "2.0.0", "3.0.0")}
        return {node: names.get(device.active or "", "") for node, device in self.devices.items()}

    # ------------------------------------------------------------------------------------------------------ what happens

    async def observe(self) -> Observed:
        seen = await gather(Key("Rollout", "digits", "digits"), FakeSources(self))
        assert isinstance(seen, Observed)
        return seen

    async def step(self, writes: int | None = None) -> Plan:
        """One pass; `writes`: die after so many of its writes."""
        decided = plan(await self.observe(), self.now)
        left = writes if writes is not None else 100
        for item in decided.items:
            if left == 0:
                return decided
            self._write(item)
            left -= 1
        if decided.status is not None and left and not self._held_back(decided):
            self.written_at = self.now
            self.rollout["status"] = json.loads(json.dumps(decided.status, default=list))
            self.rollout["metadata"]["resourceVersion"] = str(int(self.rollout["metadata"]["resourceVersion"]) + 1)
            self.events += [f"{event.type} {event.reason}" for event in decided.events]
        return decided

    def _held_back(self, decided: Plan) -> bool:
        """As the engine does: a status that turns no condition and changes no memory is written once in ten seconds."""
        soon = self.now - self.written_at < timedelta(seconds=SETTINGS.status_seconds)
        return soon and not decided.remember and not conditions_changed(self.rollout.get("status") or {}, decided.status or {})

    def live(self, seconds: float = 5) -> None:
        """Time passes: the devices take what they are told, answer requests and get feedback."""
        self.now += timedelta(seconds=seconds)
        self.clock += seconds
        for device in self.devices.values():
            device.live(seconds)
        if (assignment := self.assignment) is not None:
            for device in self.devices.values():
                device.accept(assignment)
        for device in self.devices.values():
            device.age = 1.0 if device.online else device.age + seconds
            device.serve(0 if device.cohort == self.mute else self.requests, self.wrong.get(self.active()[device.node], 0.0))

    async def until(self, done: Callable[[], bool], passes: int = 200) -> None:
        for _ in range(passes):
            for _ in range(6):
                before = json.dumps(self.objects[Key("Rollout", "digits", "digits")], default=str), self.assignment
                await self.step()
                if (json.dumps(self.rollout, default=str), self.assignment) == before:
                    break
            if done():
                return
            self.live()
        raise AssertionError(f"not reached: {json.dumps(dump(self.status), indent=1, default=str)}")

    async def run(self, passes: int) -> None:
        """So many passes, with five seconds after each."""
        for _ in range(passes):
            await self.step()
            self.live()

    def _write(self, item: Any) -> None:
        match item:
            case Apply(manifest):
                key = key_of(manifest)
                uid = self.objects[key]["metadata"]["uid"] if key in self.objects else f"{key.name}-{len(self.assigned)}"
                self.objects[key] = {**manifest, "metadata": {**manifest["metadata"], "uid": uid, "resourceVersion": "1"}}
                if "data" in manifest:
                    self.assigned.append(Assignment.model_validate_json(manifest["data"][KEY]))
            case Delete(key):
                deleted = self.objects.pop(key, {})
                for device in self.devices.values():
                    device.active = None if device.online and "data" in deleted else device.active
            case PatchFields(key, _, _, patch):
                self.objects[key]["metadata"].update(patch["metadata"])
                if "data" in patch:
                    self.objects[key]["data"] = patch["data"]
                    self.assigned.append(Assignment.model_validate_json(patch["data"][KEY]))
            case FileResult() if self.store_away:
                raise StoreUnavailable("the store is away")
            case FileResult(_, store_key, content):
                self.files.setdefault(store_key, content)

    def _put(
        self, resource: Resource, namespace: str, name: str, spec: dict[str, Any], *,
        uid: str = "", labels: Mapping[str, str] | None = None, status: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        metadata = {
            "name": name, "uid": uid or f"{resource.kind}-{name}", "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-11-21T10:00:00Z", "labels": dict(labels or {}), **({"namespace": namespace} if namespace else {}),
        }  # fmt: skip
        found = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
        self.objects[Key(resource.kind, namespace, name)] = {**found, **({"status": status} if status else {})}


@dataclass
class FakeSources:
    """Reads of the world, as `gather` makes them."""

    world: FakeWorld
    settings: Settings = SETTINGS
    gateway_ca: str = ""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return self.world.objects.get(Key(resource.kind, namespace, name))

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        return tuple(
            manifest
            for key, manifest in self.world.objects.items()
            if key.kind == resource.kind
            and (namespace is None or key.namespace == namespace)
            and (labels or {}).items() <= (manifest["metadata"].get("labels") or {}).items()
        )

    async def store_problem(self, namespace: str) -> Blocker | None:
        raise NotImplementedError("a Rollout looks at single documents only")

    async def warning(self, namespace: str, uid: str) -> str:
        raise NotImplementedError("a Rollout has no Jobs")

    async def warnings(self, namespace: str, uids: Sequence[str], most: int) -> Mapping[str, str]:
        raise NotImplementedError("a Rollout has no pods")

    async def limit_ranges(self, namespace: str) -> tuple[Manifest, ...]:
        raise NotImplementedError("a Rollout has no Jobs")

    async def fetch(self, namespace: str, store_key: str, most: int) -> bytes | None:  # noqa: ARG002 - the arguments are the protocol's
        if self.world.store_away:
            raise StoreUnavailable("the store is away")
        return self.world.files.get(store_key) if namespace == "digits" else None

    def devices(self, fleet: str) -> Devices:
        reports = {
            node: SeenReport(age_seconds=device.age, report=device.report(seq_known=device.seq > 0))
            for node, device in self.world.devices.items()
            if fleet == "demo"
        }
        ended = {node: device.ended for node, device in self.world.devices.items() if device.ended is not None}
        return Devices(reports, self.world.proves_silence, ended=ended)

    def elapsed(self, uid: str, measured: Mapping[str, float]) -> Mapping[str, float]:
        return self.world.elapsed.read(uid, measured)

    def progress(self, uid: str, step: str) -> SeenProgress | None:
        raise NotImplementedError("a Rollout runs no job")


async def promoted(world: FakeWorld, version: str) -> FakeWorld:
    """The world once this version is stable everywhere."""
    ref = f"digits-{version.replace('.', '-')}"

    def done() -> bool:
        stable = world.status.stable
        return world.condition("Ready") == "True/Promoted" and stable is not None and stable.ref == ref

    await world.until(done)
    return world
