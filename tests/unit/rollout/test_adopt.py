"""A Rollout without memory finds an assignment that another Rollout left."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.adopt import adopt
from tests.unit.rollout.rows import FIRST, NO_EVIDENCE, NOW, V1, V2, kept, observed, orders

row = pytest.param
NEW = FIRST | {"attempt": 0, "seq": 0}
LEFT: dict[str, Any] = {"rollout_uid": "gone", "attempt": 7}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(observed(status=NEW, written=orders(**LEFT)), (7, V1.ref), id="the devices serve the version that the spec names"),
        row(
            observed(status=NEW, ref=V2, written=orders(**LEFT)),
            (7, "left-by-an-earlier-rollout"),
            id="the devices serve a version that the spec does not name",
        ),
        row(
            observed(status=NEW, blocker=NO_EVIDENCE, written=orders(**LEFT)),
            (7, "left-by-an-earlier-rollout"),
            id="the version that the spec names cannot be used now",
        ),
        row(observed(status=NEW, written=None), None, id="nothing is assigned"),
        row(observed(status=NEW, written=orders(stable=None, **LEFT)), None, id="the assignment has no stable version"),
        row(observed(status=NEW, written=orders()), None, id="the assignment is this Rollout's own"),
        row(observed(status=FIRST, written=orders(**LEFT)), None, id="this Rollout has memory of an attempt"),
        row(observed(written=orders(**LEFT)), None, id="this Rollout has a stable version"),
    ],
)
def test_adopt(seen: Observed, expected: tuple[int, str] | None) -> None:
    changes: dict[str, Any] = kept(seen, adopt(seen, NOW))
    assert ((changes["attempt"], changes["stable"]["ref"]) if changes else None) == expected
