"""The pod of an attempt: `fetch`, then the sidecar beside the container that trains. It is the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.api.jobs import Resources
from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.contracts.pod import DATA_FOLDER, DISK_LIMIT, LAUNCHER, RUN_FOLDER
from bramble.kinds.jobs.pod_template import (
    Part,
    code_path,
    container_security,
    environment,
    gateway_ca_volume,
    job_volume,
    pod_security,
    store_volume,
    tmp_volume,
    token_volume,
    volumes,
)
from bramble.kinds.trainingrun.attempt import FETCH, LOST_AFTER_SECONDS, SIDECAR, TRAIN
from bramble.kinds.trainingrun.images import train_image
from bramble.kinds.trainingrun.nodes import SIMULATED, gpus
from bramble.kinds.trainingrun.observed import Observed

GRACE_SECONDS = 60
"""How long a pod that has to go may take for a last checkpoint and its upload."""

BRAMBLE_RESOURCES = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "1Gi"})
"""Of Bramble's own containers in a pod that trains, unless the chart or the run sets others."""

PROTECTED_VARIABLES = frozenset({"NODE_NAME", "POD_NAME", "HOME"})
"""Variables that a user's `env` cannot replace: Bramble's launcher relies on them."""


def training_pod(seen: Observed, current: CurrentAttempt, config_map: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The spec of a pod that trains.

    Args:
        config_map: the name of the ConfigMap with the attempt's `job.json`.
        variables: further environment variables of the container that trains; those of the user win.
    """
    spec = seen.spec
    job, run, data = job_volume(config_map), _empty("run", RUN_FOLDER), _empty("data", DATA_FOLDER)
    ca = [gateway_ca_volume(config_map)] if seen.gateway_ca else []
    shared_memory: Part = ({"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    parts = [job, run, data, tmp_volume(), store_volume(), token_volume(), *ca, shared_memory]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(),
        "initContainers": [
            _bramble(seen, FETCH, [job, run, data, tmp_volume(), store_volume()]),
            {**_bramble(seen, SIDECAR, [job, run, tmp_volume(), store_volume(), token_volume(), *ca]), "restartPolicy": "Always"},
        ],
        "containers": [_trainer(seen, [job, run, _read_only(data), tmp_volume(), shared_memory], variables)],
        "volumes": volumes(parts)[0],
        "tolerations": _tolerations(spec),
    }
    selector = {**spec.node_selector, **(SIMULATED if gpus(spec) and current.cpu_allowed else {})}
    if selector:
        pod["nodeSelector"] = selector
    if spec.priority_class_name is not None:
        pod["priorityClassName"] = spec.priority_class_name
    return pod


def _empty(name: str, path: str) -> Part:
    return {"name": name, "emptyDir": {}}, {"name": name, "mountPath": path}


def _read_only(part: Part) -> Part:
    volume, mount = part
    return volume, {**mount, "readOnly": True}


def _bramble(seen: Observed, step: str, parts: list[Part]) -> dict[str, Any]:
    """A container of Bramble's own image. Only these containers mount the store's Secret, and only the sidecar the gateway's token."""
    return {
        "name": step,
        "image": seen.settings.images_convert,
        "command": ["python", "-m", "bramble_workloads", step],
        "env": [*environment(), *code_path()],
        "resources": seen.additions.resources(step, BRAMBLE_RESOURCES),
        "securityContext": container_security(),
        "volumeMounts": volumes(parts)[1],
    }


def _trainer(seen: Observed, parts: list[Part], variables: Mapping[str, str]) -> dict[str, Any]:
    """The container that trains. The launcher is its process 1. It mounts no Secret and no token."""
    spec, own = seen.spec, seen.spec.trainer.container
    theirs = (
        [{"name": each.name, "value": each.value} for each in own.env if each.name not in PROTECTED_VARIABLES] if own is not None else []
    )
    named = {each["name"] for each in theirs}
    ours = [*environment(), *({"name": name, "value": value} for name, value in variables.items())]
    if own is None:
        ours += [*code_path(), {"name": DISK_LIMIT, "valueFrom": {"resourceFieldRef": {"resource": "limits.ephemeral-storage"}}}]
    container: dict[str, Any] = {
        "name": TRAIN,
        "image": train_image(seen),
        "command": ["python3", LAUNCHER],
        "env": [*(each for each in ours if each["name"] not in named), *theirs],
        # A user's program may write files beside its code; the built-in trainers do not.
        "securityContext": {**container_security(), "readOnlyRootFilesystem": own is None},
        "volumeMounts": volumes(parts)[1],
    }
    if spec.resources is not None:
        container["resources"] = spec.resources.model_dump(mode="json", exclude_defaults=True)
    return container


def _tolerations(spec: Spec) -> list[dict[str, Any]]:
    lost = [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_AFTER_SECONDS}
        for taint in ("not-ready", "unreachable")
    ]
    theirs = [toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in spec.tolerations]
    return [*theirs, *lost]
