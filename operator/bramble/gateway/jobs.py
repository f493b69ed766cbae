"""Finds the Job that a calling pod belongs to. It is read from the API server by a chain of uids, never taken from the request.

The chain is token → pod (uid) → Job (controller reference) → custom resource (controller reference, and the same in the labels). A user
who may create Jobs in a namespace can make such a chain. Therefore a job may only report for objects of its own namespace.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from bramble.api.labels import ATTEMPT, OWNER_KIND, OWNER_NAME, OWNER_UID, STEP
from bramble.contracts.jobs.files import AnyJob, JobFile
from bramble.contracts.pod import JOB_FILE
from bramble.contracts.report import ObjectRef
from bramble.gateway.answers import Answers, Kept
from bramble.gateway.identity import Caller
from bramble.gateway.objects import ConfigMap, Job, Pod
from bramble.gateway.refusals import Forbidden
from bramble.kube.resources import CONFIG_MAP, GROUP, JOB, POD, Manifest, Resource

CACHE_SECONDS = 60.0
"""How long a found Job is used. A deleted Job loses its rights after this time at the latest."""

CACHE_SIZE = 2000

REFUSED_SECONDS = 5.0
"""How long a pod that belongs to no Job of the operator's stays refused without reading its Job again."""

JOB_FOLDER, JOB_KEY = JOB_FILE.rsplit("/", 1)


@dataclass(frozen=True, slots=True)
class JobCaller:
    """A pod of a Job that the operator made.

    Attributes:
        ref: the object that the Job works for.
        step: the Job's step within the object; progress is kept under this name.
        job: its `job.json`.
        node: the node that the pod runs on.
    """

    ref: ObjectRef
    step: str
    job: AnyJob
    node: str


class Reads(Protocol):
    """The only method of a Kubernetes client that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


class Jobs:
    """Finds the Jobs of callers.

    It reads each pod's Job at most once per minute, and once in five seconds where there is none, also if several calls come at once.
    """

    def __init__(self, api: Reads, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._answers = Answers[str, JobCaller](Kept(CACHE_SECONDS, CACHE_SIZE), Kept(REFUSED_SECONDS, CACHE_SIZE), clock)

    async def of(self, caller: Caller) -> JobCaller:
        """The Job that the caller's pod belongs to.

        Raises:
            Forbidden: the token is not bound to a pod, or the pod does not belong to a Job of the operator. The message says why.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        if caller.pod is None or caller.pod_uid is None or caller.node is None:
            raise Forbidden(f"the token of {caller.name} is not bound to a pod on a node: use the one projected into the job's pod")
        uid, pod, namespace, node = caller.pod_uid, caller.pod, caller.namespace, caller.node
        found = self._answers.remembered(uid) or await self._answers.ask(uid, lambda: self._find(uid, pod, namespace, node))
        if isinstance(found, JobCaller):
            return found
        raise type(found)(*found.args)

    async def _find(self, uid: str, pod_name: str, namespace: str, node: str) -> JobCaller:
        manifest = await self._api.get(POD, namespace, pod_name)
        pod = Pod.of(manifest) if manifest is not None else None
        if pod is None or pod.metadata.uid != uid:
            raise Forbidden(f"pod {namespace}/{pod_name}, which the token is bound to, no longer exists")
        job = await self._controlling_job(pod, namespace)
        ref = _owner(job)
        document = await self._job_file(job, ref)
        labels = job.metadata.labels
        if document.object != ref or str(document.attempt) != labels.get(ATTEMPT):
            raise Forbidden(f"the {JOB_KEY} of Job {namespace}/{job.metadata.name} belongs to another object or attempt than the Job")
        return JobCaller(ref, labels.get(STEP, document.step), document, node)

    async def _controlling_job(self, pod: Pod, namespace: str) -> Job:
        reference = pod.metadata.controller(JOB.kind)
        if reference is None or reference.api_version != JOB.api_version:
            raise Forbidden(f"pod {namespace}/{pod.metadata.name} does not belong to a Job")
        manifest = await self._api.get(JOB, namespace, reference.name)
        job = Job.of(manifest) if manifest is not None else None
        if job is None or job.metadata.uid != reference.uid:
            raise Forbidden(f"Job {namespace}/{reference.name} of pod {pod.metadata.name} no longer exists")
        return job

    async def _job_file(self, job: Job, ref: ObjectRef) -> AnyJob:
        """The `job.json` that the Job mounts. Its ConfigMap must be immutable and belong to the same object as the Job."""
        namespace, named = ref.namespace, job.config_map_at(JOB_FOLDER)
        manifest = await self._api.get(CONFIG_MAP, namespace, named) if named is not None else None
        config_map = ConfigMap.of(manifest) if manifest is not None else None
        owner = config_map.metadata.controller(ref.kind) if config_map is not None else None
        if config_map is None or not config_map.immutable or owner is None or owner.uid != ref.uid:
            raise Forbidden(f"Job {namespace}/{job.metadata.name} has no {JOB_KEY} of {ref.kind} {ref.name}")
        try:
            return JobFile.parse(config_map.data[JOB_KEY].encode(), unknown_fields="ignore")
        except (KeyError, ValidationError) as error:
            raise Forbidden(f"ConfigMap {namespace}/{named} has no {JOB_KEY} that this gateway can read") from error


def _owner(job: Job) -> ObjectRef:
    """The object that a Job works for. Its controller reference and its labels must name the same object."""
    metadata = job.metadata
    reference = metadata.controller(metadata.labels.get(OWNER_KIND, ""))
    labelled = (metadata.labels.get(OWNER_NAME), metadata.labels.get(OWNER_UID))
    if reference is None or not reference.api_version.startswith(f"{GROUP}/") or labelled != (reference.name, reference.uid):
        raise Forbidden(
            f"Job {metadata.namespace}/{metadata.name} is not one of Bramble's: its owner is not the object that its labels name"
        )
    return ObjectRef(kind=reference.kind, namespace=metadata.namespace, name=reference.name, uid=reference.uid)
