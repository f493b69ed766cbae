"""The parts of the pod templates that Bramble makes. With them a pod passes the Pod Security Standard `restricted`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bramble.contracts.canonical import canonical_json
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.jobs.base import TOKEN_AUDIENCE, Job
from bramble.contracts.pod import CODE_FOLDER, GATEWAY_CA, GATEWAY_TOKEN, JOB_FILE, STORE_FOLDER, TELEMETRY_OFF
from bramble.contracts.store import SECRET_NAME
from bramble.kinds.jobs.step import Owner
from bramble.kube.resources import CONFIG_MAP, GROUP, VERSION

USER = 65532
"""The `nonroot` user of distroless images. Any user but root would do."""

TOKEN_SECONDS = 3600
"""How long a projected gateway token is valid, in seconds. The kubelet renews it before that."""

JOB_KEY = "job.json"
CA_KEY = "ca.crt"

FINAL_CODES = (int(ExitCode.SPEC_ERROR), int(ExitCode.BAD_DATA))


def controller_reference(owner: Owner) -> dict[str, Any]:
    """The owner reference of a child. The garbage collector removes the child with its owner.

    It leaves out `blockOwnerDeletion`, which needs a right on the owner's finalizers if the API server runs the admission plugin
    OwnerReferencesPermissionEnforcement.
    """
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def child_metadata(owner: Owner, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of a child in its owner's namespace."""
    return {"name": name, "namespace": owner.namespace, "labels": dict(labels), "ownerReferences": [controller_reference(owner)]}


def job_config_map(owner: Owner, name: str, labels: Mapping[str, str], job: Job, gateway_ca: str) -> dict[str, Any]:
    """The immutable ConfigMap that holds `job.json` and the gateway's CA certificate."""
    content = {JOB_KEY: canonical_json(job).decode()}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": child_metadata(owner, name, labels),
        "immutable": True,
        "data": {**content, CA_KEY: gateway_ca} if gateway_ca else content,
    }


def pod_security() -> dict[str, Any]:
    """The pod's security context that `restricted` asks for."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The container's security context that `restricted` asks for, and a read-only root file system."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def environment() -> list[dict[str, Any]]:
    """Environment variables of every container: the node's and the pod's name, for results and causes; a home that can be written to,
    and a user name.
    """
    return [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a path inside the container
        {"name": "USER", "value": "bramble"},  # the image has no entry for the user id, and Python's getpass.getuser() fails without one
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        *telemetry_off(),
    ]


def code_path() -> list[dict[str, Any]]:
    """Where Python finds Bramble's code in Bramble's own images.

    The images say it as well. But a cluster's add-on, such as automatic instrumentation, replaces a variable of the image, and extends one
    of the pod.
    """
    return [{"name": "PYTHONPATH", "value": CODE_FOLDER}]


def telemetry_off() -> list[dict[str, Any]]:
    """Environment variables that keep libraries from reporting to their makers, also in a user's own image."""
    return [{"name": name, "value": value} for name, value in TELEMETRY_OFF.items()]


def _folder(file: str) -> str:
    return file.rsplit("/", 1)[0]


Part = tuple[dict[str, Any], dict[str, Any]]
"""A volume, and its mount."""


def job_volume(config_map: str) -> Part:
    """The volume with `job.json`."""
    return (
        {"name": "job", "configMap": {"name": config_map, "items": [{"key": JOB_KEY, "path": JOB_KEY}]}},
        {"name": "job", "mountPath": _folder(JOB_FILE), "readOnly": True},
    )


def store_volume() -> Part:
    """The volume with the namespace's store Secret. Each key of the Secret is a file."""
    return (
        {"name": "store", "secret": {"secretName": SECRET_NAME, "defaultMode": 0o440}},
        {"name": "store", "mountPath": STORE_FOLDER, "readOnly": True},
    )


def token_volume() -> Part:
    """The volume with the projected token by which the gateway recognises the pod."""
    path = GATEWAY_TOKEN.rsplit("/", 1)[1]
    source = {"serviceAccountToken": {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": path}}
    return (
        {"name": "gateway-token", "projected": {"sources": [source], "defaultMode": 0o440}},
        {"name": "gateway-token", "mountPath": _folder(GATEWAY_TOKEN), "readOnly": True},
    )


def gateway_ca_volume(config_map: str) -> Part:
    """The volume with the CA that signs the gateway's certificate."""
    return (
        {"name": "gateway-ca", "configMap": {"name": config_map, "items": [{"key": CA_KEY, "path": GATEWAY_CA.rsplit("/", 1)[1]}]}},
        {"name": "gateway-ca", "mountPath": _folder(GATEWAY_CA), "readOnly": True},
    )


def tmp_volume() -> Part:
    """The only folder of a step that can be written to."""
    return {"name": "tmp", "emptyDir": {}}, {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a path inside the container


def volumes(parts: Sequence[Part]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split the parts into the pod's volumes and one container's mounts."""
    return [volume for volume, _ in parts], [mount for _, mount in parts]


def failure_policy(container: str) -> dict[str, Any]:
    """The Job fails at once if the cluster takes its pod away, or if the container ends with a final exit code (KEP-3329)."""
    return {
        "rules": [
            {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": container, "operator": "In", "values": list(FINAL_CODES)}},
        ]
    }
