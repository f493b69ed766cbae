"""Which rank failed first, and why: what every rank of an attempt gives as a reason, and when enough of them have spoken. Pure.

A rank's account comes from the best witness there is: the cause that its launcher left in the store, then the Node that no longer
answers, then the cluster that took the pod away, then the kubelet's account of the container. Which of the accounts explains the others
is `contracts.cause.first_cause`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.contracts.cause import Cause, CauseKind, first_cause
from bramble.kinds.jobs.explain import container_cause, disruption_cause
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.trainingrun.attempt import FETCH, LOST_AFTER_SECONDS
from bramble.kinds.trainingrun.observed import AttemptSeen
from bramble.kinds.trainingrun.render import TRAIN
from bramble.kinds.trainingrun.world import Node

OWN_FAULT: frozenset[CauseKind] = frozenset({"SpecError", "BadData", "Error", "Signal", "NodeLost"})
"""Nothing that another rank may still say explains these."""

EXPLAINS: frozenset[CauseKind] = frozenset({"PeerLost", "TryAgain"})
"""Worth showing before everybody has spoken; a rank that was merely stopped explains nothing."""

HEARING_SECONDS = 3
"""How long other ranks may take to speak after the first has ended, before what is known is shown."""

SETTLING_SECONDS = 60
"""How long a rank may stay silent, its container neither ended nor its node lost, before the attempt ends by what the others say."""


@dataclass(frozen=True, slots=True)
class Ending:
    """An attempt of which at least one rank has ended badly.

    Attributes:
        cause: the best explanation so far.
        settled: nothing that could still be said would change it, or nobody is left to say it.
        heard: the others have had their time to speak.
        shown: the status may tell it.
        next_look: when to look again if nothing happens.
    """

    cause: Cause
    settled: bool
    heard: bool
    shown: bool
    next_look: datetime


def ended_badly(pod: Pod) -> bool:
    """Whether the rank has ended without success, or the cluster takes it away."""
    ends = [end for container in (TRAIN, FETCH) if (end := pod.end(container)) is not None]
    return any(end.code != 0 for end in ends) or pod.phase == "Failed" or pod.disruption is not None


def ending(attempt: AttemptSeen, nodes: Mapping[str, Node], now: datetime) -> Ending | None:
    """How the attempt is ending; None while no rank has ended badly and the Job has not failed."""
    failed = job_failed(attempt.job)
    broken = failed is not None or any(ended_badly(pod) for pod in attempt.pods.values())
    patience = timedelta(seconds=0 if broken else LOST_AFTER_SECONDS)
    accounts = {rank: cause for rank in range(attempt.nodes) if (cause := _account(attempt, rank, nodes, now - patience)) is not None}
    if not accounts and failed is None:
        return None
    since = min([*_ends(attempt), *([failed] if failed is not None else [])], default=now)
    heard = now >= since + timedelta(seconds=HEARING_SECONDS)
    silent = [rank for rank in range(attempt.nodes) if rank not in accounts and _may_speak(attempt, rank, failed)]
    cause = first_cause(accounts.values()) or _unexplained(attempt)
    waited = now >= since + timedelta(seconds=SETTLING_SECONDS)
    settled = cause.kind in OWN_FAULT or not silent or waited or (heard and cause.kind == "TryAgain")
    look = since + timedelta(seconds=SETTLING_SECONDS if heard else HEARING_SECONDS)
    lost = lost_at(attempt.pods.values(), nodes)
    shown = settled or (heard and cause.kind in EXPLAINS)
    return Ending(_named(cause, silent), settled, heard, shown, min(look, lost) if lost is not None and lost > now else look)


def lost_at(pods: Iterable[Pod], nodes: Mapping[str, Node]) -> datetime | None:
    """When the first of these pods' nodes will have been silent for too long, if one is silent."""
    hosts = [node for pod in pods if (node := nodes.get(pod.node or "")) is not None]
    silent = [node.since for node in hosts if not node.ready and node.since is not None]
    return min(silent) + timedelta(seconds=LOST_AFTER_SECONDS) if silent else None


