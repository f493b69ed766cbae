"""kopf delivers and nothing else; what a watch misses a full list finds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bramble.api.labels import REQUEST
from bramble.engine.relist import WatchProgress
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kinds.trainingrun.controller import CONTROLLER as TRAINING_RUNS
from bramble.kube.resources import CONFIG_MAP, DATASET, JOB, SECRET, TRAINING_RUN
from tests.engine.running import client, eventually, nested, reading_deep, running, says
from tools.cluster import Cluster
from tools.cluster.audit import audit_events_in
from tools.cluster.waiting import until

pytestmark = pytest.mark.cluster


def dataset(namespace: str, name: str = "tape") -> dict[str, Any]:
    spec = {"task": "image-classification", "sources": [{"name": "tape", "s3": {"prefix": "tv/"}, "format": "image-folder"}]}
    return {"apiVersion": DATASET.api_version, "kind": "Dataset", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def secret(cluster: Cluster, namespace: str, **changes: str) -> dict[str, Any]:
    s3 = cluster.s3
    values = {"endpoint": s3.host_endpoint, "bucket": s3.bucket, "accessKey": s3.access_key, "secretKey": s3.secret_key, **changes}
    metadata = {"name": "bramble-store", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


async def test_an_unusable_store_is_named_until_it_is_mended(local: Cluster, namespace: str) -> None:
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))
        missing = await says(api, DATASET, namespace, "tape", "StoreMissing")
        assert missing == (f"namespace {namespace} has no Secret bramble-store; create it with endpoint, bucket, accessKey and secretKey")
        local.apply(secret(local, namespace, endpoint="127.0.0.1:1"))
        assert "has no scheme" in await says(api, DATASET, namespace, "tape", "StoreInvalid")
        local.apply(secret(local, namespace, endpoint="http://[::1]:9"))
        await says(
            api, DATASET, namespace, "tape", "StoreInvalid", part="'::1' is at ::1, a loopback address; write the address of a store"
        )
        local.apply(secret(local, namespace, endpoint=api.server))
        await says(api, DATASET, namespace, "tape", "StoreInvalid", part="which is the cluster's API server")
        local.apply(secret(local, namespace, secretKey="wrong"))
        assert "SignatureDoesNotMatch: the secret key is wrong; correct secretKey" in await says(
            api, DATASET, namespace, "tape", "StoreRefused"
        )
        local.apply(secret(local, namespace, bucket="no-such-bucket"))
        await says(api, DATASET, namespace, "tape", "StoreRefused", part="the bucket does not exist; create it, or correct bucket")
        local.apply(secret(local, namespace))
        await says(api, DATASET, namespace, "tape", "Snapshotting")
        assert await api.get(JOB, namespace, "tape-snapshot-1") is not None
        assert await api.get(CONFIG_MAP, namespace, "tape-snapshot-1") is not None


async def test_one_users_nested_object_stops_nobody(local: Cluster, namespace: str) -> None:
    """The API server takes 10,000 levels and gives them to every list and every watch; Python reads 1,000 unless it is told otherwise."""
    trainer = {"builtin": {"task": "image-classification", "architecture": "small-cnn"}}
    spec = {"datasetRef": {"name": "tape"}, "trainer": trainer, "hyperparameters": nested(9_900)}
    metadata = {"name": "deep", "namespace": namespace}
    run = {"apiVersion": TRAINING_RUN.api_version, "kind": TRAINING_RUN.kind, "metadata": metadata, "spec": spec}
    with reading_deep():
        async with client(local) as api:
            made = await api.create(TRAINING_RUN, run)
            try:
                async with running(local, (CONTROLLER, TRAINING_RUNS)):
                    await api.create(DATASET, dataset(namespace))
                    await says(api, DATASET, namespace, "tape", "StoreMissing")
                    assert "hyperparameters" in await says(api, TRAINING_RUN, namespace, "deep", "InvalidSpec")
                    await api.merge(TRAINING_RUN, namespace, "deep", {"metadata": {"labels": {"a": "b"}}})
                    await api.create(DATASET, dataset(namespace, "next"))
                    await says(api, DATASET, namespace, "next", "StoreMissing")
            finally:
                await api.delete(TRAINING_RUN, namespace, "deep", made["metadata"]["uid"], "Background")


async def test_events_are_taken_on_the_engines_own_loop(local: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf runs a plain function in a thread, where cache and queue would have two masters."""
    threads: set[int] = set()
    delivered = WatchProgress.delivered

    def noted(watches: WatchProgress, manifest: Any) -> None:
        threads.add(threading.get_ident())
        delivered(watches, manifest)

    async def noted_something() -> bool:
        return bool(threads)

    monkeypatch.setattr(WatchProgress, "delivered", noted)
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))
        await eventually(noted_something)
    assert threads == {threading.get_ident()}


