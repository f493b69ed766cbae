"""Why an attempt fails: which rank failed first, and how certain that is. Pure.

Each rank has at most one account of its end, from the best source that there is: the cause that its launcher left in the store, else its
node, which no longer answers, else the cluster, which took its pod away, else the kubelet's report of its container. Which of the accounts
explains the others is decided by `contracts.cause.first_cause`, with one exception: once somebody takes a pod away, that explains whatever
the ranks report, because each of them may fail in its own way when a peer leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bramble.api.conditions import rfc3339
from bramble.contracts.cause import Cause, CauseKind, first_cause
from bramble.kinds.jobs.explain import JOB_GONE, deletion_cause, disruption_cause, pod_cause
from bramble.kinds.jobs.job import Failure, Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.trainingrun.attempt import FETCH, LOST_AFTER_SECONDS, SIDECAR, TRAIN, AttemptSeen, Ending, Stage
from bramble.kinds.trainingrun.nodes import Node

OWN_FAULT: frozenset[CauseKind] = frozenset({"SpecError", "BadData", "Error", "Signal", "NodeLost"})
"""Causes of which a rank is the origin: nothing that another rank may still report explains them."""

EXPLAINS: frozenset[CauseKind] = frozenset({"Disrupted", "PeerLost", "TryAgain"})
"""Causes that are worth showing although another rank may still give a better one."""

STOPPED: frozenset[CauseKind] = frozenset({"Disrupted", "Terminated"})
"""What a launcher reports of a stop that it was asked for. The cluster also knows by whom."""

CORRECT_FIRST: frozenset[CauseKind] = frozenset({"SpecError", "BadData"})
"""Causes that no further attempt can mend. They count although a pod was also taken away."""

SAVE_SECONDS = 70
"""How long the ranks may take to save and upload a checkpoint after a pod was asked to end, before the attempt is charged for that. It is
longer than a pod's grace period."""

EARLY_SECONDS = 1
"""How long other ranks may take to report after the first has ended, before the best explanation so far is shown."""

TRY_AGAIN_SECONDS = 3
"""How long other ranks may take to report a fault of their own, before an attempt that asked to be tried again is charged for that."""

SILENCE_SECONDS = 60
"""How long a rank may report nothing while its pod runs on, before the attempt is charged for what the others reported."""


def ending(attempt: AttemptSeen, nodes: Mapping[str, Node], now: datetime, known: Cause | None = None) -> Ending | None:
    """The first cause so far; None while no rank has failed and the Job has not failed either.

    Args:
        nodes: the cluster's nodes by name.
        known: the first cause that was shown last, perhaps of an earlier attempt. A pod that was taken away may be gone by now, and with
            it the cluster's word by whom.
    """
    failure = attempt.job.failure if attempt.job is not None else _gone(attempt)
    failing = failure is not None or any(has_failed(pod) for pod in attempt.pods.values())
    # While all ranks run, a node has half a minute to answer again. Once a rank has failed, a silent node explains it at once.
    silent_since = now if failing else now - timedelta(seconds=LOST_AFTER_SECONDS)
    accounts = {rank: cause for rank in range(attempt.nodes) if (cause := _account(attempt, rank, nodes, silent_since)) is not None}
    taken = {rank: cause for rank, pod in attempt.pods.items() if (cause := _taken(pod, attempt.job)) is not None}
    cause = first_cause(accounts.values())
    if taken and (cause is None or cause.kind not in CORRECT_FIRST):
        cause = first_cause(taken.values())
    if cause is None:
        if failure is None:
            return None
        cause = _unexplained(failure)
    job_failed_at = [failure.at] if failure is not None and failure.at is not None else []
    since = min([*_failed_at(attempt), *job_failed_at], default=now)
    no_more_pods = failure is not None or attempt.job is None
    silent = [rank for rank in range(attempt.nodes) if rank not in accounts and _may_report(attempt, rank, no_more_pods=no_more_pods)]
    if cause.kind == "Disrupted":
        if known is not None and known.kind == "Disrupted" and known.pod == cause.pod and cause.node_rank not in attempt.pods:
            cause = known
        silent = [rank for rank, pod in attempt.pods.items() if not _is_over(pod)]
    stage = _stage(cause, silent, now - since)
    return Ending(_name_silent(cause, silent), stage, _look_at(attempt, cause, nodes, since, now))


def _stage(cause: Cause, silent: list[int], age: timedelta) -> Stage:
    """How certain the cause is, `age` after the first rank failed."""
    seconds = age.total_seconds()
    patience = {"TryAgain": TRY_AGAIN_SECONDS, "Disrupted": SAVE_SECONDS}.get(cause.kind, SILENCE_SECONDS)
    if cause.kind in OWN_FAULT or not silent or seconds >= patience:
        return "settled"
    if seconds < EARLY_SECONDS and cause.kind != "Disrupted":
        return "early"
    return "likely" if cause.kind in EXPLAINS else "open"


def _look_at(attempt: AttemptSeen, cause: Cause, nodes: Mapping[str, Node], since: datetime, now: datetime) -> datetime:
    """When time alone may change what is concluded."""
    last = SAVE_SECONDS if cause.kind == "Disrupted" else SILENCE_SECONDS
    steps = [since + timedelta(seconds=seconds) for seconds in (EARLY_SECONDS, TRY_AGAIN_SECONDS, last)]
    lost = lost_at(attempt.pods.values(), nodes)
    return min((moment for moment in [*steps, *([lost] if lost is not None else [])] if moment > now), default=now)


