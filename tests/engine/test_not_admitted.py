"""What the cluster does not admit stands in status within ten seconds, in the API server's or the Job controller's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bramble.api.labels import ATTEMPT
from bramble.errors import AlreadyExists, Refused
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kube.client import CONTENT_MERGE, Client
from bramble.kube.resources import CONFIG_MAP, DATASET, JOB, Manifest
from tests.engine.running import client, eventually, running, says, until_gone
from tests.engine.test_watching import dataset, secret
from tools.cluster import Cluster

pytestmark = pytest.mark.cluster

SECONDS = 10.0
QUOTA = 'Error creating: pods "tape-snapshot-1-x" is forbidden: failed quota: tenant: must specify limits.cpu'


def jobs_of(namespace: str) -> dict[str, Any]:
    """The Jobs of one namespace, as admission rules select them."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}],
    }


def policy(namespace: str) -> list[dict[str, Any]]:
    """A policy that allows no Jobs in this namespace."""
    api, name, rules = "admissionregistration.k8s.io/v1", {"name": f"no-jobs-{namespace}"}, jobs_of(namespace)
    constraints = {"namespaceSelector": rules["namespaceSelector"], "resourceRules": rules["rules"]}
    validations = [{"expression": "false", "message": "no Jobs in this namespace"}]
    return [
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": name,
            "spec": {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": validations},
        },
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": name,
            "spec": {"policyName": name["name"], "validationActions": ["Deny"]},
        },
    ]


def webhook(namespace: str) -> dict[str, Any]:
    """A webhook for Jobs at an address where nobody listens."""
    hook = {
        "name": "away.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
        **jobs_of(namespace),
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": {"name": f"away-{namespace}"}, "webhooks": [hook]}


async def in_force(api: Client, namespace: str) -> None:
    """Until the API server refuses a Job in this namespace: it reads its rules a moment after they were written."""
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}
    probe = {"apiVersion": JOB.api_version, "kind": "Job", "metadata": {"name": "probe", "namespace": namespace}, "spec": spec}

    async def refused() -> bool:
        try:
            await api.call("POST", JOB.path(namespace), probe, {"dryRun": "All"})
        except Exception as error:  # noqa: BLE001 - whatever is said
            return "no Jobs in this namespace" in str(error) or "away.example.org" in str(error)
        return False

    await eventually(refused)


@pytest.mark.parametrize(
    ("kind", "reason", "part"),
    [
        pytest.param("policy", "Refused", "no Jobs in this namespace", id="a policy that refuses the Job"),
        pytest.param("webhook", "NotAdmitted", 'failed calling webhook "away.example.org"', id="a webhook that does not answer"),
    ],
)
async def test_a_job_that_is_not_admitted(local: Cluster, namespace: str, kind: str, reason: str, part: str) -> None:
    rules = policy(namespace) if kind == "policy" else [webhook(namespace)]
    local.apply(secret(local, namespace))
    for rule in rules:
        local.apply(rule)
    try:
        async with client(local) as api, running(local, (CONTROLLER,)) as engine:
            await in_force(api, namespace)
            await api.create(DATASET, dataset(namespace))
            async with asyncio.timeout(SECONDS):
                await says(api, DATASET, namespace, "tape", reason, part=part)
            assert await api.get(CONFIG_MAP, namespace, "tape-snapshot-1") is None, "nothing says that the attempt has begun"
            for rule in rules:
                local.kubectl("delete", rule["kind"], rule["metadata"]["name"])

            async def made() -> Manifest | None:
                engine.changes.wake_all()  # it would look again by itself after half a minute
                return await api.get(CONFIG_MAP, namespace, "tape-snapshot-1")

            await eventually(made, 30)
            job = await api.get(JOB, namespace, "tape-snapshot-1")
            assert job is not None
            assert job["metadata"]["labels"][ATTEMPT] == "1", "the same attempt: a refusal costs nothing"
    finally:
        for rule in rules:
            local.kubectl("delete", "--ignore-not-found", rule["kind"], rule["metadata"]["name"])


