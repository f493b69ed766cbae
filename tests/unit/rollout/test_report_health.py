"""What the status reports when nothing is to be done."""

from __future__ import annotations

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.report_health import report_health
from tests.unit.rollout.rows import FIRST, NODES, NOW, canaries, conditions, device, kept, observed, orders, ready

row = pytest.param
TWO_BOARDS = {**dict.fromkeys("abc", "rpi5"), "d": "rpi4"}


@pytest.mark.parametrize(
    ("seen", "reason", "verified"),
    [
        row(observed(written=orders()), "Promoted", "True/ByDigest", id="every node serves the stable version"),
        row(observed(written=orders(), reports=canaries("a")), "Verifying", "False/Verifying", id="one node serves another version"),
        row(
            observed(
                nodes=TWO_BOARDS,
                written=orders(nodes={"rpi5": ("a", "b", "c"), "rpi4": ("d",)}),
                reports={node: device(node) for node in "abc"} | {"d": device("d", None)},
            ),
            "Promoted",
            "False/Verifying",
            id="a node whose board the version has no package for is not waited for",
        ),
        row(observed(written=orders(attempt=2)), "Verifying", "False/Verifying", id="no node has reported this attempt yet"),
        row(
            observed(written=orders(), reports={node: device(node, uid="another") for node in NODES}),
            "Verifying",
            "False/Verifying",
            id="the nodes follow another Rollout",
        ),
        row(
            observed(written=orders(), reports={"a": device("a")}), "Promoted", "True/ByDigest", id="nodes that do not answer prove nothing"
        ),
        row(observed(written=orders(), reports={}), "Unreachable", "True/ByDigest", id="a fleet of which no node answers is not healthy"),
        row(observed(written=orders(), reports={}, nodes={}), "Promoted", "True/ByDigest", id="a fleet without nodes is healthy"),
        row(
            observed(status=FIRST, written=orders(stable=None)),
            "Verifying",
            "False/Verifying",
            id="nodes still serve a first version that was undone",
        ),
    ],
)
def test_report_health(seen: Observed, reason: str, verified: str) -> None:
    plan = report_health(seen, NOW)
    assert ready(plan) == reason
    assert conditions(plan)["Verified"] == verified
    assert kept(seen, plan) == {}