def has_failed(pod: Pod) -> bool:
    """Whether the rank has ended without success, or the cluster takes its pod away."""
    ends = [end for container in (TRAIN, FETCH) if (end := pod.end(container)) is not None]
    return any(end.code != 0 for end in ends) or pod.phase == "Failed" or pod.disruption is not None


def lost_at(pods: Iterable[Pod], nodes: Mapping[str, Node]) -> datetime | None:
    """When the first of these pods' nodes that do not answer will count as lost; None if all of them answer."""
    hosts = [node for pod in pods if (node := nodes.get(pod.node or "")) is not None]
    silent = [node.since for node in hosts if not node.ready and node.since is not None]
    return min(silent) + timedelta(seconds=LOST_AFTER_SECONDS) if silent else None


def _account(attempt: AttemptSeen, rank: int, nodes: Mapping[str, Node], silent_since: datetime) -> Cause | None:
    """Why this rank failed; None if it has not.

    Args:
        silent_since: a node that has not been Ready since then, or longer, is lost.
    """
    pod, reported = attempt.pods.get(rank), attempt.reported.get(rank)
    disruption = disruption_cause(pod) if pod is not None else None
    if reported is not None and not (reported.kind in STOPPED and disruption is not None):
        return _complete(reported, pod, rank)
    if pod is None:
        return None
    return _lost_node(pod, rank, nodes, silent_since) or disruption or _container_end(pod)


def _complete(reported: Cause, pod: Pod | None, rank: int) -> Cause:
    """The launcher's own account, with what the launcher could not know added."""
    end = pod.end(TRAIN) if pod is not None else None
    known = {
        "exit_code": end.code if reported.exit_code is None and reported.signal is None and end is not None else reported.exit_code,
        "node_rank": rank if reported.node_rank is None else reported.node_rank,
        "node": reported.node or (pod.node if pod is not None else None),
        "pod": reported.pod or (pod.name if pod is not None else None),
    }
    return reported.model_copy(update=known)


def _lost_node(pod: Pod, rank: int, nodes: Mapping[str, Node], silent_since: datetime) -> Cause | None:
    if pod.node is None or _is_over(pod):
        return None
    node = nodes.get(pod.node)
    if node is not None and (node.ready or node.since is None or node.since > silent_since):
        return None
    what = f"has not been Ready since {rfc3339(node.since)}" if node is not None and node.since is not None else "is gone"
    message = f"node {pod.node}, with node rank {rank} of the attempt, {what}; the next attempt goes on from the newest checkpoint"
    return Cause(kind="NodeLost", message=message, node_rank=rank, node=pod.node, pod=pod.name)


def _is_over(pod: Pod) -> bool:
    return pod.end(TRAIN) is not None or pod.phase in ("Failed", "Succeeded")


def _taken(pod: Pod, job: Job | None) -> Cause | None:
    """The account of a pod that somebody has taken away, and that is not gone with its node; None for every other pod."""
    cause = disruption_cause(pod)
    if cause is None and pod.deleted is not None and not _deletes_pods(job, pod.deleted):
        cause = deletion_cause(pod)
    return cause if cause is not None and cause.kind == "Disrupted" else None


def _deletes_pods(job: Job | None, at: datetime) -> bool:
    """Whether the Job controller deleted pods at this time: when the Job has failed or used up its deadline, and when Kueue takes its
    place back. The Job may say only a moment later that it has failed.
    """
    if job is None or job.suspended or (job.ends_by is not None and job.ends_by <= at):
        return True
    return job.failure is not None and (job.failure.at is None or job.failure.at <= at)


def _container_end(pod: Pod) -> Cause | None:
    """The kubelet's report. If somebody deleted the pod, the signal that ended it explains nothing."""
    cause = pod_cause(pod, (TRAIN, FETCH), (SIDECAR,))
    if cause is not None and cause.kind == "Signal" and pod.deleted is not None:
        return cause.model_copy(update={"kind": "Terminated", "message": f"pod {pod.name} was deleted"})
    return cause


def _failed_at(attempt: AttemptSeen) -> list[datetime]:
    ends = (pod.end(container) for pod in attempt.pods.values() for container in (TRAIN, FETCH))
    disrupted = [pod.disruption.at for pod in attempt.pods.values() if pod.disruption is not None]
    deleted = [pod.deleted for pod in attempt.pods.values()]
    ended = [end.at for end in ends if end is not None and end.code != 0]
    return [at for at in (*ended, *disrupted, *deleted) if at is not None]


def _may_report(attempt: AttemptSeen, rank: int, *, no_more_pods: bool) -> bool:
    """Whether a rank without an account may still give one: its pod runs, or has not been made yet."""
    pod = attempt.pods.get(rank)
    return not no_more_pods if pod is None else not _is_over(pod)


def _gone(attempt: AttemptSeen) -> Failure | None:
    """The end of an attempt whose Job was there and is not there any more; None while a pod of it goes on, or if there was no Job yet."""
    goes_on = any(pod.deleted is None and not _is_over(pod) for pod in attempt.pods.values())
    return Failure(message=f"it {JOB_GONE}") if attempt.begun and not goes_on else None


def _unexplained(failure: Failure) -> Cause:
    why = f"{failure.reason} {failure.message}".strip() or "the Job gives no reason"
    return Cause(kind="Unknown", message=f"the attempt's Job failed and no rank says why: {why}")


def _name_silent(cause: Cause, silent: list[int]) -> Cause:
    """A lost peer is only half of an explanation: the message also names the ranks that have not reported yet."""
    if cause.kind != "PeerLost" or not silent:
        return cause
    who = ", ".join(str(rank) for rank in silent[:8])
    return cause.model_copy(update={"message": f"{cause.message} (node rank {who} has not reported yet)"})
