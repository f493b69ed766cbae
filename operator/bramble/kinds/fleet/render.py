"""The children of a Fleet, all in the edge namespace: the gateway's CA, a Service, a DaemonSet for each board, and a Job for each node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.api.fleet import Board
from bramble.api.jobs import Resources
from bramble.api.labels import AGENT, EDGE_TAINT, FLEET, STEP, agent_label, child_name, owner_labels
from bramble.contracts.pod import GATEWAY_CA
from bramble.kinds.fleet.folders import NODE_ANNOTATION, Folder
from bramble.kinds.fleet.observed import NODE_SETUP, Observed
from bramble.kinds.jobs.additions import Additions
from bramble.kinds.jobs.pod_template import (
    CA_KEY,
    USER,
    container_security,
    controller_reference,
    pod_security,
    telemetry_off,
    tmp_volume,
    token_volume,
    volumes,
)
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kube.resources import CONFIG_MAP, DAEMON_SET, JOB, SERVICE

PORT = 8090
STATE = "/var/lib/bramble"
"""The agent's folder, on the node and in its container. The chart's admission policy allows agents no other folder of the node."""
SETUP_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
SETUP_RESOURCES = Resources(requests={"cpu": "10m", "memory": "64Mi"}, limits={"memory": "128Mi"})
SETUP_KEPT_SECONDS = 3600
"""How long a Job that prepared a folder is kept after its end, so that its log can be read."""


def service_name(fleet: str) -> str:
    """The Service by which programs on a node reach its agent: `http://<this>.<edge namespace>.svc:8090`."""
    return child_name("agent", fleet)


def ca_config_map(seen: Observed) -> Apply:
    """The CA that agents check the gateway's certificate by. It is applied again when the operator's copy is renewed."""
    return Apply(_child(seen, CONFIG_MAP.api_version, CONFIG_MAP.kind, _ca_name(seen)) | {"data": {CA_KEY: seen.gateway_ca}})


def service(seen: Observed) -> Apply:
    """The Service of the agents. A caller reaches the agent of its own node, and no other."""
    spec = {
        "internalTrafficPolicy": "Local",
        "selector": {FLEET: seen.name},
        "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return Apply(_child(seen, SERVICE.api_version, SERVICE.kind, service_name(seen.name)) | {"spec": spec})


def daemon_set_name(fleet: str, board: str) -> str:
    """The name of the DaemonSet of a board's agents."""
    return child_name("agent", fleet, board)


def agents(seen: Observed, board: Board) -> Apply:
    """The DaemonSet of one board's agents.

    Its update strategy is `OnDelete`: an agent takes a new image or setting when its pod is deleted, so a person decides when and where.
    """
    selector = {AGENT: agent_label(seen.name, board.name)}
    labels = {**owner_labels("Fleet", seen.name, seen.fleet.metadata.uid), **selector, FLEET: seen.name}
    child = _child(seen, DAEMON_SET.api_version, DAEMON_SET.kind, daemon_set_name(seen.name, board.name))
    spec = {
        "selector": {"matchLabels": selector},
        "updateStrategy": {"type": "OnDelete"},
        "template": {"metadata": {"labels": labels}, "spec": _agent_pod(seen, board, selector)},
    }
    return Apply(child | {"spec": spec})


def _agent_pod(seen: Observed, board: Board, selector: Mapping[str, str]) -> dict[str, Any]:
    parts = [
        (
            {"name": "slots", "hostPath": {"path": STATE, "type": "Directory"}},
            {"name": "slots", "mountPath": STATE},
        ),
        token_volume(),
        (
            {"name": "gateway-ca", "configMap": {"name": _ca_name(seen)}},
            {"name": "gateway-ca", "mountPath": GATEWAY_CA.rsplit("/", 1)[0], "readOnly": True},
        ),
        tmp_volume(),
    ]
    pod_volumes, mounts = volumes(parts)
    resources = board.resources.model_dump(mode="json", exclude_defaults=True) if board.resources else {}
    env: list[dict[str, Any]] = [
        {"name": "BRAMBLE_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "BRAMBLE_FLEET", "value": seen.name},
        {"name": "BRAMBLE_BOARD", "value": board.name},
        {"name": "BRAMBLE_GATEWAY_URL", "value": seen.settings.gateway_url},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a path inside the container
        {"name": "USER", "value": "bramble"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        *telemetry_off(),
    ]
    if "memory" in resources.get("limits", {}):
        env.append(
            {"name": "BRAMBLE_MEMORY_BUDGET", "valueFrom": {"resourceFieldRef": {"containerName": "agent", "resource": "limits.memory"}}}
        )
    container = {
        "name": "agent",
        "image": seen.settings.images_edge,
        "command": ["python", "-m", "bramble_workloads", "agent"],
        "env": env,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources,
        "securityContext": container_security(),
        "volumeMounts": mounts,
        # An agent without a model is not ready and gets no requests. An agent that does not answer for a minute is restarted.
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 2, "failureThreshold": 1},
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
    return {
        "serviceAccountName": seen.settings.agent_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": dict(selector),
        "tolerations": [{"key": EDGE_TAINT, "operator": "Exists"}],
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": pod_volumes,
    }


def setup_job(seen: Observed, folder: Folder) -> CreateOnce:
    """The Job that creates the agent's folder on a node and gives it to the agent's user. Only this pod of Bramble's runs as root."""
    additions = Additions.of(seen.settings.jobs, None)
    child = _child(seen, JOB.api_version, JOB.kind, folder.job)
    child["metadata"]["labels"][STEP] = NODE_SETUP
    child["metadata"]["annotations"] = {NODE_ANNOTATION: folder.member.name}
    template_metadata = additions.pod_metadata(child["metadata"]["labels"])
    child["metadata"] = additions.job_metadata(child["metadata"])
    pod_volumes, mounts = volumes(
        [({"name": "slots", "hostPath": {"path": STATE, "type": "DirectoryOrCreate"}}, {"name": "slots", "mountPath": STATE}), tmp_volume()]
    )
    security = container_security()
    container = {
        "name": NODE_SETUP,
        "image": seen.settings.images_edge,
        "command": ["python", "-m", "bramble_workloads", NODE_SETUP],
        "env": [{"name": "BRAMBLE_STATE", "value": STATE}, {"name": "BRAMBLE_AGENT_USER", "value": str(USER)}, *telemetry_off()],
        "resources": additions.resources(NODE_SETUP, SETUP_RESOURCES),
        "securityContext": security | {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": SETUP_CAPABILITIES}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    pod = {
        "serviceAccountName": seen.settings.node_setup_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_only(folder.member.name)]}}
        },
        "tolerations": [{"key": EDGE_TAINT, "operator": "Exists"}],
        "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": pod_volumes,
    }
    template = {"metadata": template_metadata, "spec": pod}
    spec = {"backoffLimit": 2, "ttlSecondsAfterFinished": SETUP_KEPT_SECONDS, "template": template}
    return CreateOnce(child | {"spec": spec})


def _only(node: str) -> dict[str, Any]:
    """The node selector term for one node. It goes by the node's name, as the DaemonSet controller does: a hostname label may differ."""
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}


def _ca_name(seen: Observed) -> str:
    return child_name("gateway-ca", seen.name)


def _child(seen: Observed, api_version: str, kind: str, name: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": seen.settings.edge_namespace,
        "labels": owner_labels("Fleet", seen.name, seen.fleet.metadata.uid),
        "ownerReferences": [controller_reference(seen.owner)],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
