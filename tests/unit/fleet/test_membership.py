"""Who is in a fleet."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.fleet import KIND
from bramble.api.objects import Invalid, parse
from bramble.kinds.fleet.membership import Claim, Fleet, membership
from bramble.kinds.fleet.node import Node
from tests.unit.fleet.rows import SPEC, claim, fleet, fleet_manifest, node


def nodes(*manifests: dict[str, Any]) -> list[Node]:
    return [Node.of(manifest) for manifest in manifests]


OLDER = "2026-10-01T00:00:00Z"
YOUNGER = "2026-12-01T00:00:00Z"


def test_a_node_is_of_the_board_that_selects_it() -> None:
    found = membership(fleet(), nodes(node("b", "rpi4"), node("a", "rpi5"), node("c", labels={"bramble.dev/fleet": "other"})), [])
    assert [(member.name, member.board) for member in found.members] == [("a", "rpi5"), ("b", "rpi4")]
    assert found.excluded == ()


@pytest.mark.parametrize(
    ("board", "boards", "why"),
    [
        pytest.param(None, None, "label it as one of them (rpi5: bramble.dev/board=rpi5", id="it has no board label"),
        pytest.param("jetson", None, "no board selects the node", id="the node has the label of another board"),
        pytest.param(
            "rpi5",
            [{"name": "a", "selector": {"bramble.dev/board": "rpi5"}}, {"name": "b", "selector": {"bramble.dev/fleet": "living-rooms"}}],
            "several boards select the node (a, b)",
            id="two boards select the node",
        ),
    ],
)
def test_a_node_of_no_board_or_of_several_is_excluded_and_told_why(
    board: str | None, boards: list[dict[str, object]] | None, why: str
) -> None:
    found = membership(fleet(boards=boards or SPEC["boards"]), nodes(node("a", board)), [])
    assert found.members == ()
    assert why in found.excluded[0].reason


@pytest.mark.parametrize(
    ("other", "used"),
    [
        pytest.param(fleet("other", OLDER), False, id="an older fleet selects it too"),
        pytest.param(fleet("other", YOUNGER), True, id="a younger fleet selects it too"),
        pytest.param(fleet("a-lower-uid"), False, id="a fleet of the same age has a lower uid"),
        pytest.param(fleet("z-higher-uid"), True, id="a fleet of the same age has a higher uid"),
        pytest.param(fleet("other", OLDER, nodeSelector={"bramble.dev/fleet": "kitchens"}), True, id="an older fleet does not select it"),
        pytest.param(fleet(), True, id="the only claim is its own"),
    ],
)
def test_of_two_fleets_over_a_node_the_older_has_it(other: Fleet, used: bool) -> None:
    found = membership(fleet(), nodes(node("a")), [claim(other)])
    assert bool(found.members) is used
    if not used:
        assert f"Fleet {other.metadata.name} is older" in found.excluded[0].reason


def test_a_typo_takes_no_node_from_an_older_fleet() -> None:
    """An invalid spec still says which nodes it selects, so the agents of a younger fleet must not replace its own."""
    board = {"name": "rpi5", "selector": {"bramble.dev/board": "rpi5"}, "resources": {"limits": {"memory": "280mi"}}}
    manifest = fleet_manifest("other", OLDER, boards=[board])
    assert isinstance(parse(KIND, manifest), Invalid)
    found = membership(fleet(), nodes(node("a")), [Claim.of(manifest)])
    assert found.members == ()
    assert found.excluded[0].reason.startswith("Fleet other is older and selects the node too")


def test_a_node_that_is_being_deleted_is_not_counted() -> None:
    leaving = node("a")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z"
    assert membership(fleet(), nodes(leaving), []).members == ()
