"""What is read of an attempt, and what is believed of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from bramble.api.labels import OWNER_UID
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause
from bramble.contracts.store import LARGEST_DOCUMENT
from bramble.contracts.untrusted import SMALL_DOCUMENT
from bramble.errors import DocumentTooLarge
from bramble.kinds.jobs.gather import gather_step, read_result
from bramble.kube.resources import Manifest, Resource
from tests.unit.jobs.seen import CONTENT, OWNER, PREFIX, ended, job, pod, word

RESULT = f"{PREFIX}result.json"
CAUSE = f"{PREFIX}causes/0.json"
EMPTY: Mapping[str, bytes] = {}


class FakeSources:
    """One Job, its pods, and a store; every fetch is recorded. `begun`: whether the ConfigMap of the Job is there."""

    def __init__(
        self, job: dict[str, Any] | None, pods: tuple[dict[str, Any], ...] = (), store: Mapping[str, bytes] = EMPTY, *, begun: bool = True
    ) -> None:
        self.job = {**job, "metadata": {**job["metadata"], "labels": {OWNER_UID: OWNER.uid}}} if job else None
        self.config_map = {"metadata": {"labels": {OWNER_UID: OWNER.uid}}} if begun else None
        self.pods, self.store, self.fetched = pods, dict(store), list[str]()
        self.warnings: dict[str, str] = {}
        self.limits: tuple[Manifest, ...] = ()

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        assert (namespace, name) == ("ads", "tape-snapshot-1")
        return {"Job": self.job, "ConfigMap": self.config_map}[resource.kind]

    def list(self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        assert (resource.kind, namespace) == ("Pod", "ads")
        assert labels is not None
        assert labels[OWNER_UID] == OWNER.uid
        return self.pods

    async def warning(self, namespace: str, uid: str) -> str:
        assert namespace == "ads"
        return self.warnings.get(uid, "")

    async def limit_ranges(self, namespace: str) -> tuple[Manifest, ...]:
        assert namespace == "ads"
        return self.limits

    async def fetch(self, namespace: str, store_key: str, most: int) -> bytes | None:
        assert namespace == "ads"
        self.fetched.append(store_key)
        content = self.store.get(store_key)
        if content is not None and len(content) > most:
            raise DocumentTooLarge(f"{store_key} has more than {most} bytes")
        return content


async def gathered(sources: Any, filed_key: str = "") -> Any:
    return await gather_step(sources, OWNER, "snapshot", 1, filed_key=filed_key)


async def test_while_it_runs_the_store_is_not_asked() -> None:
    sources = FakeSources(job(), (pod({"running": {}}),))
    seen = await gathered(sources, "results/snapshot/x.json")
    assert (sources.fetched, seen.stored) == ([], None)


async def test_before_the_first_job_its_result_and_the_filed_one_are_looked_up() -> None:
    sources = FakeSources(None, (), {"results/snapshot/x.json": CONTENT}, begun=False)
    seen = await gathered(sources, "results/snapshot/x.json")
    assert sources.fetched == [RESULT, CAUSE, "results/snapshot/x.json"]
    assert not seen.begun
    assert seen.filed is not None
    assert seen.filed.result is not None


async def test_a_result_is_verified_by_the_last_word_of_the_pod() -> None:
    true = await gathered(FakeSources(job(), (pod(ended(0, word())),), {RESULT: CONTENT}))
    false = await gathered(FakeSources(job(), (pod(ended(0, word(sha256="sha256:" + "0" * 64))),), {RESULT: CONTENT}))
    assert true.stored.result is not None
    assert false.stored.result is None
    assert "is not the one that the job wrote" in false.stored.problem


async def test_a_word_that_names_another_key_is_not_followed() -> None:
    """A pod's last word comes from a program; it must not make the operator read elsewhere."""
    sources = FakeSources(job(), (pod(ended(0, word(key="runs/dataset/ads/other/uid-2/snapshot/1/result.json"))),), {RESULT: CONTENT})
    seen = await gathered(sources)
    assert sources.fetched == [RESULT]
    assert seen.stored.result is not None


