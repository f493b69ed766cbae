"""The folder of each device: made by a Job on its node before the agent, which may not make it, starts there.

A node says in an annotation which preparation it has had. One that is replaced or reinstalled has another identity and is prepared
anew; a new runtime image prepares again while the agent goes on. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bramble.api.labels import PREFIX, child_name
from bramble.api.objects import moment
from bramble.contracts.canonical import document_digest, short
from bramble.kinds.fleet.membership import Member
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.jobs.conditions import true_condition
from bramble.kube.resources import Manifest

PREPARED = f"{PREFIX}/prepared"
"""Annotation of a node: `<digest of the node's identity>.<digest of the image>` of the last preparation that succeeded."""
NODE = f"{PREFIX}/node"
"""Annotation of a preparing Job: its node."""

SETUP = "node-setup"
"""The step of a preparing Job."""

AT_ONCE = 50
"""Preparations under way at a time: a fleet of thousands must not fill the scheduler's queue."""
RETRY = timedelta(minutes=5)
"""After which a preparation that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Folder:
    """How far a node's folder is.

    Attributes:
        state: `usable` while an older preparation is good enough for the agent, and `stale` says that a newer one is due.
        mark: what the node's annotation will say.
        job: the Job's name.
    """

    member: Member
    state: Literal["ready", "usable", "missing"]
    mark: str
    job: str


def folder_of(seen: Observed, member: Member) -> Folder:
    """How far this node's folder is."""
    metadata = member.node["metadata"]
    machine = member.node.get("status", {}).get("nodeInfo", {}).get("machineID", "")
    identity = short(document_digest([metadata["uid"], machine]))[:12]
    mark = f"{identity}.{short(document_digest(seen.settings.images_edge))[:12]}"
    present = (metadata.get("annotations") or {}).get(PREPARED, "")
    job = child_name("setup", seen.name, mark.replace(".", "-"))
    if present == mark:
        return Folder(member, "ready", mark, job)
    return Folder(member, "usable" if present.startswith(f"{identity}.") else "missing", mark, job)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is to be done about folders now."""

    begin: tuple[Folder, ...]
    done: tuple[Folder, ...]
    retry: tuple[Manifest, ...]
    failed: Mapping[str, str]
    """Node to why its preparation failed."""
    wake_at: datetime | None


def prepare(seen: Observed, now: datetime) -> Preparation:
    """Which preparations to begin, record, or try again."""
    jobs = {str(job["metadata"]["name"]): job for job in seen.setups}
    begin: list[Folder] = []
    done: list[Folder] = []
    retry: list[Manifest] = []
    failed: dict[str, str] = {}
    due: list[datetime] = []
    running = sum(1 for job in seen.setups if _ended(job) is None)
    for folder in (folder_of(seen, member) for member in seen.membership.members):
        if folder.state == "ready":
            continue
        job = jobs.get(folder.job)
        if job is None:
            if is_ready(folder.member.node) and running + len(begin) < AT_ONCE:
                begin.append(folder)
            continue
        match _ended(job):
            case "Complete":
                done.append(folder)
            case "Failed":
                failed[folder.member.name] = _why(job, seen.pods)
                again = _failed_at(job) + RETRY
                if again <= now:
                    retry.append(job)
                else:
                    due.append(again)
            case None:
                continue
    return Preparation(tuple(begin), tuple(done), tuple(retry), failed, min(due, default=None))


def is_ready(node: Manifest) -> bool:
    """Whether the kubelet answers: a pod bound to a node that does not would only wait."""
    return true_condition(node, "Ready") is not None


def _ended(job: Manifest) -> Literal["Complete", "Failed"] | None:
    if true_condition(job, "Complete") is not None:
        return "Complete"
    return "Failed" if true_condition(job, "Failed") is not None else None


def _failed_at(job: Manifest) -> datetime:
    found = true_condition(job, "Failed")
    assert found is not None  # noqa: S101 - asked for jobs that have it
    return moment(found["lastTransitionTime"])


def _why(job: Manifest, pods: tuple[Manifest, ...]) -> str:
    """The last word of the Job's newest pod, else what the Job says."""
    uid = job["metadata"]["uid"]
    mine = [pod for pod in pods if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ())]
    ends = [
        status.get("state", {}).get("terminated", {}).get("message", "")
        for pod in mine
        for status in pod.get("status", {}).get("containerStatuses") or ()
    ]
    said = next((end.strip() for end in reversed(ends) if end.strip()), "")
    found = true_condition(job, "Failed") or {}
    return f"its folder could not be prepared: {said or found.get('message') or found.get('reason', 'no reason given')}"
