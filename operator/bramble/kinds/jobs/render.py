"""The objects of one attempt at a step: a Job and an immutable ConfigMap. Both are created once and never changed."""

from __future__ import annotations

from typing import Any

from bramble.kinds.jobs.pod_template import (
    Part,
    child_metadata,
    code_path,
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
from bramble.kinds.jobs.step import Step
from bramble.kinds.plan import CreateOnce
from bramble.kube.resources import JOB

CONTAINER = "step"


def render_step(step: Step) -> tuple[CreateOnce, ...]:
    """The Job, then the ConfigMap that its pod mounts.

    The pod cannot start before the ConfigMap exists. So where there is a ConfigMap and no Job, the Job has run and is gone; where there is
    neither, nothing has run.
    """
    config_map = job_config_map(step.owner, step.job_name, step.labels, step.job, step.gateway_ca)
    return CreateOnce(_job(step), needs=(config_map,)), CreateOnce(config_map)


def _parts(step: Step) -> list[Part]:
    parts = [job_volume(step.job_name), tmp_volume(), token_volume()]
    if step.store:
        parts.append(store_volume())
    if step.gateway_ca:
        parts.append(gateway_ca_volume(step.job_name))
    return parts


def _job(step: Step) -> dict[str, Any]:
    pod_volumes, mounts = volumes(_parts(step))
    container = {
        "name": CONTAINER,
        "image": step.image,
        "command": ["python", "-m", "bramble_workloads", step.job.step],
        "env": [*environment(), *code_path()],
        "resources": step.additions.resources(step.job.step, step.resources),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": pod_volumes,
    }
    if step.node_selector:
        pod["nodeSelector"] = dict(step.node_selector)
    if step.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in step.tolerations]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": step.additions.job_metadata(child_metadata(step.owner, step.job_name, step.labels)),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": step.deadline_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": failure_policy(CONTAINER),
            "template": {"metadata": step.additions.pod_metadata(step.labels), "spec": pod},
        },
    }