async def test_kopf_leaves_no_trace_on_objects(local: Cluster, namespace: str) -> None:
    """No finalizer, no annotation; nobody but our two field managers and the test writes."""
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))
        await says(api, DATASET, namespace, "tape", "StoreMissing")
        found = await api.get(DATASET, namespace, "tape")
        assert found is not None
        assert not found["metadata"].get("finalizers")
        assert not found["metadata"].get("annotations")
        assert {entry["manager"] for entry in found["metadata"]["managedFields"]} <= {"bramble-operator", "bramble-operator-status"}
        writes = [event for event in audit_events_in(local.audit_log, namespace) if event["verb"] not in ("get", "list", "watch")]
        resources = {(event["verb"], event["objectRef"]["resource"], event["objectRef"].get("subresource", "")) for event in writes}
        allowed = {("create", "datasets", ""), ("update", "datasets", "status"), ("create", "events", ""), ("create", "namespaces", "")}
        assert resources <= allowed | {("patch", "namespaces", "")}


async def test_a_terminal_error_is_a_condition_and_others_go_on(local: Cluster, namespace: str) -> None:
    """Somebody else's ConfigMap under the child's name; mended, the Dataset goes on."""
    local.apply(secret(local, namespace))
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tape-snapshot-1", "namespace": namespace}}
    async with client(local) as api, running(local, (CONTROLLER,)) as engine:
        await api.create(CONFIG_MAP, theirs)
        await api.create(DATASET, dataset(namespace))
        told = await says(api, DATASET, namespace, "tape", "NameConflict")
        assert f"ConfigMap {namespace}/tape-snapshot-1 exists and is not ours" in told
        assert await api.get(JOB, namespace, "tape-snapshot-1") is None, "its pod would mount somebody else's ConfigMap"
        await api.create(DATASET, dataset(namespace, "other"))

        async def other_goes_on() -> bool:
            return await api.get(JOB, namespace, "other-snapshot-1") is not None

        await eventually(other_goes_on)
        found = await api.get(CONFIG_MAP, namespace, "tape-snapshot-1")
        assert found is not None
        await api.delete(CONFIG_MAP, namespace, "tape-snapshot-1", found["metadata"]["uid"], "Background")
        engine.changes.wake_all()  # it would look again by itself after half a minute
        await says(api, DATASET, namespace, "tape", "Snapshotting")


async def test_a_request_is_answered_once(local: Cluster, namespace: str) -> None:
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))
        await says(api, DATASET, namespace, "tape", "StoreMissing")

        async def answered(id_: str) -> Any:
            found = await api.get(DATASET, namespace, "tape")
            last = (found or {}).get("status", {}).get("lastRequest", {})
            return last if last.get("id") == id_ else None

        for id_, text, result, attempt in (
            ("1", '{"id": "1", "action": "promote"}', "Refused", 1),
            ("2", '{"id": "2", "action": "snapshot", "attempt": 7}', "Refused", 1),
            ("3", '{"id": "3", "action": "snapshot", "attempt": 1}', "Accepted", 2),
        ):
            await api.merge(DATASET, namespace, "tape", {"metadata": {"annotations": {REQUEST: text}}})
            last = await eventually(lambda id_=id_: answered(id_))
            found = await api.get(DATASET, namespace, "tape")
            assert found is not None
            assert (last["result"], found["status"]["attempt"]) == (result, attempt), last


async def test_a_deletion_that_no_watch_told_is_found_out_at_the_next_write(local: Cluster, namespace: str) -> None:
    async with client(local) as api, running(local, (CONTROLLER,)) as engine:
        await api.create(DATASET, dataset(namespace))
        await says(api, DATASET, namespace, "tape", "StoreMissing")
        made = await api.get(DATASET, namespace, "tape")
        assert made is not None
        phantom = {**made, "metadata": {**made["metadata"], "name": "phantom", "uid": "phantom", "resourceVersion": "1"}}
        engine.changes.updated(phantom)
        assert len(engine.changes.cache.list("Dataset", namespace)) == 2
        await until(lambda: len(engine.changes.cache.list("Dataset", namespace)) == 1, 10, "the list has not been asked")
        assert [item["metadata"]["name"] for item in engine.changes.cache.list("Dataset", namespace)] == ["tape"]


async def test_secrets_are_read_by_name_only(local: Cluster, namespace: str) -> None:
    """The right that the chart gives is get of one name."""
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))
        await says(api, DATASET, namespace, "tape", "StoreMissing")
    events = [event for event in audit_events_in(local.audit_log, namespace) if event["objectRef"]["resource"] == SECRET.plural]
    assert {(event["verb"], event["objectRef"].get("name")) for event in events} == {("get", "bramble-store")}
