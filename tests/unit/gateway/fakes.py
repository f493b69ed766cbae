"""What the unit tests cannot have: an API server. Tokens are names here, and a review says what a real one would of such a token."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from bramble.contracts.jobs.base import TOKEN_AUDIENCE, Job
from bramble.contracts.jobs.benchmark import BenchmarkJob
from bramble.contracts.report import ObjectRef
from bramble.gateway.identity import Caller, ReviewStatus, caller_of
from bramble.kinds.jobs.pod_template import job_config_map
from bramble.kinds.jobs.render import render_step
from bramble.kinds.jobs.step import Owner, Step
from bramble.kube.resources import Manifest, Resource
from bramble.settings import Settings

SETTINGS = Settings(
    namespace="bramble-system",
    images_train="bramble/train@sha256:" + "1" * 64,
    images_convert="bramble/convert@sha256:" + "2" * 64,
    images_edge="bramble/edge@sha256:" + "3" * 64,
    gateway_url="https://bramble-gateway.bramble-system.svc:8443",
)

OWNER = Owner("ModelVersion", "ads", "digits-1-0-0", "uid-of-model-version")
POD_UID, JOB_UID = "uid-of-pod", "uid-of-job"


def review(
    username: str,
    *,
    node: str | None = None,
    pod: str | None = None,
    pod_uid: str | None = None,
    audiences: tuple[str, ...] = (TOKEN_AUDIENCE,),
    authenticated: bool = True,
) -> dict[str, Any]:
    """The status of a TokenReview, as Kubernetes 1.36 gives it."""
    if not authenticated:
        return {"user": {}, "error": "[invalid bearer token, service account token has expired]"}
    bound = {"node-name": node, "pod-name": pod, "pod-uid": pod_uid}
    extra = {f"authentication.kubernetes.io/{name}": [value] for name, value in bound.items() if value is not None}
    return {
        "authenticated": True,
        "audiences": list(audiences),
        "user": {"username": username, "uid": "u", "groups": ["system:serviceaccounts"], "extra": extra},
    }


def account(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def caller(status: dict[str, Any]) -> Caller:
    return caller_of(ReviewStatus.model_validate(status))


def agent_of(node: str) -> dict[str, Any]:
    return review(account("bramble-edge", "bramble-agent"), node=node, pod=f"agent-{node}", pod_uid=f"uid-{node}")


OPERATOR = review(account("bramble-system", "bramble-operator"), node="control", pod="bramble-operator-0", pod_uid="uid-operator")
JOB_POD = review(account("ads", "default"), node="pi-0", pod="digits-1-0-0-benchmark-1-abcde", pod_uid=POD_UID)


@dataclass
class FakeApi:
    """Objects by (kind, namespace, name), and a review for each token."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    reviews: int = 0
    reads: int = 0
    server: str = "https://192.0.2.1:6443"

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        assert not dry_run
        assert resource.kind == "TokenReview"
        assert manifest["spec"]["audiences"] == [TOKEN_AUDIENCE]
        self.reviews += 1
        return {**manifest, "status": self.tokens.get(manifest["spec"]["token"], review("", authenticated=False))}

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.reads += 1
        return self.objects.get((resource.kind, namespace, name))

    def put(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.objects[manifest["kind"], metadata.get("namespace", ""), metadata["name"]] = dict(manifest)


def store_secret(namespace: str, **values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"kind": "Secret", "metadata": {"namespace": namespace, "name": "bramble-store"}, "data": data}


def benchmark_job(**changes: Any) -> BenchmarkJob:
    values: dict[str, Any] = {
        "object": OWNER.ref,
        "attempt": 1,
        "prefix": OWNER.prefix("benchmark-virtual", 1),
        "board": "virtual",
        "fleet": "living-rooms",
        "packages": ("sha256:" + "a" * 64,),
        "reference": "sha256:" + "b" * 64,
        "manifest": "sha256:" + "c" * 64,
    }
    return BenchmarkJob(**{**values, **changes})


def put_job(api: FakeApi, job: BenchmarkJob | None = None) -> None:
    """A pod, its Job and its job.json, as the operator and the Job controller make them."""
    job = job or benchmark_job()
    rendered, config_map = (
        item.manifest for item in render_step(Step(owner=OWNER, job=job, image=SETTINGS.images_edge, name="benchmark-virtual", store=False))
    )
    api.put(config_map)
    made = {**rendered, "metadata": {**rendered["metadata"], "uid": JOB_UID}}
    api.put(made)
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": made["metadata"]["name"], "uid": JOB_UID, "controller": True}
    api.put(
        {
            "kind": "Pod",
            "metadata": {
                "namespace": OWNER.namespace,
                "name": "digits-1-0-0-benchmark-1-abcde",
                "uid": POD_UID,
                "ownerReferences": [reference],
            },
        }
    )


def other_job_file(api: FakeApi, job: Job, owner: Owner = OWNER) -> None:
    """Replaces the job's ConfigMap by one that says something else."""
    name = next(name for kind, _, name in api.objects if kind == "ConfigMap")
    api.put(job_config_map(owner, name, {}, job, ""))


def ref(**changes: str) -> ObjectRef:
    return OWNER.ref.model_copy(update=changes)