async def allow_config_maps(api: Client, namespace: str, count: int) -> None:
    """What a quota allows, and uses. There is no quota controller here, which would set it."""
    metadata, hard = {"name": "tenant", "namespace": namespace}, {"count/configmaps": str(count)}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    try:
        await api.call("POST", path, quota)
    except AlreadyExists:
        await api.call("PATCH", f"{path}/tenant", {"spec": {"hard": hard}}, content=CONTENT_MERGE)
    status = {"hard": hard, "used": {"count/configmaps": "0"}}
    await api.call("PATCH", f"{path}/tenant/status", {"status": status}, content=CONTENT_MERGE)

    async def in_force() -> bool:
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": namespace}}
        try:
            await api.create(CONFIG_MAP, probe, dry_run=True)
        except Refused:
            return count == 0
        return count > 0

    await eventually(in_force)


async def test_a_config_map_that_exceeds_a_quota(local: Cluster, namespace: str) -> None:
    """Its Job is not made either: it would hold its node, and use up its deadline, without it."""
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, (CONTROLLER,)) as engine:
        await allow_config_maps(api, namespace, 0)
        await api.create(DATASET, dataset(namespace))
        async with asyncio.timeout(SECONDS):
            said = await says(api, DATASET, namespace, "tape", "Refused", part="exceeded quota: tenant, requested: count/configmaps=1")
        assert "tape-snapshot-1" in said
        assert await api.get(JOB, namespace, "tape-snapshot-1") is None
        await allow_config_maps(api, namespace, 1)

        async def made() -> Manifest | None:
            engine.changes.wake_all()  # it would look again by itself after half a minute
            return await api.get(CONFIG_MAP, namespace, "tape-snapshot-1")

        await eventually(made, 30)
        job = await api.get(JOB, namespace, "tape-snapshot-1")
        assert job is not None
        assert job["metadata"]["labels"][ATTEMPT] == "1", "the same attempt: a refusal costs nothing"


async def test_a_job_that_gets_no_pods(local: Cluster, namespace: str) -> None:
    """There is no Job controller here: the test writes its Event, in the older form that it uses."""
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))

        async def made() -> Manifest | None:
            return await api.get(JOB, namespace, "tape-snapshot-1")

        job = await eventually(made, 30)
        about = {"apiVersion": "batch/v1", "kind": "Job", "name": "tape-snapshot-1", "namespace": namespace, "uid": job["metadata"]["uid"]}
        last = "2026-01-01T00:00:00Z"
        event = {"type": "Warning", "reason": "FailedCreate", "message": QUOTA, "firstTimestamp": last, "lastTimestamp": last, "count": 3}
        metadata = {"name": "tape-snapshot-1.1", "namespace": namespace}
        source = {"source": {"component": "job-controller"}}
        local.apply({"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, **event, **source})
        async with asyncio.timeout(SECONDS):
            said = await says(api, DATASET, namespace, "tape", "Snapshotting", part="must specify limits.cpu")
        assert said == f"Job tape-snapshot-1 has no pod (FailedCreate: {QUOTA})"


async def test_a_job_that_got_no_pods_is_made_anew_once_its_resources_are_corrected(local: Cluster, namespace: str) -> None:
    """There is no Job controller here, so no Job ever gets a pod."""
    local.apply(secret(local, namespace))
    async with client(local) as api, running(local, (CONTROLLER,)):
        await api.create(DATASET, dataset(namespace))

        async def made(attempt: int) -> Manifest | None:
            return await api.get(CONFIG_MAP, namespace, f"tape-snapshot-{attempt}")

        await eventually(lambda: made(1), 30)
        patch = {"spec": {"jobs": {"resources": {"snapshot": {"limits": {"cpu": "1"}}}}}}
        await api.merge(DATASET, namespace, "tape", patch)
        await eventually(lambda: made(2), 30)
        await until_gone(api, JOB, namespace, "tape-snapshot-1")
        await until_gone(api, CONFIG_MAP, namespace, "tape-snapshot-1")
        job = await api.get(JOB, namespace, "tape-snapshot-2")
        assert job is not None
        assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1"
        seen = await api.get(DATASET, namespace, "tape")
        assert seen is not None
        assert (seen["status"]["attempt"], seen["status"].get("failures", 0)) == (2, 0)
        assert await made(3) is None
