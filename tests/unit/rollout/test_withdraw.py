"""The deletion of a Rollout: its model is taken off the devices, then the finalizer is removed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bramble.kinds.plan import Delete, PatchFields
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.withdraw import withdraw
from tests.unit.rollout.rows import FIRST, NODES, NOW, device, items, observed, orders

row = pytest.param
TEN_MINUTES = timedelta(minutes=10)
SERVING_NOTHING = {node: device(node, None) for node in NODES}
ONE_SILENT = SERVING_NOTHING | {"d": device("d", age=60)}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(observed(written=orders()), None, id="nobody deletes it"),
        row(observed(deleted=NOW, written=orders()), ["Delete"], id="the assignment is deleted first"),
        row(observed(deleted=NOW, written=orders(rollout_uid="another")), [], id="another Rollout's assignment stays"),
        row(observed(deleted=NOW), [], id="nodes still serve the model"),
        row(
            observed(deleted=NOW, reports=SERVING_NOTHING),
            ["Delete", "PatchFields"],
            id="no node serves the model any more: its evidence goes, too",
        ),
        row(observed(deleted=NOW, reports=ONE_SILENT), [], id="a node does not answer"),
        row(
            observed(deleted=NOW - TEN_MINUTES + timedelta(seconds=1), reports=ONE_SILENT),
            [],
            id="a node has not answered for almost ten minutes",
        ),
        row(
            observed(deleted=NOW - TEN_MINUTES, reports=ONE_SILENT), ["Delete", "PatchFields"], id="a node has not answered for ten minutes"
        ),
        row(
            observed(deleted=NOW, reports={}, status=FIRST | {"attempt": 0, "seq": 0}),
            ["Delete", "PatchFields"],
            id="it never assigned anything",
        ),
        row(observed(deleted=NOW, reports=SERVING_NOTHING, finalizers=("other/f",)), [], id="our finalizer is removed already"),
    ],
)
def test_withdraw(seen: Observed, expected: list[str] | None) -> None:
    plan = withdraw(seen, NOW)
    assert (items(plan) if plan is not None else None) == expected
    removed = [item.patch for item in plan.items if isinstance(item, PatchFields)] if plan is not None else []
    assert removed == ([{"metadata": {"finalizers": []}}] if expected == ["Delete", "PatchFields"] else [])


def test_only_the_assignment_that_was_seen_is_deleted() -> None:
    plan = withdraw(observed(deleted=NOW, written=orders()), NOW)
    assert plan is not None
    (item,) = plan.items
    assert isinstance(item, Delete)
    assert item.uid == "uid-of-config-map"
