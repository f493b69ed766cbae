"""The objects of a run and of one attempt: a headless Service, and for each attempt an Indexed Job and an immutable ConfigMap. Pure."""

from __future__ import annotations

from math import ceil
from typing import Any

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP, child_name
from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.contracts.jobs.train import TrainJob
from bramble.kinds.jobs.pod_template import child_metadata, failure_policy, job_config_map
from bramble.kinds.jobs.step import Owner
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.trainingrun.attempt import TRAIN
from bramble.kinds.trainingrun.budgets import seconds_left
from bramble.kinds.trainingrun.engines.base.pod import training_pod
from bramble.kinds.trainingrun.engines.torchrun.sizing import threads
from bramble.kinds.trainingrun.observed import Observed
from bramble.kube.resources import JOB, SERVICE

MASTER_PORT = 29400
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def service_name(owner: Owner) -> str:
    """The name of the headless Service that gives the pods of all attempts their DNS names."""
    return child_name(owner.name, TRAIN)


def master(owner: Owner, attempt: int) -> str:
    """The DNS name of node rank 0's pod."""
    return f"{owner.job_name(TRAIN, attempt)}-0.{service_name(owner)}"


def service(owner: Owner) -> Apply:
    """The headless Service. It also publishes pods that are not ready, since ranks look each other up before any of them is."""
    selector = {OWNER_UID: owner.uid, STEP: TRAIN}
    labels = {name: value for name, value in owner.labels(TRAIN, 0).items() if name != ATTEMPT}
    return Apply(
        {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "metadata": child_metadata(owner, service_name(owner), labels),
            "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector},
        }
    )


def attempt_children(seen: Observed, current: CurrentAttempt, job: TrainJob) -> tuple[CreateOnce, ...]:
    """The Job, then the ConfigMap with `job.json` that its pods mount: they cannot start before, so a ConfigMap without a Job says that the
    Job is gone.
    """
    owner, labels = seen.owner, seen.owner.labels(TRAIN, current.number)
    name = owner.job_name(TRAIN, current.number)
    config_map = job_config_map(owner, name, labels, job, seen.gateway_ca)
    metadata = seen.additions.job_metadata(child_metadata(owner, name, {**labels, **_queue(seen.spec)}))
    manifest = {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": _job_spec(seen, current, name)}
    return CreateOnce(manifest, needs=(config_map,)), CreateOnce(config_map)


def _queue(spec: Spec) -> dict[str, str]:
    return {QUEUE_LABEL: spec.queue_name} if spec.queue_name is not None else {}


def _job_spec(seen: Observed, current: CurrentAttempt, name: str) -> dict[str, Any]:
    pod = training_pod(seen, current, name, {"OMP_NUM_THREADS": str(threads(seen.spec))})
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": current.nodes,
        "parallelism": current.nodes,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": failure_policy(TRAIN),
        "activeDeadlineSeconds": max(1, ceil(seconds_left(seen.spec, seen.status.spent_seconds))),
        "template": {
            "metadata": seen.additions.pod_metadata(seen.owner.labels(TRAIN, current.number)),
            "spec": {**pod, "subdomain": service_name(seen.owner)},
        },
    }
    if seen.spec.queue_name is not None:
        spec["suspend"] = True  # Kueue sets it to false when there is room; from then on the field is Kueue's.
    return spec
