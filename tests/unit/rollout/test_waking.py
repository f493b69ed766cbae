"""When a Rollout is planned again although no object changes: a device that falls silent, or comes back, causes no event."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.plan import plan
from tests.unit.rollout.rows import FIRST, NODES, NOW, V1, V2, V3, ago, device, observed, orders, out, ready, tried
from tests.unit.rollout.rows import undone as undone_record

row = pytest.param
SOON = timedelta(seconds=5)
LATER = timedelta(minutes=10)
"""When the history of the nodes is written again."""
SILENT = {node: device(node, age=60) for node in NODES}
ONE_ON_ANOTHER = {node: device(node, V3 if node == "a" else V1) for node in NODES}
ON_ANOTHER = {node: device(node, V3) for node in NODES}


@pytest.mark.parametrize(
    ("seen", "reason", "after"),
    [
        row(observed(written=orders()), "Promoted", LATER, id="every node serves the stable version"),
        row(observed(written=orders(), reports=ONE_ON_ANOTHER), "Verifying", SOON, id="a node serves another version"),
        row(observed(written=orders(), reports=SILENT), "Unreachable", SOON, id="no node answers"),
        row(observed(status={"seq": 5}), "Assigning", SOON, id="the assignment is written"),
        row(
            observed(ref=V2, status={"waiting_since": ago(SOON)}, written=orders(), reports=ON_ANOTHER),
            "Returning",
            SOON,
            id="nodes must go back to the stable version first",
        ),
        row(
            observed(ref=V2, written=orders(nodes={}), nodes={}), "NoNodes", LATER, id="the fleet has no node: its labels wake the Rollout"
        ),
        row(observed(ref=V2, status={"undone": undone_record()}, written=orders()), "Undone", LATER, id="nodes are back after an undo"),
        row(
            observed(ref=V2, status={"undone": undone_record()}, written=orders(), reports=ONE_ON_ANOTHER),
            "Undone",
            SOON,
            id="nodes are on their way back after an undo",
        ),
        row(observed(deleted=NOW, written=orders()), "Withdrawing", SOON, id="the assignment is deleted"),
        row(observed(deleted=NOW), "Withdrawing", SOON, id="nodes have to stop serving"),
        row(
            observed(ref=V2, status=FIRST | {"attempt": 0, "seq": 0}, rival="older"),
            "Superseded",
            None,
            id="another Rollout has precedence",
        ),
        row(observed(ref=V2, status=out(), written=tried("a")), "WaitingForNodes", SOON, id="a step waits for its nodes"),
    ],
)
def test_it_looks_again_in_time(seen: Observed, reason: str, after: timedelta | None) -> None:
    planned = plan(seen, NOW)
    assert ready(planned) == reason
    assert planned.wake_at == (NOW + after if after is not None else None)
