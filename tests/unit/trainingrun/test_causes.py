"""Which of what is known of an attempt's end explains the rest, and when it may be told."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.trainingrun.causes import ending
from bramble.kinds.trainingrun.observed import AttemptSeen
from tests.unit.trainingrun.seen import NODES, NOW, attempt, case, cause, disrupted, job, node, pod

FAILED = job(("FailureTarget", "BackoffLimitExceeded"))
TAINTED = disrupted("DeletionByTaintManager")
LONG_FAILED = job(("FailureTarget", "BackoffLimitExceeded"), since=61)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        case("both ranks run", attempt(), None),
        case("one rank is done, the other runs", attempt(pod(0, 0), pod(1)), None),
        case("an exception in rank 1", attempt(pod(0), pod(1, 1), reported={1: cause("Error", 1)}), ("Error", 1, True)),
        case(
            "rank 0's lost peer was reported first: rank 1's own error explains it",
            attempt(pod(0, 1), pod(1, 1), reported={0: cause("PeerLost", 0), 1: cause("Error", 1)}),
            ("Error", 1, True),
        ),
        case("a launcher was killed and left nothing", attempt(pod(0), pod(1, 137)), ("Signal", 1, True)),
        case(
            "a launcher was killed; its peer says that it lost it",
            attempt(pod(0, 1), pod(1, 137), reported={0: cause("PeerLost", 0)}),
            ("Signal", 1, True),
        ),
        case("bad data, found by fetch", attempt(pod(0, 65, container="fetch"), pod(1)), ("BadData", 0, True)),
        case("a spec error beats a plain one", attempt(pod(0, 1), pod(1, 64), reported={0: cause("Error", 0)}), ("SpecError", 1, True)),
        case(
            "a lost peer, and the peer has not spoken: wait",
            attempt(pod(0, 1, ended=1), pod(1), reported={0: cause("PeerLost", 0)}),
            ("PeerLost", 0, False),
        ),
        case(
            "the peer has been silent for a minute: go by what is known",
            attempt(pod(0, 1, ended=61), pod(1), reported={0: cause("PeerLost", 0)}),
            ("PeerLost", 0, True),
        ),
        case("the store was away: others get three seconds", attempt(pod(0, 75, ended=1), pod(1)), ("TryAgain", 0, False)),
        case("the store was away, and nobody objects", attempt(pod(0, 75, ended=4), pod(1)), ("TryAgain", 0, True)),
        case(
            "a drained pod explains its peer, and its launcher's SIGTERM says less",
            attempt(
                pod(0, 143, conditions=(disrupted(),), deleted=True),
                pod(1, 1),
                reported={0: cause("Terminated", 0), 1: cause("PeerLost", 1)},
            ),
            ("TryAgain", 0, True),
        ),
        case("taken from a dead node", attempt(pod(0, conditions=(TAINTED,)), pod(1)), ("NodeLost", 0, True)),
        case("ended since it was deleted by hand", attempt(pod(0, 137, deleted=True), pod(1, 0)), ("Terminated", 0, True)),
        case("the Job failed and no pod is left", attempt({}, {}, job_=FAILED), ("Unknown", None, True)),
        case("the Job failed, its pods run on", attempt(job_=FAILED), ("Unknown", None, False)),
        case("the Job failed a minute ago, its pods run on", attempt(job_=LONG_FAILED), ("Unknown", None, True)),
        case(
            "a cause of a rank whose pod is gone",
            attempt({}, pod(1, 1), job_=FAILED, reported={0: cause("Error", 0), 1: cause("PeerLost", 1)}),
            ("Error", 0, True),
        ),
    ],
)
def test_first_cause(seen: AttemptSeen, expected: tuple[str, int | None, bool] | None) -> None:
    found = ending(seen, {each.name: each for each in NODES}, NOW)
    if expected is None:
        assert found is None
        return
    assert found is not None
    rank = found.cause.rank if found.cause.rank is not None else found.cause.node_rank
    assert (found.cause.kind, rank, found.settled) == expected
    assert found.settled or found.next_look > NOW


@pytest.mark.parametrize(
    ("nodes", "pods", "lost"),
    [
        case("both nodes answer", NODES, (pod(0), pod(1)), None),
        case("silent for 29 seconds", (NODES[0], node("gpu-2", ready=False, since=29)), (pod(0), pod(1)), None),
        case("silent for 30 seconds", (NODES[0], node("gpu-2", ready=False, since=30)), (pod(0), pod(1)), "gpu-2"),
        case("rank 0's node", (node("gpu-1", ready=False, since=31), NODES[1]), (pod(0), pod(1)), "gpu-1"),
        case("the node is gone", (NODES[0],), (pod(0), pod(1)), "gpu-2"),
        case("silent, and the rank was done before", (NODES[0], node("gpu-2", ready=False, since=99)), (pod(0), pod(1, 0)), None),
        case("another node is silent", (*NODES, node("gpu-3", ready=False, since=99)), (pod(0), pod(1)), None),
        case("a rank without a node yet", (NODES[0],), (pod(0), pod(1, node="")), None),
    ],
)
def test_lost_nodes(nodes: tuple[Any, ...], pods: tuple[Any, ...], lost: str | None) -> None:
    pods = tuple(each if each["spec"]["nodeName"] else {**each, "spec": {}} for each in pods)
    found = ending(attempt(*pods), {each.name: each for each in nodes}, NOW)
    assert (found.cause.node if found is not None else None) == lost
    assert found is None or (found.cause.kind, found.settled) == ("NodeLost", True)


def test_a_lost_peer_says_who_has_not_spoken() -> None:
    found = ending(attempt(pod(0, 1), pod(1), reported={0: cause("PeerLost", 0)}), {each.name: each for each in NODES}, NOW)
    assert found is not None
    assert "node rank 1 has not spoken yet" in found.cause.message
    assert (found.cause.node, found.cause.pod) == ("gpu-1", "run-train-1-0-x")


@pytest.mark.parametrize("kind", ["PeerLost", "Terminated", "TryAgain"])
def test_a_node_that_is_silent_explains_at_once_what_its_peers_say(kind: Any) -> None:
    """Half a minute is for an attempt that still runs; this one is over, and the silent rank will not say why."""
    nodes = {"gpu-1": NODES[0], "gpu-2": node("gpu-2", ready=False, since=0)}
    found = ending(attempt(pod(0, 1), pod(1), reported={0: cause(kind, 0)}), nodes, NOW)
    assert found is not None
    assert (found.cause.kind, found.cause.node, found.settled) == ("NodeLost", "gpu-2", True)


@pytest.mark.parametrize(("kind", "shown"), [("PeerLost", True), ("Terminated", False)])
def test_what_explains_nothing_is_not_shown_before_everybody_has_spoken(kind: Any, shown: bool) -> None:
    found = ending(attempt(pod(0, 1, ended=12), pod(1), reported={0: cause(kind, 0)}), {each.name: each for each in NODES}, NOW)
    assert found is not None
    assert (found.settled, found.shown) == (False, shown)
    assert (found.next_look - NOW).total_seconds() == 48
