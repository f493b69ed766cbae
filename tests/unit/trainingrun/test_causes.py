"""Which rank's account explains the failure of an attempt, and how certain that is."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.jobs.pod import Pod
from bramble.kinds.trainingrun.attempt import AttemptSeen, Ending
from bramble.kinds.trainingrun.causes import ending, lost_at
from tests.unit.trainingrun.seen import NODES, NOW, ago, attempt, case, cause, disrupted, job, node, pod

BY_NAME = {each.name: each for each in NODES}
FAILED = job(("FailureTarget", "BackoffLimitExceeded"))
DELETED_BY_TAINT = disrupted("DeletionByTaintManager")


def job_failed(seconds: float) -> dict[str, Any]:
    return job(("FailureTarget", "BackoffLimitExceeded"), since=seconds)


def judge(seen: AttemptSeen) -> Ending:
    found = ending(seen, BY_NAME, NOW)
    assert found is not None, "no rank seems to have failed"
    return found


def summary(found: Ending) -> tuple[str, int | None, str]:
    """Kind, rank and stage."""
    return found.cause.kind, found.cause.rank if found.cause.rank is not None else found.cause.node_rank, found.stage


@pytest.mark.parametrize(
    "seen",
    [
        case("both ranks run", attempt()),
        case("one rank ended with success, the other runs", attempt(pod(0, 0), pod(1))),
        case("both ranks ended with success", attempt(pod(0, 0), pod(1, 0))),
        case("fetch ended with success in both pods", attempt(pod(0, 0, container="fetch"), pod(1, 0, container="fetch"))),
    ],
)
def test_no_rank_has_failed(seen: AttemptSeen) -> None:
    assert ending(seen, BY_NAME, NOW) is None


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        case("rank 1 raised an exception", attempt(pod(0), pod(1, 1), reported={1: cause("Error", 1)}), ("Error", 1, "settled")),
        case(
            "rank 0 reports a lost peer, and rank 1 reports its own error, which explains it",
            attempt(pod(0, 1), pod(1, 1), reported={0: cause("PeerLost", 0), 1: cause("Error", 1)}),
            ("Error", 1, "settled"),
        ),
        case(
            "the Job is gone, and rank 1 has left its error",
            AttemptSeen(1, 2, reported={1: cause("Error", 1)}, begun=True),
            ("Error", 1, "settled"),
        ),
        case("the Job is gone, and no rank has left anything", AttemptSeen(1, 2, begun=True), ("Unknown", None, "settled")),
        case(
            "somebody deleted the Job, and its pods are ending",
            AttemptSeen(1, 2, None, {rank: Pod.of(pod(rank, deleted=9)) for rank in (0, 1)}, begun=True),
            ("Unknown", None, "open"),
        ),
        case(
            "somebody deleted the Job, and the ranks report that they were asked to end",
            AttemptSeen(1, 2, reported={rank: cause("Disrupted", rank) for rank in (0, 1)}, begun=True),
            ("Disrupted", 0, "settled"),
        ),
        case("rank 1's launcher was killed and reports nothing", attempt(pod(0), pod(1, 137)), ("Signal", 1, "settled")),
        case(
            "rank 1's launcher was killed, and rank 0 reports a lost peer",
            attempt(pod(0, 1), pod(1, 137), reported={0: cause("PeerLost", 0)}),
            ("Signal", 1, "settled"),
        ),
        case("fetch found bad data", attempt(pod(0, 65, container="fetch"), pod(1)), ("BadData", 0, "settled")),
        case(
            "a spec error of rank 1 explains a plain error of rank 0",
            attempt(pod(0, 1), pod(1, 64), reported={0: cause("Error", 0)}),
            ("SpecError", 1, "settled"),
        ),
        case(
            "both ranks were disrupted, and none is left to report",
            attempt(pod(0, 1), pod(1, 1), reported={0: cause("PeerLost", 0), 1: cause("PeerLost", 1)}),
            ("PeerLost", 0, "settled"),
        ),
        case(
            "a drained pod explains the lost peer, although its launcher only reports SIGTERM",
            attempt(
                pod(0, 143, conditions=(disrupted(),), deleted=1),
                pod(1, 1),
                reported={0: cause("Disrupted", 0), 1: cause("PeerLost", 1)},
            ),
            ("Disrupted", 0, "settled"),
        ),
        case(
            "a drained pod explains an exception of its own rank",
            attempt(pod(0, 1, conditions=(disrupted(),)), pod(1, 75), reported={0: cause("Error", 0), 1: cause("Terminated", 1)}),
            ("Disrupted", 0, "settled"),
        ),
        case(
            "a preempted pod explains the exception of a peer that does not know a lost peer when it sees one",
            attempt(pod(0), pod(1, 143, conditions=(disrupted("PreemptionByScheduler"),)), job_=FAILED, reported={0: cause("Error", 0)}),
            ("Disrupted", 1, "likely"),
        ),
        case(
            "a spec error stays one although a pod was drained",
            attempt(pod(0, 64, conditions=(disrupted(),)), pod(1, 75), reported={0: cause("SpecError", 0)}),
            ("SpecError", 0, "settled"),
        ),
        case(
            "a deleted pod explains the error of its peer",
            attempt(pod(0, 75, deleted=3), pod(1, 1), job_=job_failed(2), reported={0: cause("Disrupted", 0), 1: cause("Error", 1)}),
            ("Disrupted", 0, "settled"),
        ),
        case(
            "a pod that the Job controller deleted because the Job had failed explains nothing",
            attempt(pod(0, 75, deleted=2), pod(1, 1), job_=job_failed(2), reported={0: cause("Disrupted", 0), 1: cause("Error", 1)}),
            ("Error", 1, "settled"),
        ),
        case(
            "a pod that is gone since was asked to end, and its peer lost it",
            attempt({}, pod(1, 1), job_=FAILED, reported={0: cause("Disrupted", 0), 1: cause("PeerLost", 1)}),
            ("Disrupted", 0, "settled"),
        ),
        case(
            "Kueue took the place back, and the Job controller deleted the pods",
            attempt(pod(0, 75, deleted=2), pod(1, 1, deleted=2), job_=job(suspend=True), reported={1: cause("PeerLost", 1)}),
            ("TryAgain", 0, "settled"),
        ),
        case(
            "a spot node is shut down: its kubelet ends the pod, and the peer loses it",
            attempt(
                pod(0, 75, phase="Failed", conditions=(disrupted("TerminationByKubelet"),)),
                pod(1, 1),
                job_=FAILED,
                reported={0: cause("Terminated", 0), 1: cause("PeerLost", 1)},
            ),
            ("Disrupted", 0, "settled"),
        ),
        case(
            "a spot node is shut down before its rank can report, and the peer raises an exception",
            attempt(
                pod(0, 137, phase="Failed", conditions=(disrupted("TerminationByKubelet"),)), pod(1, 1), reported={1: cause("Error", 1)}
            ),
            ("Disrupted", 0, "settled"),
        ),
        case("a pod was taken from a dead node", attempt(pod(0, conditions=(DELETED_BY_TAINT,)), pod(1)), ("NodeLost", 0, "settled")),
        case("somebody deleted the pod of rank 0", attempt(pod(0, 137, deleted=9), pod(1, 0)), ("Disrupted", 0, "settled")),
        case("the Job failed and no pod is left", attempt({}, {}, job_=FAILED), ("Unknown", None, "settled")),
        case(
            "a rank whose pod is gone reported its cause before",
            attempt({}, pod(1, 1), job_=FAILED, reported={0: cause("Error", 0), 1: cause("PeerLost", 1)}),
            ("Error", 0, "settled"),
        ),
    ],
)
def test_first_cause(seen: AttemptSeen, expected: tuple[str, int | None, str]) -> None:
    assert summary(judge(seen)) == expected


def lost_peer(seconds: float) -> AttemptSeen:
    """Rank 0 reported a lost peer so long ago, and rank 1 runs on."""
    return attempt(pod(0, 1, ended=seconds), pod(1), reported={0: cause("PeerLost", 0)})


def try_again(seconds: float) -> AttemptSeen:
    """Rank 0 asked to be tried again so long ago, and rank 1 runs on."""
    return attempt(pod(0, 75, ended=seconds), pod(1))


def stopped(seconds: float) -> AttemptSeen:
    """Rank 0 was merely stopped so long ago, and rank 1 runs on."""
    return attempt(pod(0, 1, ended=seconds), pod(1), reported={0: cause("Terminated", 0)})


def drained(seconds: float) -> AttemptSeen:
    """The pod of rank 0 was asked to end so long ago. Both ranks may still save a checkpoint."""
    return attempt(pod(0, conditions=(disrupted(seconds=seconds),), deleted=seconds), pod(1))


@pytest.mark.parametrize(
    ("seen", "stage", "look_in"),
    [
        case("a drain, just now: it can be shown at once", drained(0), "likely", 1),
        case("a drain, 1 s ago", drained(1), "likely", 2),
        case("a drain, 69 s ago: the grace period is over, and a clock may differ", drained(69), "likely", 1),
        case("a drain, 70 s ago: the ranks have had their time", drained(70), "settled", 0),
        case("a drain, and both ranks have ended", attempt(pod(0, 75, conditions=(disrupted(),)), pod(1, 75)), "settled", 2),
        case("somebody deleted a pod 30 s ago, and it runs on", attempt(pod(0, deleted=30), pod(1)), "likely", 40),
        case("a lost peer, just now", lost_peer(0), "early", 1),
        case("a lost peer, 1 s ago: it can be shown", lost_peer(1), "likely", 2),
        case("a lost peer, 3 s ago", lost_peer(3), "likely", 57),
        case("a lost peer, 59 s ago", lost_peer(59), "likely", 1),
        case("a lost peer, 60 s ago: rank 1 has had its time", lost_peer(60), "settled", 0),
        case("a request to be tried again, just now", try_again(0), "early", 1),
        case("a request to be tried again, 1 s ago: it can be shown", try_again(1), "likely", 2),
        case("a request to be tried again, 2 s ago", try_again(2), "likely", 1),
        case("a request to be tried again, 3 s ago: no rank reports a fault of its own", try_again(3), "settled", 57),
        case("a rank was stopped, just now", stopped(0), "early", 1),
        case("a rank was stopped, 1 s ago: that explains nothing", stopped(1), "open", 2),
        case("a rank was stopped, 60 s ago", stopped(60), "settled", 0),
        case("the Job fails, and its pods run on", attempt(job_=job_failed(1)), "open", 2),
        case("the Job failed 60 s ago, and its pods run on", attempt(job_=job_failed(60)), "settled", 0),
        case("the Job failed 60 s ago, and rank 1 a moment ago", attempt(pod(0), pod(1, 1), job_=job_failed(60)), "settled", 0),
        case(
            "a rank failed 60 s ago, and the Job a moment ago",
            attempt(pod(0, 1, ended=60), pod(1), job_=job_failed(0), reported={0: cause("PeerLost", 0)}),
            "settled",
            0,
        ),
        case("a rank that has not been made yet may still report", attempt(pod(0, 75, ended=1), {}), "likely", 2),
        case("a rank that ended with success reports nothing more", attempt(pod(0, 75, ended=1), pod(1, 0)), "settled", 2),
    ],
)
def test_stages(seen: AttemptSeen, stage: str, look_in: float) -> None:
    found = judge(seen)
    assert found.stage == stage
    assert (found.look_at - NOW).total_seconds() == look_in


@pytest.mark.parametrize(
    ("known", "pods", "says"),
    [
        case("the cluster's word is remembered", "p-1", ({}, pod(1, 75)), "taken away (EvictionByEvictionAPI)"),
        case(
            "the pod is still there and says it itself", "p-1", (pod(0, 75, conditions=(disrupted("Preempted"),)), pod(1, 75)), "Preempted"
        ),
        case("what is remembered is about a pod of an earlier attempt", "p-0", ({}, pod(1, 75)), "Disrupted happened"),
    ],
)
def test_a_pod_that_is_gone_was_taken_by_whom_the_cluster_said_before(known: str, pods: tuple[Any, ...], says: str) -> None:
    remembered = cause("Disrupted", node_rank=0, pod=known).model_copy(update={"message": "taken away (EvictionByEvictionAPI)"})
    seen = attempt(*pods, job_=FAILED, reported={0: cause("Disrupted", 0, pod="p-1", node_rank=0), 1: cause("Terminated", 1)})
    found = ending(seen, BY_NAME, NOW, remembered)
    assert found is not None
    assert says in found.cause.message


@pytest.mark.parametrize(
    ("nodes", "pods", "lost"),
    [
        case("both nodes answer", NODES, (pod(0), pod(1)), None),
        case("a node has been silent for 29 s", (NODES[0], node("gpu-2", ready=False, since=29)), (pod(0), pod(1)), None),
        case("a node has been silent for 30 s", (NODES[0], node("gpu-2", ready=False, since=30)), (pod(0), pod(1)), "gpu-2"),
        case("the node of rank 0 is silent", (node("gpu-1", ready=False, since=31), NODES[1]), (pod(0), pod(1)), "gpu-1"),
        case("a node is gone", (NODES[0],), (pod(0), pod(1)), "gpu-2"),
        case("a silent node whose rank had succeeded", (NODES[0], node("gpu-2", ready=False, since=99)), (pod(0), pod(1, 0)), None),
        case("a silent node without a rank", (*NODES, node("gpu-3", ready=False, since=99)), (pod(0), pod(1)), None),
        case("a rank that has no node yet", (NODES[0],), (pod(0), pod(1, node="")), None),
        case(
            "a node that was never Ready",
            (NODES[0], node("gpu-2", ready=False, since=None)),
            (pod(0), pod(1)),
            None,
        ),
    ],
)
def test_lost_nodes(nodes: tuple[Any, ...], pods: tuple[Any, ...], lost: str | None) -> None:
    found = ending(attempt(*pods), {each.name: each for each in nodes}, NOW)
    assert (found.cause.node if found is not None else None) == lost
    assert found is None or (found.cause.kind, found.stage) == ("NodeLost", "settled")


def test_a_lost_peer_names_the_ranks_that_have_not_reported() -> None:
    found = judge(lost_peer(0))
    assert "node rank 1 has not reported yet" in found.cause.message
    assert (found.cause.node, found.cause.pod) == ("gpu-1", "run-train-1-0-x")


@pytest.mark.parametrize("kind", ["PeerLost", "Terminated", "TryAgain"])
def test_a_silent_node_explains_at_once_what_other_ranks_report(kind: Any) -> None:
    """A node has half a minute to answer only while the attempt runs. This attempt is over, and the silent rank will not report."""
    nodes = {"gpu-1": NODES[0], "gpu-2": node("gpu-2", ready=False, since=0)}
    found = ending(attempt(pod(0, 1), pod(1), reported={0: cause(kind, 0)}), nodes, NOW)
    assert found is not None
    assert (found.cause.kind, found.cause.node, found.stage) == ("NodeLost", "gpu-2", "settled")


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        case("the Job gives a reason", "BackoffLimitExceeded", "why: BackoffLimitExceeded"),
        case("it gives none", "", "the Job gives no reason"),
    ],
)
def test_a_failure_that_no_rank_explains(reason: str, why: str) -> None:
    found = judge(attempt({}, {}, job_=job(("FailureTarget", reason)))).cause
    assert found.message.startswith("the attempt's Job failed and no rank says why: ")
    assert found.message.endswith(why)


def test_the_launchers_account_is_completed_from_the_pod() -> None:
    found = judge(attempt(pod(0), pod(1, 1), reported={1: cause("Error")})).cause
    assert (found.exit_code, found.node_rank, found.node, found.pod) == (1, 1, "gpu-2", "run-train-1-1-x")
    own = cause("Error", exit_code=9, node_rank=0, node="elsewhere", pod="another")
    assert judge(attempt(pod(0), pod(1, 1), reported={1: own})).cause == own


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        case("all nodes answer", NODES, None),
        case("one node does not", (NODES[0], node("gpu-2", ready=False, since=12)), ago(12 - 30)),
        case("the first of two", (node("gpu-1", ready=False, since=20), node("gpu-2", ready=False, since=12)), ago(20 - 30)),
        case("a silent node without a rank", (*NODES, node("gpu-3", ready=False, since=29)), None),
    ],
)
def test_when_a_silent_node_counts_as_lost(nodes: tuple[Any, ...], expected: Any) -> None:
    assert lost_at(attempt().pods.values(), {each.name: each for each in nodes}) == expected
