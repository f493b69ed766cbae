"""Prepares the folder that an agent keeps its models in: a Job on each node creates it and gives it to the agent's user. Pure.

The agent may not create the folder itself, so its node gets it before the agent comes. The node's annotation `PREPARED` says which
preparation the node has had. A node that was replaced or installed anew has another identity, and is prepared again. So is one that kept
its identity and lost its folder, as when its disk was written anew from an image, and every node when there is a new agent image; its
present agent keeps running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bramble.api.labels import PREFIX, child_name
from bramble.contracts.canonical import document_digest, short
from bramble.kinds.fleet.membership import Member
from bramble.kinds.fleet.observed import Observed, SetupJob
from bramble.kinds.jobs.waiting import look_again

NODE_ANNOTATION = f"{PREFIX}/node"
"""Annotation of a Job that prepares a folder: its node."""

PREPARED_AT_ONCE = 50
"""Most preparations under way at a time, so that a fleet of thousands does not fill the scheduler's queue."""

RETRY_AFTER = timedelta(minutes=5)
"""How long after its failure a preparation is repeated, and how long after its completion if the folder is missing all the same. The
kubelet looks for it again every two minutes."""

MISSING = "the node's folder is gone, as when the disk was written anew: it is prepared again"

DIGEST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Folder:
    """The state of one node's folder.

    Attributes:
        mark: the value of `PREPARED` once the folder is prepared for this installation of the node and the present image.
        job: the name of the Job that prepares it.
    """

    member: Member
    mark: str
    job: str

    @property
    def is_ready(self) -> bool:
        """Whether the folder is prepared."""
        return self.member.node.prepared == self.mark


def folder_of(seen: Observed, member: Member) -> Folder:
    """The state of this node's folder."""
    node = member.node
    identity = short(document_digest([node.uid, node.machine_id]))[:DIGEST_DIGITS]
    mark = f"{identity}.{short(document_digest(seen.settings.images_edge))[:DIGEST_DIGITS]}"
    return Folder(member, mark, child_name("setup", seen.name, mark.replace(".", "-")))


@dataclass(frozen=True, slots=True)
class Preparation:
    """What this pass does about the folders.

    Attributes:
        begin: folders whose Job is created.
        done: folders whose Job has completed, which their nodes are marked with.
        retry: Jobs to delete that failed, or whose folder is missing again, so that the next pass creates them again.
        without_pod: folders whose Job has had no pod yet, with that Job.
        unprepared: node to the reason why its preparation failed, gets no pod, or is repeated.
        unneeded: Jobs that have not ended, for nodes that are none of the fleet's, or whose folder is prepared otherwise now.
        wake_at: when the next preparation is repeated, or one without a pod is looked at again; None if all goes well.
    """

    begin: tuple[Folder, ...]
    done: tuple[Folder, ...]
    retry: tuple[SetupJob, ...]
    without_pod: tuple[tuple[Folder, SetupJob], ...]
    unprepared: Mapping[str, str]
    unneeded: tuple[SetupJob, ...]
    wake_at: datetime | None


def prepare(seen: Observed, now: datetime) -> Preparation:
    """Decide which preparations begin, are done, or are repeated."""
    jobs = {job.name: job for job in seen.setups}
    begin: list[Folder] = []
    done: list[Folder] = []
    retry: list[SetupJob] = []
    without_pod: list[tuple[Folder, SetupJob]] = []
    unprepared: dict[str, str] = {}
    due: list[datetime] = []
    running = sum(job.state == "running" for job in seen.setups)
    folders = [folder_of(seen, member) for member in seen.membership.members]
    missing = {agent.node for agent in seen.stopped if agent.lacks_folder}
    for folder in folders:
        is_missing = folder.member.name in missing
        if folder.is_ready and not is_missing:
            continue
        job = jobs.get(folder.job)
        if is_missing:
            unprepared[folder.member.name] = MISSING
        if job is None:
            # A pod that is bound to a node whose kubelet does not answer would only wait there.
            if folder.member.node.ready and running + len(begin) < PREPARED_AT_ONCE:
                begin.append(folder)
        elif job.state == "complete" and not folder.is_ready:
            done.append(folder)
        elif job.state == "complete":
            _repeat(job, job.completed_at or now, now, retry, due)
        elif job.failed_at is not None:
            unprepared[folder.member.name] = f"the node's folder could not be prepared: {job.problem}"
            _repeat(job, job.failed_at, now, retry, due)
        elif job.without_pod is not None:
            without_pod.append((folder, job))
            due += [moment for moment in [look_again(job.without_pod.since, now)] if moment is not None]
            if job.problem:
                unprepared[folder.member.name] = f"the node's folder is not prepared yet: Job {job.name} has no pod ({job.problem})"
    needed = {folder.job for folder in folders}
    unneeded = tuple(job for job in seen.setups if job.state == "running" and job.name not in needed)
    return Preparation(tuple(begin), tuple(done), tuple(retry), tuple(without_pod), unprepared, unneeded, min(due, default=None))


def _repeat(job: SetupJob, ended_at: datetime, now: datetime, retry: list[SetupJob], due: list[datetime]) -> None:
    """Delete an ended Job, so that the next pass creates it again, once it ended long enough ago."""
    repeated_at = ended_at + RETRY_AFTER
    if repeated_at <= now:
        retry.append(job)
    else:
        due.append(repeated_at)