async def test_a_failed_attempt_is_asked_for_its_cause() -> None:
    cause = Cause(kind="BadData", message="corrupt")
    sources = FakeSources(job(("FailureTarget", "PodFailurePolicy")), (), {f"{PREFIX}causes/0.json": canonical_json(cause)})
    assert (await gathered(sources)).cause == cause


async def test_a_document_that_is_too_large_is_no_fault_of_the_store() -> None:
    """A program writes into the store as well. Its attempt ends as one without a cause does, and the result is named as unusable."""
    cause = Cause(kind="BadData", message="corrupt").model_dump_json().encode() + b" " * SMALL_DOCUMENT
    failed = await gathered(FakeSources(job(("FailureTarget", "PodFailurePolicy")), (), {f"{PREFIX}causes/0.json": cause}))
    assert (failed.cause, failed.stored) == (None, None)
    filed = CONTENT + b" " * LARGEST_DOCUMENT
    done = await gathered(FakeSources(job(), (pod(ended(0, word())),), {RESULT: filed, "results/x.json": filed}), "results/x.json")
    for stored in (done.stored, done.filed):
        assert stored.result is None
        assert f"has more than {LARGEST_DOCUMENT} bytes" in stored.problem


async def test_a_job_without_pods_is_asked_for_what_kubernetes_warned_of() -> None:
    waits = job()
    waits["metadata"]["uid"] = "u-job"
    sources = FakeSources(waits)
    sources.warnings = {"u-job": "FailedCreate: exceeded quota"}
    assert (await gathered(sources)).warning == "FailedCreate: exceeded quota"
    sources.pods = (pod(ended(1)),)
    assert (await gathered(sources)).warning == "", "an attempt that has ended waits for nothing"


async def test_a_job_that_is_gone_is_asked_for_its_cause() -> None:
    """A policy of the cluster may remove a Job as soon as it has ended, and its pods with it."""
    cause = Cause(kind="Error", message="boom")
    seen = await gathered(FakeSources(None, (), {CAUSE: canonical_json(cause)}))
    assert (seen.job, seen.begun, seen.cause) == (None, True, cause)


async def test_a_job_of_an_earlier_object_of_the_name_is_not_ours() -> None:
    sources = FakeSources(job())
    assert sources.job is not None
    assert sources.config_map is not None
    sources.job["metadata"]["labels"] = sources.config_map["metadata"]["labels"] = {OWNER_UID: "uid-0"}
    seen = await gathered(sources)
    assert (seen.job, seen.begun) == (None, False)


@pytest.mark.parametrize(
    ("content", "step", "problem"),
    [
        (b"{}", "snapshot", "is not one this operator knows"),
        (CONTENT, "convert", "is of step snapshot, not convert"),
        (CONTENT, "snapshot", ""),
    ],
)
def test_what_a_result_must_be(content: bytes, step: str, problem: str) -> None:
    stored = read_result(content, step)
    assert problem in stored.problem
    assert (stored.result is None) == bool(problem)


async def test_a_limit_range_that_refuses_the_pod_is_named_with_the_field_to_set() -> None:
    sources = FakeSources({**job(), "metadata": {"name": "tape-snapshot-1", "uid": "u-job"}})
    sources.warnings["u-job"] = (
        'FailedCreate: spec.containers[0].resources.requests: Invalid value: "250m": must be less than or equal to cpu limit of 50m'
    )
    sources.limits = ({"metadata": {"name": "small"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "50m"}}]}},)
    seen = await gather_step(cast(Any, sources), OWNER, "snapshot", 1)
    assert seen.warning.startswith("FailedCreate: ")
    assert (
        "; LimitRange small gives a container without a limit of cpu one of 50m: set spec.jobs.resources.snapshot.limits.cpu"
        in seen.warning
    )
