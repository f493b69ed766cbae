"""The parts that every pod of ours is made of; nothing here has to be asked for twice to be restricted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bramble.contracts.canonical import canonical_json
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.base import TOKEN_AUDIENCE, Job
from bramble.contracts.pod import GATEWAY_CA, GATEWAY_TOKEN, JOB_FILE, STORE_FOLDER
from bramble.contracts.store import SECRET_NAME
from bramble.kinds.jobs.step import Owner
from bramble.kube.resources import CONFIG_MAP, GROUP, VERSION

USER = 65532
"""The `nonroot` user of distroless images; any other than root would do."""

TOKEN_SECONDS = 3600
"""Life of a projected gateway token; the kubelet renews it before that."""

JOB_KEY = "job.json"
CA_KEY = "ca.crt"

FINAL_CODES = (int(ExitCode.SPEC_ERROR), int(ExitCode.BAD_DATA))


def controller_reference(owner: Owner) -> dict[str, Any]:
    """The owner reference of a child: the garbage collector removes the child with its owner.

    It does not block the owner's deletion: that would need a right on the owner's finalizers where the API server
    enforces it (OwnerReferencesPermissionEnforcement).
    """
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def child_metadata(owner: Owner, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Metadata of a child in its owner's namespace."""
    return {"name": name, "namespace": owner.namespace, "labels": dict(labels), "ownerReferences": [controller_reference(owner)]}


def job_config_map(owner: Owner, name: str, labels: Mapping[str, str], job: Job, gateway_ca: str) -> dict[str, Any]:
    """The immutable ConfigMap with `job.json` and the gateway's CA."""
    content = {JOB_KEY: canonical_json(job).decode()}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": child_metadata(owner, name, labels),
        "immutable": True,
        "data": {**content, CA_KEY: gateway_ca} if gateway_ca else content,
    }


def pod_security() -> dict[str, Any]:
    """Pod-level security context under the `restricted` standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """Container-level security context under the `restricted` standard, with a read-only root as well."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def environment() -> list[dict[str, Any]]:
    """Where the pod is and what it is called, which a job says in its result and its cause; and a home it can write to."""
    return [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a path inside the container
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]


def _folder(file: str) -> str:
    return file.rsplit("/", 1)[0]


Part = tuple[dict[str, Any], dict[str, Any]]
"""A volume, and the mount of it."""


def job_volume(config_map: str) -> Part:
    """`job.json`."""
    return (
        {"name": "job", "configMap": {"name": config_map, "items": [{"key": JOB_KEY, "path": JOB_KEY}]}},
        {"name": "job", "mountPath": _folder(JOB_FILE), "readOnly": True},
    )


def store_volume() -> Part:
    """The namespace's store Secret: a file a key."""
    return (
        {"name": "store", "secret": {"secretName": SECRET_NAME, "defaultMode": 0o440}},
        {"name": "store", "mountPath": STORE_FOLDER, "readOnly": True},
    )


def token_volume() -> Part:
    """The projected token that the gateway knows the pod by."""
    path = GATEWAY_TOKEN.rsplit("/", 1)[1]
    source = {"serviceAccountToken": {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": path}}
    return (
        {"name": "gateway-token", "projected": {"sources": [source], "defaultMode": 0o440}},
        {"name": "gateway-token", "mountPath": _folder(GATEWAY_TOKEN), "readOnly": True},
    )


def gateway_ca_volume(config_map: str) -> Part:
    """The CA that the gateway's certificate is checked against."""
    return (
        {"name": "gateway-ca", "configMap": {"name": config_map, "items": [{"key": CA_KEY, "path": GATEWAY_CA.rsplit("/", 1)[1]}]}},
        {"name": "gateway-ca", "mountPath": _folder(GATEWAY_CA), "readOnly": True},
    )


def tmp_volume() -> Part:
    """The one place a step may write to."""
    return {"name": "tmp", "emptyDir": {}}, {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a path inside the container


def volumes(parts: Sequence[Part]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pod's volumes, and one container's mounts of all of them."""
    return [volume for volume, _ in parts], [mount for _, mount in parts]


def failure_policy(container: str) -> dict[str, Any]:
    """One attempt is one Job: a disruption ends it, a final exit code ends it, and the reason says which (KEP-3329)."""
    return {
        "rules": [
            {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": container, "operator": "In", "values": list(FINAL_CODES)}},
        ]
    }
