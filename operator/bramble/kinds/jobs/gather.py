"""Reading one attempt at a step: its Job, its pods, and what lies in the store."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.contracts.canonical import digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.files import AnyResult, ResultFile
from bramble.contracts.store import LARGEST_DOCUMENT, cause_key, result_key
from bramble.contracts.untrusted import SMALL_DOCUMENT, parse_untrusted
from bramble.errors import DocumentTooLarge
from bramble.kinds.jobs.explain import last_word
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import End, Pod
from bramble.kinds.jobs.refusal import Containers, step_field
from bramble.kinds.jobs.render import CONTAINER
from bramble.kinds.jobs.step import Owner
from bramble.kinds.jobs.waiting import read_warning
from bramble.kinds.sources import Sources
from bramble.kube.resources import CONFIG_MAP, JOB, POD, Manifest, Resource


@dataclass(frozen=True, slots=True)
class Stored:
    """A `result.json`: its bytes, and either the result it holds or the reason why it cannot be used."""

    content: bytes
    result: AnyResult | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """What was read of one attempt at a step.

    Attributes:
        job: the attempt's Job; None if there is none, or only one of an earlier object of the same name.
        begun: the attempt's ConfigMap exists. It is created after the Job, so without a Job it says that the Job was there and is gone.
        pods: the attempt's pods, oldest first.
        stored: the attempt's result, checked against the digest that the pod reported, if it reported one.
        cause: why the job failed, as the job itself reported it in the store.
        filed: a result of the same inputs, whichever object made it.
        warning: why the attempt does not start, as Kubernetes' Events say; empty if they do not, or if it runs.
    """

    job: Job | None = None
    pods: tuple[Pod, ...] = ()
    stored: Stored | None = None
    cause: Cause | None = None
    filed: Stored | None = None
    begun: bool = False
    warning: str = ""


def read_result(content: bytes, step: str, sha256: str | None = None) -> Stored:
    """Parse a result of this step. `sha256` is the digest that the pod reported, None if it reported none."""
    if sha256 is not None and digest_of(content) != sha256:
        return Stored(content, None, f"the result in the store is not the one that the job wrote ({digest_of(content)}, not {sha256})")
    try:
        result = ResultFile.parse(content)
    except ValidationError as error:
        return Stored(content, None, f"the result in the store is not one this operator knows: {error.errors()[0]['msg']}")
    if result.step != step:
        return Stored(content, None, f"the result in the store is of step {result.step}, not {step}")
    return Stored(content, result)


def read_cause(content: bytes) -> Cause | None:
    """Parse a cause from the store. A document that is none is ignored: what the kubelet reports is used in its place."""
    try:
        return parse_untrusted(Cause, content, SMALL_DOCUMENT)
    except ValidationError:
        return None


async def fetch_result(sources: Sources, namespace: str, key: str, step: str, sha256: str | None = None) -> Stored | None:
    """Read a result from the store, as `read_result` does; None if there is none. One that is too large cannot be used.

    Raises:
        bramble.errors.StoreUnavailable, bramble.errors.StoreRefused: as `Sources.fetch`.
    """
    try:
        content = await sources.fetch(namespace, key, LARGEST_DOCUMENT)
    except DocumentTooLarge as error:
        return Stored(b"", None, f"the result in the store is not one of ours: {error}")
    return read_result(content, step, sha256) if content is not None else None


async def fetch_cause(sources: Sources, namespace: str, key: str) -> Cause | None:
    """Read a cause from the store, as `read_cause` does; None if there is none, or one that is too large. Raises as `fetch_result`."""
    try:
        content = await sources.fetch(namespace, key, SMALL_DOCUMENT)
    except DocumentTooLarge:
        return None
    return read_cause(content) if content is not None else None


def succeeded(job: Job | None, pods: tuple[Pod, ...]) -> bool:
    """Whether the attempt's container ended with 0. The Job tells it as well, also when the pod is gone."""
    return (job is not None and job.succeeded) or any(end.code == 0 for end in _ends(pods))


def failed(job: Job | None, pods: tuple[Pod, ...]) -> bool:
    """Whether the attempt failed. The pod may tell it before the Job does."""
    return (job is not None and job.failure is not None) or any(end.code != 0 for end in _ends(pods))


def _ends(pods: tuple[Pod, ...]) -> list[End]:
    return [end for pod in pods if (end := pod.end(CONTAINER)) is not None]


async def read_job(sources: Sources, owner: Owner, step: str, attempt: int) -> Job | None:
    """The attempt's Job; None if there is none, or only one of an earlier object of the same name."""
    manifest = await _read_child(sources, JOB, owner, step, attempt)
    return Job.of(manifest) if manifest is not None else None


async def has_begun(sources: Sources, owner: Owner, step: str, attempt: int) -> bool:
    """Whether the attempt's ConfigMap exists, which is created after its Job."""
    return await _read_child(sources, CONFIG_MAP, owner, step, attempt) is not None


async def _read_child(sources: Sources, resource: Resource, owner: Owner, step: str, attempt: int) -> Manifest | None:
    manifest = await sources.get(resource, owner.namespace, owner.job_name(step, attempt))
    if manifest is None or (manifest["metadata"].get("labels") or {}).get(OWNER_UID) != owner.uid:
        return None
    return manifest


def read_pods(sources: Sources, owner: Owner, step: str, attempt: int) -> tuple[Pod, ...]:
    """The attempt's pods, oldest first."""
    labels = {OWNER_UID: owner.uid, STEP: step, ATTEMPT: str(attempt)}
    return tuple(Pod.of(manifest) for manifest in sources.list(POD, owner.namespace, labels))


async def gather_step(sources: Sources, owner: Owner, name: str, attempt: int, *, step: str = "", filed_key: str = "") -> StepSeen:
    """Read one attempt at the step `name`. The store is read only if there is no Job or the attempt has ended.

    Args:
        step: the kind of step (`benchmark`), if the name is another (`benchmark-rpi5`).
        filed_key: `contracts.store.filed_result_key` of its inputs; empty if the step's results are not filed.

    Raises:
        bramble.errors.StoreUnavailable: the store did not answer.
        bramble.errors.StoreRefused: the store refuses the key.
    """
    kind, prefix = step or name, owner.prefix(name, attempt)
    job, pods = await read_job(sources, owner, name, attempt), read_pods(sources, owner, name, attempt)
    has_failed = failed(job, pods)
    stored = cause = filed = None
    if job is None or has_failed or succeeded(job, pods):
        words = [word for pod in pods if (word := last_word(pod, CONTAINER)) is not None and word.key == result_key(prefix)]
        stored = await fetch_result(sources, owner.namespace, result_key(prefix), kind, words[0].sha256 if words else None)
    if (job is None or has_failed) and stored is None:
        cause = await fetch_cause(sources, owner.namespace, cause_key(prefix, 0))
    if filed_key and (job is None or stored is not None):
        filed = await fetch_result(sources, owner.namespace, filed_key, kind)
    is_over = has_failed or succeeded(job, pods)
    containers = Containers(init=(), main=(CONTAINER,), fields={CONTAINER: step_field(kind)})
    warning = await read_warning(sources, owner.namespace, job, pods[-1:], containers) if not is_over else ""
    return StepSeen(job, pods, stored, cause, filed, begun=await has_begun(sources, owner, name, attempt), warning=warning)
