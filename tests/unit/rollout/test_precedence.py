"""What comes before everything else: the finalizer, and another Rollout that has the fleet."""

from __future__ import annotations

import pytest

from bramble.api.labels import FINALIZER
from bramble.kinds.plan import PatchFields
from bramble.kinds.rollout.policies.finalizer import finalizer
from bramble.kinds.rollout.policies.yield_to_rival import yield_to_rival
from tests.unit.rollout.rows import NOW, items, observed, ready

row = pytest.param


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        row((), [FINALIZER], id="there is no finalizer yet"),
        row(("other/f",), ["other/f", FINALIZER], id="somebody else's finalizer stays"),
        row((FINALIZER,), None, id="it has been added"),
    ],
)
def test_finalizer(present: tuple[str, ...], expected: list[str] | None) -> None:
    plan = finalizer(observed(finalizers=present), NOW)
    patches = [item.patch for item in plan.items if isinstance(item, PatchFields)] if plan is not None else []
    assert patches == ([{"metadata": {"finalizers": expected}}] if expected is not None else [])


@pytest.mark.parametrize(
    ("rival", "expected"),
    [row(None, "", id="no other Rollout has this model"), row("older", "Superseded", id="another Rollout has precedence")],
)
def test_yield_to_rival(rival: str | None, expected: str) -> None:
    plan = yield_to_rival(observed(rival=rival), NOW)
    assert ready(plan) == expected
    assert items(plan) == []
