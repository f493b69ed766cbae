"""Everything that says how an attempt stands: the Job, its pods, and what lies in the store."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.contracts.canonical import digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.files import AnyResult, ResultFile
from bramble.contracts.store import cause_key, result_key
from bramble.kinds.jobs.pods import condition, last_word, terminated
from bramble.kinds.jobs.render import CONTAINER
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import Sources
from bramble.kube.resources import JOB, POD, Manifest


@dataclass(frozen=True, slots=True)
class Stored:
    """A `result.json`: its bytes, and what it says, or why it cannot be taken."""

    content: bytes
    result: AnyResult | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One attempt at a step as it stands.

    Attributes:
        job: the attempt's Job, None when there is none that is ours.
        pods: the attempt's pods, oldest first.
        stored: the attempt's result, verified against the pod's last word where there is one.
        cause: what the job itself left as the cause of its failure.
        filed: the same result filed under the digest of its inputs, by this or by an earlier object.
    """

    job: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    stored: Stored | None = None
    cause: Cause | None = None
    filed: Stored | None = None


def read_result(content: bytes, step: str, sha256: str | None = None) -> Stored:
    """Parse a result of this step; `sha256` is the digest that its writer gave, where it is known."""
    if sha256 is not None and digest_of(content) != sha256:
        return Stored(content, None, f"the result in the store is not the one that the job wrote ({digest_of(content)}, not {sha256})")
    try:
        result = ResultFile.parse(content)
    except ValidationError as error:
        return Stored(content, None, f"the result in the store is not one this operator knows: {error.errors()[0]['msg']}")
    if result.step != step:
        return Stored(content, None, f"the result in the store is of step {result.step}, not {step}")
    return Stored(content, result)


def succeeded(job: Manifest | None, pods: tuple[Manifest, ...], container: str = CONTAINER) -> bool:
    """Whether the attempt's only container ended with 0, or the Job says so when the pod has gone."""
    if job is not None and (condition(job, "Complete") or condition(job, "SuccessCriteriaMet")):
        return True
    return any((state := terminated(pod, container)) is not None and state["exitCode"] == 0 for pod in pods)


def failed(job: Manifest | None, pods: tuple[Manifest, ...], container: str = CONTAINER) -> bool:
    """Whether the attempt failed. `FailureTarget` counts; with a lost node `Failed` never comes."""
    if job is not None and (condition(job, "FailureTarget") or condition(job, "Failed")):
        return True
    return any((state := terminated(pod, container)) is not None and state["exitCode"] != 0 for pod in pods)


async def gather_step(sources: Sources, owner: Owner, name: str, attempt: int, *, step: str = "", filed_key: str = "") -> StepSeen:
    """Read one attempt at the step `name`.

    Args:
        step: the kind of step (`benchmark`), where the name tells several of them apart (`benchmark-rpi5`).
        filed_key: `contracts.store.filed_result_key` of its inputs; empty: such a step's results are not filed.

    Raises:
        bramble.errors.StoreUnavailable: the store did not answer.
        bramble.errors.StoreRefused: the store refuses the key.
    """
    kind, prefix = step or name, owner.prefix(name, attempt)
    job = await sources.get(JOB, owner.namespace, owner.job_name(name, attempt))
    if job is not None and job["metadata"].get("labels", {}).get(OWNER_UID) != owner.uid:
        job = None
    pods = sources.list(POD, owner.namespace, {OWNER_UID: owner.uid, STEP: name, ATTEMPT: str(attempt)})
    has_failed = failed(job, pods)
    stored = cause = filed = None
    if job is None or has_failed or succeeded(job, pods):
        words = [word for pod in pods if (word := last_word(pod, CONTAINER)) is not None and word.key == result_key(prefix)]
        content = await sources.fetch(owner.namespace, result_key(prefix))
        stored = read_result(content, kind, words[0].sha256 if words else None) if content is not None else None
    if has_failed and stored is None:
        content = await sources.fetch(owner.namespace, cause_key(prefix, 0))
        cause = _read_cause(content) if content is not None else None
    if filed_key and (job is None or stored is not None):
        content = await sources.fetch(owner.namespace, filed_key)
        filed = read_result(content, kind) if content is not None else None
    return StepSeen(job, pods, stored, cause, filed)


def _read_cause(content: bytes) -> Cause | None:
    """None for a document that is no cause: the kubelet's account of the end stands in for it."""
    try:
        return Cause.model_validate_json(content)
    except ValidationError:
        return None
