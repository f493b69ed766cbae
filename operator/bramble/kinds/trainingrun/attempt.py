"""The Job of one attempt: fetch, then `sidecar` beside `train`, on as many pods as the attempt has (design, §4)."""

from __future__ import annotations

from math import ceil
from typing import Any

from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.contracts.pod import DATA_FOLDER, LAUNCHER, RUN_FOLDER
from bramble.kinds.jobs.pod_template import (
    Part,
    child_metadata,
    container_security,
    environment,
    failure_policy,
    gateway_ca_volume,
    job_config_map,
    job_volume,
    pod_security,
    store_volume,
    tmp_volume,
    token_volume,
    volumes,
)
from bramble.kinds.plan import CreateOnce
from bramble.kinds.trainingrun.deadline import left
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.render import TRAIN, image_of, service_name, train_job
from bramble.kinds.trainingrun.world import SIMULATED, gpus, threads
from bramble.kube.resources import JOB

FETCH = "fetch"
SIDECAR = "sidecar"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
LOST_AFTER_SECONDS = 30
"""A node may be silent this long; then the attempt ends, and its pods are no longer wanted there."""

GRACE_SECONDS = 60
"""For a last checkpoint and its upload when the pod has to go."""

OWN_VARIABLES = frozenset({"NODE_NAME", "POD_NAME", "HOME"})


def attempt(seen: Observed, current: CurrentAttempt) -> tuple[CreateOnce, ...]:
    """The immutable ConfigMap with `job.json`, then the Job that mounts it. Created once, never applied again."""
    owner, labels = seen.owner, seen.owner.labels(TRAIN, current.number)
    name = owner.job_name(TRAIN, current.number)
    job = train_job(seen, attempt=current.number, nodes=current.nodes, cpu_allowed=current.cpu_allowed)
    config_map = job_config_map(owner, name, labels, job, seen.gateway_ca)
    metadata = child_metadata(owner, name, {**labels, **_queue(seen.spec)})
    manifest = {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": _job(seen, current, name)}
    return CreateOnce(config_map), CreateOnce(manifest)


def _queue(spec: Spec) -> dict[str, str]:
    return {QUEUE_LABEL: spec.queue_name} if spec.queue_name is not None else {}


def _job(seen: Observed, current: CurrentAttempt, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": current.nodes,
        "parallelism": current.nodes,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": failure_policy(TRAIN),
        "template": {"metadata": {"labels": seen.owner.labels(TRAIN, current.number)}, "spec": _pod(seen, current, name)},
    }
    if seen.spec.queue_name is not None:
        spec["suspend"] = True  # Kueue lets it go when there is room; from then on the field is Kueue's
    if seen.spec.budgets.deadline is not None:
        spec["activeDeadlineSeconds"] = max(1, ceil(left(seen.spec, seen.status.spent_seconds)))
    return spec


def _pod(seen: Observed, current: CurrentAttempt, name: str) -> dict[str, Any]:
    spec = seen.spec
    job, run, data = job_volume(name), _empty("run", RUN_FOLDER), _empty("data", DATA_FOLDER)
    ca = [gateway_ca_volume(name)] if seen.gateway_ca else []
    shared_memory: Part = ({"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    parts = [job, run, data, tmp_volume(), store_volume(), token_volume(), *ca, shared_memory]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "subdomain": service_name(seen.owner),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(),
        "initContainers": [
            _ours(seen, FETCH, [job, run, data, tmp_volume(), store_volume()]),
            {**_ours(seen, SIDECAR, [job, run, tmp_volume(), store_volume(), token_volume(), *ca]), "restartPolicy": "Always"},
        ],
        "containers": [_train(seen, [job, run, _read_only(data), tmp_volume(), shared_memory])],
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


def _ours(seen: Observed, step: str, parts: list[Part]) -> dict[str, Any]:
    """A container of Bramble's own image: these hold the store's Secret, and only `sidecar` the gateway's token."""
    return {
        "name": step,
        "image": seen.settings.images_convert,
        "command": ["python", "-m", "bramble_workloads", step],
        "env": environment(),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": container_security(),
        "volumeMounts": volumes(parts)[1],
    }


def _train(seen: Observed, parts: list[Part]) -> dict[str, Any]:
    """The trainer's container: the launcher is process 1, there is no Secret and no token in it."""
    spec, own = seen.spec, seen.spec.trainer.container
    theirs = [{"name": each.name, "value": each.value} for each in (own.env if own is not None else ()) if each.name not in OWN_VARIABLES]
    named = {each["name"] for each in theirs}
    ours = [each for each in [*environment(), {"name": "OMP_NUM_THREADS", "value": str(threads(spec))}] if each["name"] not in named]
    container: dict[str, Any] = {
        "name": TRAIN,
        "image": image_of(seen),
        "command": ["python3", LAUNCHER],
        "env": [*ours, *theirs],
        # A user's image may write beside its code; one of ours need not.
        "securityContext": {**container_security(), "readOnlyRootFilesystem": own is None},
        "volumeMounts": volumes(parts)[1],
    }
    if spec.resources is not None:
        container["resources"] = _resources(seen)
    return container


def _resources(seen: Observed) -> dict[str, Any]:
    wanted = seen.spec.resources
    return wanted.model_dump(mode="json", exclude_defaults=True) if wanted is not None else {}


def _tolerations(spec: Spec) -> list[dict[str, Any]]:
    lost = [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_AFTER_SECONDS}
        for taint in ("not-ready", "unreachable")
    ]
    theirs = [toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in spec.tolerations]
    return [*theirs, *lost]
