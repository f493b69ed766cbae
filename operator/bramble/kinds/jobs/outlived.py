"""Finds Jobs that go on although their attempt is over, because a container that something else put into their pods does not end.

As long as such a Job exists, its pods keep their GPUs, and the other container may read what the pods mount.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bramble.api.labels import OWNER_UID
from bramble.kinds.jobs.conditions import true_condition
from bramble.kinds.jobs.gather import read_pods
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.jobs.step import Owner
from bramble.kinds.sources import Sources
from bramble.kube.resources import JOB, Manifest

PATIENCE = timedelta(seconds=30)
"""How long a Job may go on after it was seen that its work is done. Otherwise a Job ends within a few seconds: it waits for uploads."""


@dataclass(frozen=True, slots=True)
class Outlived:
    """A Job whose attempt is over, and for how many seconds it is known to go on."""

    job: Child
    seconds: float


def outlived_jobs(sources: Sources, owner: Owner, over: Mapping[str, int], containers: Iterable[str]) -> tuple[Outlived, ...]:
    """The owner's Jobs of these attempts that have not ended, although a container that does the work has.

    Args:
        over: by step, the attempt whose outcome is recorded.
        containers: the names of the containers that do the work of a step.
    """
    names = tuple(containers)
    found: dict[str, Child] = {}
    for manifest in sources.list(JOB, owner.namespace, {OWNER_UID: owner.uid}):
        child = Child.of(manifest)
        if over.get(child.step) == child.attempt and not _has_ended(manifest):
            pods = read_pods(sources, owner, child.step, child.attempt)
            if any(pod.end(name) is not None for pod in pods for name in names) and any(_goes_on(pod) for pod in pods):
                found[child.uid] = child
    # A pod's times are by its node's clock, which may be wrong by hours: a Raspberry Pi has no clock of its own.
    seconds = sources.elapsed(owner.uid, dict.fromkeys(found, 0.0)) if found else {}
    return tuple(Outlived(child, seconds[uid]) for uid, child in found.items())


def due(outlived: Iterable[Outlived]) -> tuple[Child, ...]:
    """The Jobs to delete now."""
    return tuple(each.job for each in outlived if each.seconds >= PATIENCE.total_seconds())


def next_due(outlived: Iterable[Outlived], now: datetime) -> datetime | None:
    """When the next of them is to be deleted; None if there is none."""
    return min((now + PATIENCE - timedelta(seconds=each.seconds) for each in outlived), default=None)


def _has_ended(job: Manifest) -> bool:
    being_deleted = "deletionTimestamp" in job["metadata"]
    return being_deleted or any(true_condition(job, type_) is not None for type_ in ("Complete", "Failed"))


def _goes_on(pod: Pod) -> bool:
    return pod.phase not in ("Succeeded", "Failed")
