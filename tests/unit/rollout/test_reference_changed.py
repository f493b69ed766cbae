"""What happens when the spec names another version than the one that is being tried, or that was undone."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.reference_changed import reference_changed
from tests.unit.rollout.rows import NO_EVIDENCE, NOW, V1, V2, V3, kept, observed, out, ready, release, undone

row = pytest.param
TAKEN_BACK: dict[str, Any] = {"candidate": None, "begun": None, "waitingSince": None}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(observed(), {}, id="no version is being tried"),
        row(observed(ref=V2, status=out()), {}, id="the spec still names the candidate"),
        row(observed(ref=V3, status=out()), TAKEN_BACK, id="the spec names a third version, so the candidate goes back first"),
        row(observed(ref=V1, status=out()), TAKEN_BACK, id="the spec names the stable version, so the candidate goes back"),
        row(
            observed(ref=V3, blocker=NO_EVIDENCE, status=out()),
            TAKEN_BACK,
            id="the candidate goes back even where the new version cannot begin yet",
        ),
        row(
            observed(ref=V2, blocker=NO_EVIDENCE, status=out()),
            {},
            id="the candidate stays where its own ModelVersion cannot be used for now",
        ),
        row(
            observed(ref=V2, wanted=release("2.0.0", uid="made anew"), status=out()),
            TAKEN_BACK,
            id="a version that was made anew under the same name is another version",
        ),
        row(observed(ref=V2, status={"undone": undone()}), {}, id="the spec still names the version that was undone"),
        row(observed(ref=V3, status={"undone": undone()}), {"undone": None}, id="the spec names another version, so the undo is forgotten"),
        row(
            observed(ref=V1, status={"undone": undone()}),
            {"undone": None},
            id="the spec names the stable version, so the undo is forgotten",
        ),
    ],
)
def test_reference_changed(seen: Observed, expected: dict[str, Any]) -> None:
    plan = reference_changed(seen, NOW)
    assert kept(seen, plan) == expected
    assert ready(plan) == ("ReferenceChanged" if expected else "")


def test_a_changed_reference_needs_nobody() -> None:
    plan = reference_changed(observed(ref=V3, status=out()), NOW)
    assert plan is not None
    (event,) = plan.events
    assert event.type == "Normal"
    assert event.message == "digits-2-0-0 is taken back: the spec names digits-3-0-0 now"
