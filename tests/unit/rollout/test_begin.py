"""What begins, what holds it, and what is said when nothing is to be done."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.begin import begin
from bramble.kinds.rollout.policies.moved import moved
from bramble.kinds.rollout.policies.settle import settle
from bramble.kinds.rollout.policies.widen import widen
from tests.unit.rollout.rows import (
    AWAY,
    FIRST,
    NO_EVIDENCE,
    NODES,
    NOW,
    V1,
    V2,
    V3,
    canaries,
    device,
    digest,
    kept,
    observed,
    orders,
    out,
    ready,
    release,
    tried,
    undone,
)

row = pytest.param
BARE = {node: device(node, None) for node in NODES}
"""Devices that serve nothing."""


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(observed(), {}, id="nothing is out"),
        row(observed(ref=V2, status=out()), {}, id="the reference has not moved"),
        row(observed(ref=V3, status=out()), {"candidate": None}, id="the reference moved on: the candidate goes back first"),
        row(observed(ref=V1, status=out()), {"candidate": None}, id="back to stable: the same, and no new attempt"),
        row(observed(ref=V3, hold=NO_EVIDENCE, status=out()), {"candidate": None}, id="also where the new one cannot begin yet"),
        row(
            observed(ref=V2, wanted=release("2.0.0", uid="made anew"), status=out()),
            {"candidate": None},
            id="a version made anew is another",
        ),
        row(observed(ref=V2, status={"undone": undone()}), {}, id="what was undone is still named"),
        row(observed(ref=V3, status={"undone": undone()}), {"undone": None}, id="another is named: what was undone is forgotten"),
        row(observed(ref=V1, status={"undone": undone()}), {"undone": None}, id="the stable one is named: the same"),
    ],
)
def test_moved(seen: Observed, expected: dict[str, Any]) -> None:
    assert kept(seen, moved(seen, NOW)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(observed(), {}, id="no board was added"),
        row(
            observed(wanted=release("1.0.0", rpi5=digest("1.0.0"), rpi4=digest("9.9.9"))), {"rpi5", "rpi4"}, id="a board was measured since"
        ),
        row(
            observed(wanted=release("1.0.0", rpi5=digest("9.9.9"))), {}, id="another variant for a board that has one: it keeps what it has"
        ),
        row(
            observed(ref=V2, status=out(), wanted=release("2.0.0", rpi5=digest("2.0.0"), rpi4=digest("9.9.9"))), {}, id="a candidate is out"
        ),
        row(observed(ref=V2), {}, id="another version is wanted"),
        row(observed(hold=NO_EVIDENCE), {}, id="not before there is evidence"),
    ],
)
def test_widen(seen: Observed, expected: set[str]) -> None:
    changes = kept(seen, widen(seen, NOW))
    assert set(changes.get("stable", {}).get("packages", {})) == set(expected)
    assert changes.keys() <= {"stable"}


@pytest.mark.parametrize(
    ("seen", "reason", "begins"),
    [
        row(observed(written=orders()), "", False, id="it runs what is wanted"),
        row(observed(ref=V2, status=out(), written=tried("a")), "", False, id="something is out already"),
        row(observed(ref=V2, written=orders()), "Started", True, id="another version is wanted"),
        row(observed(ref=V2, status=FIRST | {"attempt": 0}, reports=BARE), "Started", True, id="the first version"),
        row(
            observed(ref=V2, status=FIRST, written=orders(stable=None)),
            "Returning",
            False,
            id="after the undo of a first one: they still serve",
        ),
        row(observed(ref=V2, status=FIRST, written=orders(stable=None), reports=BARE), "Started", True, id="and then it begins"),
        row(observed(ref=V2, hold=NO_EVIDENCE, written=orders()), "NoEvidence", False, id="a board without evidence holds it"),
        row(observed(ref=V2, hold=AWAY, fleet_hold=AWAY, written=orders()), "FleetMissing", False, id="no fleet"),
        row(observed(ref=V2, nodes={}, reports={}, written=orders()), "NoNodes", False, id="a fleet without nodes"),
        row(observed(ref=V2, written=orders(), reports=canaries("a")), "Returning", False, id="a node is still on its way back"),
        row(
            observed(
                ref=V2, written=orders(), reports={n: device(n) for n in NODES} | {"a": device("a", None, message="the disk is full")}
            ),
            "Started",
            True,
            id="a node that cannot serve the stable version, and says why, holds nothing up",
        ),
        row(
            observed(ref=V2, status={"attempt": 2, "undone": undone()}, written=orders()),
            "Undone",
            False,
            id="it was undone: not again by itself",
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
        assert (changes["attempt"], changes["candidate"]["ref"], changes["seed"]) == (attempt, V2.ref, f"uid-of-rollout/{attempt}")


@pytest.mark.parametrize(
    ("seen", "reason", "verified"),
    [
        row(observed(written=orders()), "Promoted", "True", id="every node verified"),
        row(observed(written=orders(), reports=canaries("a")), "Verifying", "False", id="one serves something else"),
        row(
            observed(
                nodes={**dict.fromkeys("abc", "rpi5"), "d": "rpi4"},
                written=orders(nodes={"rpi5": ("a", "b", "c"), "rpi4": ("d",)}),
                reports={n: device(n) for n in "abc"} | {"d": device("d", None)},
            ),
            "Promoted",
            "False",
            id="a board that the version has no package for serves nothing, and is not awaited",
        ),
        row(observed(written=orders(attempt=2)), "Verifying", "False", id="none has heard of this attempt"),
        row(
            observed(written=orders(), reports={n: device(n, uid="another") for n in NODES}), "Verifying", "False", id="of another Rollout"
        ),
        row(observed(written=orders(), reports={"a": device("a")}), "Promoted", "True", id="those that do not answer prove nothing"),
        row(observed(written=orders(), reports={}), "Unreachable", "True", id="nobody answers"),
    ],
)
def test_settle(seen: Observed, reason: str, verified: str) -> None:
    plan = settle(seen, NOW)
    assert ready(plan) == reason
    assert plan is not None
    assert plan.status is not None
    assert {item["type"]: item["status"] for item in plan.status["conditions"]}["Verified"] == verified
    assert kept(seen, plan) == {}
