"""A Job that does not start: what Kubernetes says about it, whether it would be made otherwise now, and how soon to look again, since no
Event wakes an object.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bramble.errors import Refused
from bramble.kinds.jobs.explain import PULL_REASONS, first_waiting
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.refusal import Containers, advice, blames_limit_range
from bramble.kinds.plan import CreateOnce, manifest_digest
from bramble.kinds.sources import Sources
from bramble.kube.resources import JOB, Manifest

log = logging.getLogger(__name__)

FAILED_CREATE = "FailedCreate"
"""Reason of the Job controller's Event about a pod that the API server refused: by a quota, a limit range, or an admission policy."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(seconds=60)
WAIT_SHARE = 5
"""The object is looked at again after a fifth of the time for which the Job has waited: soon at first, and seldom where nobody mends it."""


async def read_warning(
    sources: Sources, namespace: str, job: Job | None, pods: Sequence[Pod], containers: Containers, wanted: int = 1
) -> str:
    """What Kubernetes last warned of: about the Job if it has too few pods, else about the pod that has a node and tells best why
    it does not start.

    If pods are refused, it also says which field to set, and which LimitRange refuses them.

    Args:
        pods: the newest pod of each rank.
        containers: those of the pod template; the first of `main` does the work.
        wanted: how many pods the Job should have.
    """
    if job is None or job.suspended:
        return ""
    if len(pods) < wanted:
        return await explained_warning(sources, namespace, job.uid, containers)
    starting = [pod for pod in pods if pod.uid and pod.node is not None and not pod.has_started(containers.main[0])]
    return await sources.warning(namespace, first_waiting(starting).uid) if starting else ""


async def explained_warning(sources: Sources, namespace: str, uid: str, containers: Containers) -> str:
    """What Kubernetes last warned of about an object that makes pods; if they are refused, also which field to set, and which LimitRange
    refuses them.
    """
    warning = await sources.warning(namespace, uid) if uid else ""
    limit_ranges = await _limit_ranges(sources, namespace) if blames_limit_range(warning) else ()
    return "; ".join(part for part in (warning, advice(warning, containers, limit_ranges)) if part)


async def _limit_ranges(sources: Sources, namespace: str) -> Sequence[Manifest]:
    """The LimitRanges of the namespace; none where the operator may not list them, since they only make the advice more exact."""
    try:
        return await sources.limit_ranges(namespace)
    except Refused as refusal:
        log.warning("the LimitRanges of namespace %s cannot be listed: %s", namespace, refusal)
        return ()


def is_outdated(job: Job | None, pods: Collection[Pod], containers: Sequence[str], wanted: Iterable[CreateOnce]) -> bool:
    """Whether the Job's work has not begun and it would be made otherwise now, so that another attempt in its place loses nothing.

    A Job's pod template cannot be changed. So its pods would go on being refused, find no node or lack an image although the cause was
    corrected. A Job that Kueue holds back is not outdated, because another one would lose its place in the queue.

    Args:
        pods: the attempt's pods.
        containers: those whose start begins the work, such as one that fetches hours of data; the last one does the work.
        wanted: what the attempt would consist of now.
    """
    if job is None or job.suspended or not job.applied:
        return False
    if may_have_begun(job, pods, containers):
        return False
    return any(manifest_digest(each.manifest) != job.applied for each in wanted if each.manifest["kind"] == JOB.kind)


def may_have_begun(job: Job, pods: Collection[Pod], containers: Sequence[str]) -> bool:
    """Whether a pod of the Job has done work that another attempt would repeat. One that is deleted or gone may have done so."""
    return (job.had_pods and not pods) or any(pod.deleted is not None or _has_begun(pod, containers) for pod in pods)


def _has_begun(pod: Pod, containers: Sequence[str]) -> bool:
    """Whether the pod has done work that another one would repeat. A pod whose last container lacks its image goes nowhere with it."""
    works = pod.container(containers[-1])
    lacks_image = works is not None and works.waiting in PULL_REASONS
    return not lacks_image and any(pod.has_started(name) for name in containers)


def look_again(since: datetime | None, now: datetime) -> datetime | None:
    """When to look again at a Job that has waited since then; None if it waits for nothing that only Events tell."""
    if since is None:
        return None
    return now + min(max((now - since) / WAIT_SHARE, SHORTEST_WAIT), LONGEST_WAIT)
