"""A Job that does not start: what Kubernetes says about it, and how soon to look again, since no Event wakes an object."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.sources import Sources

FAILED_CREATE = "FailedCreate"
"""Reason of the Job controller's Event about a pod that the API server refused: by a quota, a limit range, or an admission policy."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(seconds=60)
WAIT_SHARE = 5
"""The object is looked at again after a fifth of the time for which the Job has waited: soon at first, and seldom where nobody mends it."""


async def read_warning(sources: Sources, namespace: str, job: Job | None, pods: Sequence[Pod], container: str, wanted: int = 1) -> str:
    """What Kubernetes last warned of: about the Job if it has too few pods, else about the first pod that has a node and does not start.

    Args:
        pods: the newest pod of each rank.
        container: the container that does the work.
        wanted: how many pods the Job should have.
    """
    if job is None or job.suspended:
        return ""
    if len(pods) < wanted:
        return await sources.warning(namespace, job.uid) if job.uid else ""
    starting = next((pod for pod in pods if pod.uid and pod.node is not None and not pod.has_started(container)), None)
    return await sources.warning(namespace, starting.uid) if starting is not None else ""


def look_again(since: datetime | None, now: datetime) -> datetime | None:
    """When to look again at a Job that has waited since then; None if it waits for nothing that only Events tell."""
    if since is None:
        return None
    return now + min(max((now - since) / WAIT_SHARE, SHORTEST_WAIT), LONGEST_WAIT)
