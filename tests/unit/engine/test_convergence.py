"""From any observed state, with a crash at any write, repeated passes converge (house style, rule 18)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.api.labels import ATTEMPT, REQUEST
from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.jobs.snapshot import SnapshotResult
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.store import result_key, run_prefix
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kinds.jobs.attempts import STEP_BUDGETS
from bramble.kube.resources import DATASET, Key
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import CountedFaults, FakeStore, Replica, Time, live_through

NAMESPACE, NAME, UID = "ads", "tape", "uid-dataset"
KEY = Key("Dataset", NAMESPACE, NAME)
Outcome = Literal["result", "failure", "disruption", "final"]
REMEMBERED = ("attempt", "failures", "disruptions", "version", "inputs")
EXIT = {"result": 0, "failure": 1, "disruption": 75, "final": 65}

outcomes = st.lists(st.sampled_from(["result", "failure", "disruption", "final"]), min_size=1, max_size=6)
crashes = st.sets(st.integers(min_value=0, max_value=60), max_size=12)


@dataclass
class Kubelet:
    """Ends each Job as drawn, in the order of their attempts; the last outcome repeats."""

    api: FakeApi
    store: FakeStore
    outcomes: list[Outcome]

    def run_one(self) -> bool:
        """End one running Job; False when none runs."""
        for job in sorted(self.api.of_kind("Job"), key=lambda job: int(job["metadata"]["labels"][ATTEMPT])):
            if not job.get("status"):
                self._end(job, self.outcome(int(job["metadata"]["labels"][ATTEMPT])))
                return True
        return False

    def outcome(self, attempt: int) -> Outcome:
        return self.outcomes[min(attempt, len(self.outcomes)) - 1]

    def _end(self, job: dict[str, Any], outcome: Outcome) -> None:
        attempt = int(job["metadata"]["labels"][ATTEMPT])
        message = ""
        if outcome == "result":
            content, key = canonical_json(result(attempt)), result_key(run_prefix("Dataset", NAMESPACE, NAME, UID, "snapshot", attempt))
            self.store.documents[NAMESPACE, key] = content
            message = Termination(code=0, key=key, sha256=digest_of(content)).encode().decode()
        state = {"terminated": {"exitCode": EXIT[outcome], "message": message}}
        metadata = {"name": f"{job['metadata']['name']}-x", "namespace": NAMESPACE, "labels": job["metadata"]["labels"]}
        metadata["ownerReferences"] = [{"uid": job["metadata"]["uid"]}]
        self.api.put({"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [{"name": "step", "state": state}]}})
        condition = {"type": "Complete" if outcome == "result" else "Failed", "status": "True"}
        self.api.put({**job, "status": {"conditions": [condition]}})


def result(attempt: int) -> SnapshotResult:
    digest = "sha256:" + f"{attempt:064x}"
    return SnapshotResult(
        seconds=1, manifest=digest, counts={"train": {"a": 1}}, classes=("a",), samples=1, bytes=1, passed=True, findings_key="f"
    )


def dataset(status: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": DATASET.api_version,
        "kind": "Dataset",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "uid": UID, "annotations": annotations},
        "spec": {"task": "image-classification", "sources": [{"name": "tape", "s3": {"prefix": "tv/"}, "format": "image-folder"}]},
        "status": status,
    }


async def live_on(api: FakeApi, store: FakeStore, faults: CountedFaults, kubelet: Kubelet) -> None:
    time, seen = Time(), list[int]()

    def check() -> None:
        seen.append(api.objects[KEY].get("status", {}).get("attempt", 0))
        assert seen == sorted(seen), "status.attempt only grows"

    await live_through(lambda: Replica(api, store, (CONTROLLER,), faults, time), kubelet.run_one, check)


def check_end(api: FakeApi, kubelet: Kubelet) -> None:
    status = api.objects[KEY]["status"]
    ready = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    made = {key: count for key, count in api.created.items() if key.kind in ("Job", "ConfigMap")}
    assert all(count == 1 for count in made.values()), f"a child was made twice: {made}"
    last = kubelet.outcome(status["attempt"])
    if last == "result":
        assert ready["status"] == "True"
        assert status["version"] == result(status["attempt"]).manifest
        assert status["versions"][0]["attempt"] == status["attempt"]
    else:
        assert ready["status"] == "False"
        over = status["failures"] > STEP_BUDGETS.failures or status["disruptions"] > STEP_BUDGETS.disruptions
        assert last == "final" or over, "it gave up while a budget was left"
    stale = [job for job in api.of_kind("Job") if int(job["metadata"]["labels"][ATTEMPT]) < status["attempt"]]
    assert not stale, "a Job of an earlier attempt is left"


@given(outcomes=outcomes, crashes=crashes)
@settings(max_examples=150)
def test_a_new_dataset_ends_the_same_whatever_crashes(outcomes: list[Outcome], crashes: set[int]) -> None:
    async def run() -> dict[str, Any]:
        ends = []
        for drawn in ((), crashes):
            api, store = FakeApi(), FakeStore()
            api.put(dataset({}, {}))
            kubelet = Kubelet(api, store, outcomes)
            await live_on(api, store, CountedFaults(drawn), kubelet)
            check_end(api, kubelet)
            ends.append({name: api.objects[KEY]["status"].get(name) for name in REMEMBERED})
        assert ends[0] == ends[1], "crashes changed what is remembered"
        return ends[0]

    asyncio.run(run())


@given(
    outcomes=outcomes,
    crashes=crashes,
    attempt=st.integers(0, 3),
    failures=st.integers(0, 3),
    disruptions=st.integers(0, 3),
    leftovers=st.sets(st.integers(1, 4), max_size=3),
    requested=st.booleans(),
)
@settings(max_examples=150)
def test_any_observed_state_converges(
    outcomes: list[Outcome], crashes: set[int], attempt: int, failures: int, disruptions: int, leftovers: set[int], requested: bool
) -> None:
    """A replica may find any memory, leftover Jobs and requests: it ends in the same state."""

    async def run() -> None:
        api, store = FakeApi(), FakeStore()
        annotations = {REQUEST: '{"id": "1", "action": "snapshot"}'} if requested else {}
        api.put(dataset({"attempt": attempt, "failures": failures, "disruptions": disruptions}, annotations))
        kubelet = Kubelet(api, store, outcomes)
        for number in leftovers:
            api.put(leftover(number))
        await live_on(api, store, CountedFaults(crashes), kubelet)
        check_end(api, kubelet)
        if requested:
            assert api.objects[KEY]["status"]["lastRequest"]["id"] == "1"

    asyncio.run(run())


def leftover(attempt: int) -> dict[str, Any]:
    """A Job that a stalled leader made."""
    labels = {
        "app.kubernetes.io/managed-by": "bramble",
        "bramble.dev/owner-kind": "Dataset",
        "bramble.dev/owner-name": NAME,
        "bramble.dev/owner-uid": UID,
        "bramble.dev/step": "snapshot",
        ATTEMPT: str(attempt),
    }
    metadata = {"name": f"{NAME}-snapshot-{attempt}", "namespace": NAMESPACE, "labels": labels, "ownerReferences": [{"uid": UID}]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}}
