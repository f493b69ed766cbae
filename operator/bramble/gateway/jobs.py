"""Which Job a pod belongs to: read from the API server by the chain of uids, never from what the pod says.

The chain is token → pod (uid) → Job (controller reference) → custom resource (controller reference, and the same in the labels). Whoever
may create Jobs in a namespace can make such a chain, so a job's word is worth what that right is worth: it speaks for objects of
its own namespace, and of no other.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from bramble.api.labels import ATTEMPT, OWNER_KIND, OWNER_NAME, OWNER_UID, STEP
from bramble.contracts.jobs.files import AnyJob, JobFile
from bramble.contracts.pod import JOB_FILE
from bramble.contracts.report import ObjectRef
from bramble.gateway.identity import Caller
from bramble.gateway.refusals import Forbidden
from bramble.kube.resources import CONFIG_MAP, GROUP, JOB, POD, Manifest, Resource

CACHE_SECONDS = 60.0
"""A Job that was deleted loses its rights at the latest after this."""
CACHE_SIZE = 2000

JOB_KEY = JOB_FILE.rsplit("/", 1)[1]


@dataclass(frozen=True, slots=True)
class JobCaller:
    """A pod of a Job that the operator made.

    Attributes:
        ref: the object that the Job works for.
        step: what its progress is filed under: the Job's step within the object.
        job: its `job.json`.
        node: the node that the pod is on.
    """

    ref: ObjectRef
    step: str
    job: AnyJob
    node: str


class Reads(Protocol):
    """The one thing of a Kubernetes client that is needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None: ...


class Jobs:
    """Finds a caller's Job, once in 60 s for each pod."""

    def __init__(self, api: Reads, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, JobCaller]] = OrderedDict()

    async def of(self, caller: Caller) -> JobCaller:
        """The Job that the caller's pod belongs to.

        Raises:
            Forbidden: the token is bound to no pod, or the pod to no Job of ours; the message says where the chain ends.
            bramble.errors.ApiUnavailable: the API server did not answer.
        """
        if caller.pod is None or caller.pod_uid is None or caller.node is None:
            raise Forbidden(f"the token of {caller.name} is not bound to a pod on a node: use the one projected into the job's pod")
        until, found = self._known.get(caller.pod_uid, (0.0, None))
        if found is not None and self._clock() < until:
            return found
        found = await self._read(caller, caller.pod, caller.node)
        self._known[caller.pod_uid] = (self._clock() + CACHE_SECONDS, found)
        self._known.move_to_end(caller.pod_uid)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)
        return found

    async def _read(self, caller: Caller, pod_name: str, node: str) -> JobCaller:
        namespace = caller.namespace
        pod = await self._api.get(POD, namespace, pod_name)
        if pod is None or pod["metadata"]["uid"] != caller.pod_uid:
            raise Forbidden(f"pod {namespace}/{pod_name} that the token is bound to is gone")
        job = await self._controlling_job(pod, namespace, pod_name)
        ref = _owner(job)
        folder = next((volume for volume in _volumes(job) if _mounts_job_file(job, volume)), None)
        named = (folder or {}).get("configMap", {}).get("name")
        config_map = await self._api.get(CONFIG_MAP, namespace, named) if named else None
        if config_map is None or not config_map.get("immutable") or _controller(config_map, ref.kind).get("uid") != ref.uid:
            raise Forbidden(f"Job {namespace}/{job['metadata']['name']} has no {JOB_KEY} of {ref.kind} {ref.name}")
        try:
            told = JobFile.parse(config_map["data"][JOB_KEY].encode(), unknown_fields="ignore")
        except (KeyError, ValidationError) as error:
            raise Forbidden(f"ConfigMap {namespace}/{named} holds no {JOB_KEY} that this gateway knows") from error
        labels = job["metadata"]["labels"]
        if told.object != ref or str(told.attempt) != labels.get(ATTEMPT):
            raise Forbidden(f"ConfigMap {namespace}/{named} is of another object or attempt than Job {job['metadata']['name']}")
        return JobCaller(ref, labels.get(STEP, told.step), told, node)

    async def _controlling_job(self, pod: Manifest, namespace: str, pod_name: str) -> Manifest:
        reference = _controller(pod, JOB.kind)
        if reference.get("apiVersion") != JOB.api_version:
            raise Forbidden(f"pod {namespace}/{pod_name} belongs to no Job")
        job = await self._api.get(JOB, namespace, reference["name"])
        if job is None or job["metadata"]["uid"] != reference["uid"]:
            raise Forbidden(f"Job {namespace}/{reference['name']} of pod {pod_name} is gone")
        return job


def _owner(job: Manifest) -> ObjectRef:
    """The object that a Job works for, where its controller reference and its labels say the same."""
    metadata = job["metadata"]
    labels = metadata.get("labels") or {}
    reference = _controller(job, labels.get(OWNER_KIND, ""))
    ours = str(reference.get("apiVersion", "")).startswith(f"{GROUP}/")
    if not ours or (labels.get(OWNER_NAME), labels.get(OWNER_UID)) != (reference.get("name"), reference.get("uid")):
        name = f"{metadata['namespace']}/{metadata['name']}"
        raise Forbidden(f"Job {name} is none of Bramble's: no controller reference to the object in its labels")
    return ObjectRef(kind=reference["kind"], namespace=metadata["namespace"], name=reference["name"], uid=reference["uid"])


def _controller(manifest: Manifest, kind: str) -> Mapping[str, Any]:
    """The controller reference of an object where it is of this kind, else an empty one."""
    references = manifest["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller") and reference["kind"] == kind), {})


def _volumes(job: Manifest) -> tuple[Mapping[str, Any], ...]:
    return tuple(job["spec"]["template"]["spec"].get("volumes") or ())


def _mounts_job_file(job: Manifest, volume: Mapping[str, Any]) -> bool:
    """Whether some container sees this volume where `job.json` belongs."""
    spec = job["spec"]["template"]["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    return any(mount["name"] == volume["name"] and mount["mountPath"] == JOB_FILE.rsplit("/", 1)[0] for mount in mounts)
