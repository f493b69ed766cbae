"""Nodes that leave the fleet with the candidate."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.rollout import NAMES_KEPT
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.policies.note_departures import note_departures
from tests.unit.rollout.rows import AWAY, NOW, V2, baking, canaries, kept, observed, out, tried

row = pytest.param
AGAIN = {"waitingSince": "2026-11-21T12:00:00Z", "stepStartedAt": None, "watched": 0}


def left(*gone: str, had: tuple[str, ...] = ("a",), **changes: Any) -> Observed:
    """These nodes are gone; the stored assignment gives the candidate to those in `had`."""
    boards = {node: "rpi5" for node in "abcd" if node not in gone}
    values = {"status": baking(watched=len(had)), "reports": canaries(*had), "written": tried(*had), **changes}
    return observed(ref=V2, nodes=boards, **values)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        row(left(), {}, id="every node is there"),
        row(left("c"), {}, id="a node without the candidate left"),
        row(left("a"), {"departed": ["a"], **AGAIN}, id="the only canary left: the step waits for another one, and begins anew"),
        row(
            left("a", had=("a", "b"), status=baking(step=1, watched=2)), {"departed": ["a"]}, id="one of two left: the other is watched on"
        ),
        row(left("a", status=out()), {"departed": ["a"]}, id="it left before the step was watched"),
        row(
            left("a", reports={node: seen for node, seen in canaries("a").items() if node != "a"}),
            {"departed": ["a"], **AGAIN},
            id="it left, and nobody remembers its reports",
        ),
        row(left("a", status=out(), reports=canaries()), {}, id="it left before it took the candidate"),
        row(left("a", status=baking(departed=("a",))), {}, id="it is remembered already"),
        row(left("a", status={}), {}, id="no version is being tried"),
        row(left("a", fleet_blocker=AWAY, blocker=AWAY), {}, id="the Fleet is away, so no node has left it"),
    ],
)
def test_note_departures(seen: Observed, expected: dict[str, Any]) -> None:
    assert kept(seen, note_departures(seen, NOW)) == expected


def test_memory_has_a_bound() -> None:
    known = tuple(f"n{number}" for number in range(NAMES_KEPT))
    seen = left("a", status=baking(departed=known))
    assert "departed" not in kept(seen, note_departures(seen, NOW))
