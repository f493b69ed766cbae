"""The beginning and the end of a Rollout: the finalizer, standing back, taking the model off the devices."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bramble.api.labels import FINALIZER
from bramble.kinds.plan import Delete, PatchFields
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.claim import claim
from bramble.kinds.rollout.policies.superseded import superseded
from bramble.kinds.rollout.policies.withdraw import withdraw
from tests.unit.rollout.rows import (
    FIRST,
    NODES,
    NOW,
    device,
    items,
    observed,
    orders,
    ready,
)

row = pytest.param


@pytest.mark.parametrize(
    ("finalizers", "expected"),
    [
        row((), [FINALIZER], id="none yet: ours first"),
        row(("other/f",), ["other/f", FINALIZER], id="somebody else's stays"),
        row((FINALIZER,), None, id="it is there"),
    ],
)
def test_claim(finalizers: tuple[str, ...], expected: list[str] | None) -> None:
    plan = claim(observed(finalizers=finalizers), NOW)
    assert (plan.items[0].patch if plan is not None else None) == ({"metadata": {"finalizers": expected}} if expected else None)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [row(observed(), "", id="nobody else has the model"), row(observed(rival="older"), "Superseded", id="an older one has: stand back")],
)
def test_superseded(seen: Observed, expected: str) -> None:
    plan = superseded(seen, NOW)
    assert ready(plan) == expected
    assert items(plan) == []


LATER = timedelta(minutes=10)
GONE = {node: device(node, None) for node in NODES}


@pytest.mark.parametrize(
    ("seen", "expected", "lets_go"),
    [
        row(observed(written=orders()), None, False, id="nobody deletes it"),
        row(observed(deleted=NOW, written=orders()), ["Delete"], False, id="the assignment goes first"),
        row(
            observed(deleted=NOW, written=orders(rollout_uid="another")),
            [],
            False,
            id="another Rollout's assignment stays; nodes still serve ours",
        ),
        row(observed(deleted=NOW), [], False, id="nodes still serve it: wait"),
        row(observed(deleted=NOW, reports=GONE), ["PatchFields"], True, id="nobody serves it any more"),
        row(observed(deleted=NOW, reports=GONE | {"d": device("d", age=60)}), [], False, id="one does not answer: wait"),
        row(observed(deleted=NOW - LATER, reports=GONE | {"d": device("d", age=60)}), ["PatchFields"], True, id="but not for ever"),
        row(observed(deleted=NOW, reports={}, status=FIRST | {"attempt": 0, "seq": 0}), ["PatchFields"], True, id="it never ran anything"),
        row(observed(deleted=NOW, reports=GONE, finalizers=("other/f",)), [], False, id="our part is done already"),
    ],
)
def test_withdraw(seen: Observed, expected: list[str] | None, lets_go: bool) -> None:
    plan = withdraw(seen, NOW)
    assert (items(plan) if plan is not None else None) == expected
    released = [item.patch for item in plan.items if isinstance(item, PatchFields)] if plan is not None else []
    assert (released == [{"metadata": {"finalizers": []}}]) is lets_go
    if expected == ["Delete"]:
        assert plan is not None
        assert isinstance(plan.items[0], Delete)
        assert plan.items[0].uid == "uid-of-config-map"
