"""The assignment: when it is written, and which nodes get the candidate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.contracts.report import DISK_RESERVE_BYTES
from bramble.kinds.plan import PatchFields
from bramble.kinds.rollout.assignment import candidate_nodes, desired
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.assign import RAISE_AGAIN, assign
from tests.unit.rollout.rows import (
    AWAY,
    FIRST,
    NO_EVIDENCE,
    NODES,
    NOW,
    V2,
    V3,
    canaries,
    device,
    digest,
    items,
    kept,
    observed,
    orders,
    out,
    tried,
)

row = pytest.param
LATELY = RAISE_AGAIN - timedelta(seconds=1)
ROOM = 1000 + DISK_RESERVE_BYTES
"""The package of a row, and what a device keeps free."""


@pytest.mark.parametrize(
    ("seen", "writes", "expected"),
    [
        row(observed(status=FIRST | {"attempt": 0, "seq": 0}, reports={}), [], {}, id="nothing was ever assigned"),
        row(observed(written=orders()), [], {}, id="it is what memory asks for"),
        row(observed(), [], {"seq": 5}, id="there is none, so a seq above those of the devices is remembered first"),
        row(observed(status={"seq": 5}), ["Apply"], {}, id="the seq is in memory, so it is written"),
        row(observed(written=orders(nodes={"rpi5": ("a",)})), [], {"seq": 5}, id="nodes joined the fleet"),
        row(observed(ref=V2, status=out(), written=orders()), ["Apply"], {}, id="a candidate begins to be tried"),
        row(observed(status={"seq": 6}, written=tried("a")), ["Apply"], {}, id="an undo is the same write"),
        row(
            observed(status={"seq": 5}, written=tried("a"), reports=canaries("a")),
            [],
            {"seq": 6},
            id="the seq in memory is not above that of a device",
        ),
        row(
            observed(written=orders(), reports={"a": device("a", seq=90)}),
            [],
            {"seq": 91, "seqRaisedAt": rfc3339(NOW)},
            id="a device has a higher seq, as after a restore",
        ),
        row(
            observed(status={"seqRaisedAt": rfc3339(NOW - LATELY)}, written=orders(), reports={"a": device("a", seq=5)}),
            [],
            {},
            id="a device has a higher seq again, and the same orders were raised lately",
        ),
        row(
            observed(status={"seqRaisedAt": rfc3339(NOW - RAISE_AGAIN)}, written=orders(), reports={"a": device("a", seq=5)}),
            [],
            {"seq": 6, "seqRaisedAt": rfc3339(NOW)},
            id="the same orders were raised, but not lately",
        ),
        row(
            observed(status={"seqRaisedAt": rfc3339(NOW - LATELY)}, written=tried("a"), reports=canaries("a")),
            [],
            {"seq": 6},
            id="an undo is not held back because the same orders were raised lately",
        ),
        row(
            observed(status={"seq": 91, "seqRaisedAt": rfc3339(NOW)}, written=orders(), reports={"a": device("a", seq=90)}),
            ["Apply"],
            {},
            id="the raised seq is in memory, so the same orders are written",
        ),
        row(
            observed(status={"seq": 91}, written=orders(), reports={"a": device("a", seq=90)}),
            ["Apply"],
            {},
            id="the orders are written again above the device's seq",
        ),
        row(
            observed(status={"seq": 5}, written=orders(rollout_uid="gone")),
            ["PatchFields"],
            {},
            id="another Rollout left one, so it is taken over",
        ),
        row(observed(fleet_blocker=AWAY, blocker=AWAY, nodes={}), [], {}, id="the fleet cannot be used and nothing was assigned yet"),
    ],
)
def test_assign(seen: Observed, writes: list[str], expected: dict[str, Any]) -> None:
    plan = assign(seen, NOW)
    assert items(plan) == writes
    assert kept(seen, plan) == expected
    assert plan is None or plan.remember is bool(expected)


def test_an_assignment_that_is_taken_over_is_written_onto_what_was_seen() -> None:
    plan = assign(observed(status={"seq": 5}, written=orders(rollout_uid="gone")), NOW)
    assert plan is not None
    (item,) = plan.items
    assert isinstance(item, PatchFields)
    assert item.uid == "uid-of-config-map"
    assert item.resource_version == "8"
    assert item.patch["metadata"]["labels"]["bramble.dev/owner-uid"] == "uid-of-rollout"


def test_the_undo_of_a_first_version_still_names_its_model() -> None:
    wanted = desired(observed(ref=V2, status=FIRST, blocker=NO_EVIDENCE, written=tried("a", stable=None)))
    assert wanted is not None
    assert wanted.model == "digits"
    assert wanted.stable == {}


@pytest.mark.parametrize("number", [1, 2])
def test_the_assignment_has_the_attempt_and_the_seq_of_memory(number: int) -> None:
    wanted = desired(observed(status={"attempt": number, "seq": number}))
    assert wanted is not None
    assert wanted.attempt == number
    assert wanted.seq == number


def test_an_undo_needs_no_blob_but_the_stable_ones() -> None:
    wanted = desired(observed(status={"seq": 6}, written=tried("a")))
    assert wanted is not None
    assert wanted.candidate is None
    assert wanted.candidate_nodes == ()
    assert set(wanted.packages) == {digest("1.0.0")}


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        row(observed(ref=V2, status=out(), written=orders()), 1, id="the first step asks for one node"),
        row(observed(ref=V2, status=out(step=1), written=tried("a"), reports=canaries("a")), 2, id="half the fleet is two nodes"),
        row(observed(ref=V2, status=out(step=2), written=tried("a", "b"), reports=canaries("a", "b")), 4, id="the last step is every node"),
        row(observed(ref=V2, status=out(), written=orders(), reports={"a": device("a")}), 1, id="only nodes that answer count"),
        row(observed(ref=V2, status=out(), written=orders(), reports={}), 0, id="no node answers"),
        row(
            observed(ref=V2, status=out(), written=orders(), reports={n: device(n, free=10) for n in NODES}),
            0,
            id="no node has room on its disk",
        ),
        row(
            observed(ref=V2, status=out(), written=orders(), reports={n: device(n, V3) for n in NODES}),
            0,
            id="no node serves the stable version",
        ),
        row(
            observed(ref=V2, status=out(step=2), written=orders(), reports={node: device(node, free=ROOM) for node in NODES}),
            4,
            id="every node of the last step gets it, with room or without",
        ),
        row(
            observed(ref=V2, status=out(step=1), written=orders(), reports={node: device(node, free=ROOM) for node in NODES}),
            2,
            id="the disks have exactly the room that the candidate needs",
        ),
        row(
            observed(ref=V2, status=out(step=1), written=orders(), reports={node: device(node, free=ROOM - 1) for node in NODES}),
            0,
            id="the disks lack one byte for the candidate",
        ),
        row(
            observed(ref=V2, status=out(step=1), written=orders(), reports={n: device(n, free=0, last_good=V2) for n in NODES}),
            2,
            id="the disks are full and still have the files",
        ),
        row(
            observed(
                ref=V2,
                status=out(step=1),
                written=orders(attempt=2),
                reports={n: device(n, attempt=2, bad=V2 if n in "abc" else None) for n in NODES},
            ),
            1,
            id="nodes that gave the candidate up in this attempt are not chosen again",
        ),
        row(
            observed(
                ref=V2,
                status=out(step=1),
                written=orders(),
                reports={
                    "a": device("a", free=ROOM),
                    "b": device("b", free=ROOM),
                    "c": device("c", free=ROOM - 1),
                    "d": device("d", free=ROOM - 1),
                },
            ),
            1,
            id="a share is counted from the nodes that have room",
        ),
        row(
            observed(
                ref=V2, status=out(attempt=3), written=tried("a", "b", "c"), reports={node: device(node, attempt=2) for node in NODES}
            ),
            1,
            id="nodes that had the candidate in an earlier attempt do not keep it",
        ),
        row(observed(ref=V2, status=out(stable=None), written=None), 1, id="a first version takes any node that answers"),
        row(observed(ref=V2, status=out(step=1), written=tried("a", "b", "c")), 3, id="nodes that have the candidate keep it"),
    ],
)
def test_canaries(seen: Observed, count: int) -> None:
    nodes = candidate_nodes(seen)
    assert len(nodes) == count
    if seen.assignment is not None and seen.assignment.attempt == seen.status.attempt:
        assert set(seen.assignment.candidate_nodes) <= set(nodes)
