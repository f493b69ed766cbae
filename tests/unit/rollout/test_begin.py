"""When a version begins to be tried, and what it waits for before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.kinds.blockers import Blocker
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.begin import begin
from tests.unit.rollout.rows import (
    AWAY,
    FIRST,
    NO_EVIDENCE,
    NODES,
    NOW,
    V2,
    V3,
    ago,
    baking,
    canaries,
    device,
    kept,
    observed,
    orders,
    out,
    ready,
    tried,
    undone,
)

row = pytest.param
MUTE = device("d").model_copy(update={"report": device("d").report.model_copy(update={"running": ()})})
SERVING_NOTHING = {node: device(node, None) for node in NODES}


def since(minutes: int) -> dict[str, Any]:
    """Nodes are awaited since so long."""
    return {"waiting_since": ago(timedelta(minutes=minutes))}


@pytest.mark.parametrize(
    ("seen", "reason", "begins"),
    [
        row(observed(written=orders()), "", False, id="the fleet serves the version that the spec names"),
        row(observed(ref=V2, status=out(), written=tried("a")), "", False, id="a version is being tried already"),
        row(observed(ref=V2, written=orders()), "Started", True, id="the spec names another version"),
        row(observed(ref=V2, status=FIRST | {"attempt": 0}, reports=SERVING_NOTHING), "Started", True, id="a first version begins"),
        row(
            observed(ref=V2, status=FIRST, written=orders(stable=None)),
            "Returning",
            False,
            id="nodes still serve a first version that was undone",
        ),
        row(
            observed(ref=V2, status=FIRST, written=orders(stable=None), reports=SERVING_NOTHING),
            "Started",
            True,
            id="no node serves the first version any more",
        ),
        row(observed(ref=V2, blocker=NO_EVIDENCE, written=orders()), "NoEvidence", False, id="a board has no evidence"),
        row(observed(ref=V2, blocker=AWAY, fleet_blocker=AWAY, written=orders()), "FleetMissing", False, id="there is no Fleet"),
        row(observed(ref=V2, nodes={}, reports={}, written=orders()), "NoNodes", False, id="the fleet has no node"),
        row(observed(ref=V2, written=orders(), reports=canaries("a")), "Returning", False, id="a node has not returned yet"),
        row(
            observed(
                ref=V2,
                written=orders(),
                reports={node: device(node) for node in NODES} | {"a": device("a", None, message="the disk is full")},
            ),
            "Started",
            True,
            id="a node that reports why it cannot serve the stable version is not waited for",
        ),
        row(
            observed(ref=V2, written=orders(), reports={node: device(node) for node in NODES} | {"d": MUTE}),
            "Started",
            True,
            id="a node whose agent reports nothing of the model is not waited for",
        ),
        row(
            observed(ref=V2, status=since(minutes=9), written=orders(), reports=canaries("a")),
            "Returning",
            False,
            id="a node has not returned for nine minutes",
        ),
        row(
            observed(ref=V2, status=since(minutes=10), written=orders(), reports=canaries("a")),
            "Started",
            True,
            id="a node has not returned for ten minutes, so the attempt begins without it",
        ),
        row(
            observed(ref=V2, status={"attempt": 2, "undone": undone()}, written=orders()),
            "Undone",
            False,
            id="a version that was undone is not tried again by itself",
        ),
    ],
)
def test_begin(seen: Observed, reason: str, begins: bool) -> None:
    plan = begin(seen, NOW)
    changes = kept(seen, plan)
    assert ready(plan) == reason
    assert ("attempt" in changes) is begins
    if begins:
        attempt = seen.status.attempt + 1
        assert changes["attempt"] == attempt
        assert changes["candidate"]["ref"] == V2.ref
        assert changes["seed"] == f"uid-of-rollout/{attempt}"


def test_it_is_remembered_since_when_nodes_are_awaited() -> None:
    seen = observed(ref=V2, written=orders(), reports=canaries("a"))
    assert kept(seen, begin(seen, NOW)) == {"waitingSince": "2026-11-21T12:00:00Z"}
    back = observed(written=orders(), status=since(minutes=3))
    assert kept(back, begin(back, NOW)) == {"waitingSince": None}, "the spec names the stable version again"


def test_a_node_that_did_not_return_is_named() -> None:
    reports = {node: device(node) for node in NODES} | {"a": device("a", V3)}
    seen = observed(ref=V2, status=since(minutes=10), written=orders(), reports=reports)
    plan = begin(seen, NOW)
    assert kept(seen, plan)["passedOver"] == {"a": "2026-11-21T12:00:00Z"}
    assert plan is not None
    (event,) = plan.events
    assert event.message.endswith("is tried on fleet demo, without a: not back on the stable version in time")


def test_a_new_attempt_forgets_the_analysis_and_the_decision_of_the_last() -> None:
    seen = observed(
        ref=V2, written=orders(), status={"analysis": {"verdict": "Fail"}, "decision": {"action": "Undo"}, "decision_filed": True}
    )
    plan = begin(seen, NOW)
    assert plan is not None
    assert plan.status is not None
    assert {"analysis", "decision"}.isdisjoint(plan.status)


@pytest.mark.parametrize(
    ("requests", "guardrail", "reason"),
    [
        row(24, {}, "CollectingEvidence", id="the stable version had 96 of 100 requests"),
        row(25, {}, "Started", id="it had as many as are needed"),
        row(24, {"limit": "0.2"}, "Started", id="a limit decides without a stable version"),
        row(24, {"ceiling": "0.01"}, "CollectingEvidence", id="a ceiling lets a version pass, and shows of none that it is bad"),
    ],
)
def test_with_only_one_step_the_stable_version_is_watched_before(requests: int, guardrail: dict[str, str], reason: str) -> None:
    seen = observed(
        ref=V2,
        status={"attempt": 2},
        written=orders(attempt=2),
        reports=canaries(requests=requests),
        steps=[{"nodes": "100%", "bake": "1s"}],
        history=0,
        analysis={"guardrails": [{"metric": "errors", "minEvents": 100, **guardrail}]},
    )
    assert ready(begin(seen, NOW)) == reason


@pytest.mark.parametrize(
    ("blocker", "phase", "wait"),
    [
        row(AWAY, "Progressing", None, id="a Fleet that is made later is no fault"),
        row(NO_EVIDENCE, "Degraded", None, id="missing evidence needs a person"),
        row(Blocker("StoreUnavailable", "no answer"), "Degraded", timedelta(seconds=5), id="a store that does not answer is tried again"),
    ],
)
def test_what_a_blocker_makes_of_the_phase(blocker: Blocker, phase: str, wait: timedelta | None) -> None:
    plan = begin(observed(ref=V2, blocker=blocker, written=orders()), NOW)
    assert plan is not None
    assert plan.status is not None
    assert plan.status["phase"] == phase
    assert plan.wake_at == (NOW + wait if wait is not None else None)


def test_after_an_undo_it_looks_again_as_long_as_a_node_has_not_returned() -> None:
    status = {"attempt": 2, "undone": undone()}
    away, back = (observed(ref=V2, status=status, written=orders(), reports=reports) for reports in (canaries("a"), None))
    assert getattr(begin(away, NOW), "wake_at", None) == NOW + timedelta(seconds=5)
    assert getattr(begin(back, NOW), "wake_at", NOW) is None
    assert begin(observed(ref=V2, status=baking(), written=tried("a")), NOW) is None