def _account(attempt: AttemptSeen, rank: int, nodes: Mapping[str, Node], silent_since: datetime) -> Cause | None:
    """Why this rank ended, from its best witness; None while it has not ended, or ended well.

    A node that has not been Ready since `silent_since` is lost. In an attempt that runs that is half a minute; where another rank
    has ended already there is nothing to wait for, and the silent node explains it.
    """
    pod = attempt.pods.get(rank)
    told = attempt.reported.get(rank)
    taken = _taken(pod) if pod is not None else None
    if told is not None and not (told.kind == "Terminated" and taken is not None):
        return _placed(told, pod, rank)
    if pod is None:
        return None
    return _lost(pod, rank, nodes, silent_since) or taken or _of_containers(pod)


def _placed(told: Cause, pod: Pod | None, rank: int) -> Cause:
    """The launcher's own account, with what it could not know."""
    ended = pod.end(TRAIN) if pod is not None else None
    missing = {
        "exit_code": ended.code if told.exit_code is None and told.signal is None and ended is not None else told.exit_code,
        "node_rank": rank if told.node_rank is None else told.node_rank,
        "node": told.node or (pod.node if pod is not None else None),
        "pod": told.pod or (pod.name if pod is not None else None),
    }
    return told.model_copy(update=missing)


def _lost(pod: Pod, rank: int, nodes: Mapping[str, Node], silent_since: datetime) -> Cause | None:
    name = pod.node
    if name is None or _is_over(pod):
        return None
    node = nodes.get(name)
    if node is not None and (node.ready or node.since is None or node.since > silent_since):
        return None
    what = f"has not been Ready since {rfc3339(node.since)}" if node is not None and node.since is not None else "is gone"
    message = f"node {name}, with node rank {rank} of the attempt, {what}; the next attempt goes on from the newest checkpoint"
    return Cause(kind="NodeLost", message=message, node_rank=rank, node=name, pod=pod.name)


def _is_over(pod: Pod) -> bool:
    return pod.end(TRAIN) is not None or pod.phase in ("Failed", "Succeeded")


def _taken(pod: Pod) -> Cause | None:
    """The cluster took the pod away: drained, preempted, evicted. What its launcher says of SIGTERM explains less."""
    cause = disruption_cause(pod)
    if cause is None or cause.kind == "NodeLost":
        return cause
    return cause.model_copy(update={"kind": "TryAgain"})


def _of_containers(pod: Pod) -> Cause | None:
    """The kubelet's account. A pod that is being deleted was told to go: how it went says nothing."""
    cause = container_cause(pod, TRAIN) or container_cause(pod, FETCH)
    if cause is not None and cause.kind == "Signal" and pod.deleted:
        return cause.model_copy(update={"kind": "Terminated", "message": f"pod {pod.name} was deleted"})
    return cause


def job_failed(job: Job | None) -> datetime | None:
    """When the Job began to fail."""
    return job.failure.at if job is not None and job.failure is not None else None


def _ends(attempt: AttemptSeen) -> list[datetime]:
    ends = (pod.end(container) for pod in attempt.pods.values() for container in (TRAIN, FETCH))
    return [end.at for end in ends if end is not None and end.code != 0 and end.at is not None]


def _may_speak(attempt: AttemptSeen, rank: int, failed: datetime | None) -> bool:
    """Whether a rank without an account may still give one: it runs, or its pod has not been looked at since it ended."""
    pod = attempt.pods.get(rank)
    if pod is None:
        return failed is None
    return not _is_over(pod)


def _unexplained(attempt: AttemptSeen) -> Cause:
    failure = attempt.job.failure if attempt.job is not None else None
    detail = f": {failure.reason} {failure.message}".rstrip() if failure is not None else ""
    return Cause(kind="Unknown", message=f"the attempt's Job failed and no rank says why{detail}")


def _named(cause: Cause, silent: list[int]) -> Cause:
    """A lost peer is only half of an explanation: say who has not spoken."""
    if cause.kind != "PeerLost" or not silent:
        return cause
    who = ", ".join(str(rank) for rank in silent[:8])
    return cause.model_copy(update={"message": f"{cause.message} (node rank {who} has not spoken yet)"})
