"""What the devices are told, and which of them are canaries."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.plan import PatchFields
from bramble.kinds.rollout.assignment import candidate_nodes, desired
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.assign import assign
from tests.unit.rollout.rows import (
    AWAY,
    FIRST,
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


@pytest.mark.parametrize(
    ("seen", "writes", "expected"),
    [
        row(observed(status=FIRST | {"attempt": 0, "seq": 0}, reports={}), [], {}, id="nothing was ever assigned"),
        row(observed(written=orders()), [], {}, id="it says what memory asks for"),
        row(observed(), [], {"seq": 5}, id="it is not there: a seq above what devices saw"),
        row(observed(status={"seq": 5}), ["Apply"], {}, id="the seq is in memory: write"),
        row(observed(written=orders(nodes={"rpi5": ("a",)})), [], {"seq": 5}, id="nodes joined"),
        row(observed(ref=V2, status=out(), written=orders()), ["Apply"], {}, id="a candidate is to be tried"),
        row(observed(status={"seq": 6}, written=tried("a")), ["Apply"], {}, id="an undo is the same write"),
        row(observed(status={"seq": 5}, written=tried("a"), reports=canaries("a")), [], {"seq": 6}, id="above what a device has seen"),
        row(observed(written=orders(), reports={"a": device("a", seq=90)}), [], {"seq": 91}, id="a device saw more, as before a restore"),
        row(observed(status={"seq": 91}, written=orders(), reports={"a": device("a", seq=90)}), ["Apply"], {}, id="then it is answered"),
        row(
            observed(status={"seq": 5}, written=orders(rollout_uid="gone")), ["PatchFields"], {}, id="another Rollout left one: taken over"
        ),
        row(observed(fleet_hold=AWAY, hold=AWAY, nodes={}), [], {}, id="the fleet is away and nothing is known: nothing is said"),
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
    assert (item.uid, item.resource_version) == ("uid-of-config-map", "8")
    assert item.patch["metadata"]["labels"]["bramble.dev/owner-uid"] == "uid-of-rollout"


def test_an_undo_needs_no_blob_but_the_stable_ones() -> None:
    wanted = desired(observed(status={"seq": 6}, written=tried("a")))
    assert wanted is not None
    assert (wanted.candidate, wanted.candidate_nodes, set(wanted.packages)) == (None, (), {digest("1.0.0")})


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        row(observed(ref=V2, status=out(), written=orders()), 1, id="the first step: one"),
        row(observed(ref=V2, status=out(step=1), written=tried("a"), reports=canaries("a")), 2, id="half: one more"),
        row(observed(ref=V2, status=out(step=2), written=tried("a", "b"), reports=canaries("a", "b")), 4, id="all"),
        row(observed(ref=V2, status=out(), written=orders(), reports={"a": device("a")}), 1, id="of those that answer"),
        row(observed(ref=V2, status=out(), written=orders(), reports={}), 0, id="of none"),
        row(observed(ref=V2, status=out(), written=orders(), reports={n: device(n, free=10) for n in NODES}), 0, id="none has room"),
        row(
            observed(ref=V2, status=out(), written=orders(), reports={n: device(n, V3) for n in NODES}),
            0,
            id="none is on the stable version",
        ),
        row(observed(ref=V2, status=out(stable=None), written=None), 1, id="the first version takes any that answers"),
        row(observed(ref=V2, status=out(step=1), written=tried("a", "b", "c")), 3, id="who has it keeps it"),
    ],
)
def test_canaries(seen: Observed, count: int) -> None:
    nodes = candidate_nodes(seen)
    assert len(nodes) == count
    if seen.ours is not None and seen.ours.attempt == seen.status.attempt:
        assert set(seen.ours.candidate_nodes) <= set(nodes)
