"""Which nodes count as lost, in both cohorts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bramble.contracts.report import SeenReport
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.sources import Interruption
from tests.unit.rollout.rows import (
    DONE,
    V1,
    V2,
    ago,
    baking,
    begun,
    canaries,
    device,
    interruption,
    observed,
    orders,
    out,
    tried,
    with_candidate,
)

row = pytest.param

ON_CANDIDATE = device("a", V2, attempt=2)
WITHOUT_A = dict.fromkeys("bcd", "rpi5")
UNHEARD = {node: seen for node, seen in canaries("a").items() if node != "a"}
"""Operator and gateway were restarted, and the canary has not reported since."""


def canary(**changes: Any) -> Observed:
    return with_candidate(canaries("a"), **changes)


def left_fleet(reports: dict[str, SeenReport], **changes: Any) -> Observed:
    """The canary's Node is gone, b has the candidate in its place."""
    status = baking(DONE, departed=("a",))
    return observed(ref=V2, status=status, reports=reports, written=tried("b", nodes={"rpi5": tuple("bcd")}), nodes=WITHOUT_A, **changes)


def passed_over(**changes: Any) -> Observed:
    """The canary gave the candidate up, and b has it in its place. The ledger was written while a was a canary."""
    ledger = canary().ledger
    return observed(
        ref=V2,
        status=baking(DONE, passed_over={"a": ago(timedelta(seconds=5))}),
        reports=canaries("b"),
        written=tried("b"),
        ledger=ledger,
        **changes,
    )


@pytest.mark.parametrize(
    ("seen", "lost"),
    [
        row(canary(), 0, id="the canary answers"),
        row(with_candidate(canaries("a", silent=["a"])), 1, id="the canary is silent"),
        row(with_candidate(canaries("a", silent=["a"]), proves_silence=False), 0, id="the canary is silent, and nobody can know that"),
        row(
            canary(interruptions={"a": interruption(ON_CANDIDATE)}),
            1,
            id="the canary was silent, or rebooted, while it served the candidate",
        ),
        row(
            canary(interruptions={"a": interruption(ON_CANDIDATE, silent_since=3700.0)}),
            0,
            id="the canary was silent before the ledger of this attempt began",
        ),
        row(canary(interruptions={"a": interruption(device("a", V1))}), 0, id="the canary rebooted before it took the candidate"),
        row(
            canary(interruptions={"a": interruption(device("a", V2, attempt=1))}),
            0,
            id="the canary rebooted in an earlier attempt of the same version",
        ),
        row(
            with_candidate(canaries("a") | {"a": device("a", V2, attempt=1, age=60.0)}),
            0,
            id="the canary fell silent in an earlier attempt of the same version",
        ),
        row(
            passed_over(interruptions={"a": interruption(ON_CANDIDATE)}),
            1,
            id="the canary rebooted, gave the candidate up, and is no canary any more",
        ),
        row(
            canary(interruptions={"c": interruption(device("c", V2, attempt=2))}),
            0,
            id="a node that never was a canary says that it served the candidate",
        ),
        row(with_candidate(UNHEARD, status=baking()), 1, id="nobody but the ledger remembers the canary"),
        row(
            with_candidate(UNHEARD, status=out(), ledger=begun(observed(ref=V2, status=out(), written=orders()), 0)),
            0,
            id="nobody remembers the canary, and it may never have had the candidate",
        ),
        row(
            with_candidate(UNHEARD, status=baking(), proves_silence=False),
            0,
            id="nobody remembers the canary, and the gateway has just started",
        ),
        row(left_fleet(canaries("a", silent=["a"])), 1, id="the canary left the fleet and is silent"),
        row(left_fleet(UNHEARD), 1, id="the canary left the fleet and nobody remembers it"),
        row(left_fleet(canaries("a")), 0, id="the canary left the fleet and still answers"),
    ],
)
def test_lost_candidate_nodes(seen: Observed, lost: int) -> None:
    assert seen.evidence[0].candidate.bad == lost


@pytest.mark.parametrize(
    ("seen", "lost"),
    [
        row(canary(), 0, id="all of them answer"),
        row(with_candidate(canaries("a", silent=["c"])), 1, id="one of them is silent"),
        row(canary(interruptions={"c": interruption(device("c", V1))}), 1, id="one of them was silent, or rebooted, and is back"),
        row(canary(interruptions={"a": interruption(ON_CANDIDATE)}), 0, id="a candidate node is none of them"),
        row(
            with_candidate({node: seen for node, seen in canaries("a").items() if node != "c"}),
            1,
            id="nobody but the ledger remembers one of them",
        ),
        row(
            with_candidate(canaries("a", silent=["c"]), status=baking(stable=None)),
            1,
            id="a node without the first version is silent",
        ),
    ],
)
def test_lost_stable_nodes(seen: Observed, lost: int) -> None:
    assert seen.evidence[0].stable.bad == lost


def whole_fleet(
    *, silent: dict[int, float], known: int = 20, watched: int = 20, interruptions: dict[str, Interruption] | None = None
) -> Observed:
    """The last step on a fleet of 20: the numbers of silent nodes with how long they have been silent.

    Args:
        known: of how many nodes there is a report.
        watched: how many nodes the ledger knows.
    """
    names = [f"n{number:02}" for number in range(20)]
    reports = {name: device(name, V2, attempt=2, seq=6, age=silent.get(number, 1.0)) for number, name in enumerate(names[:known])}
    status = baking(DONE, step=2, watched=watched)
    written, some = (tried(*names[:many], nodes={"rpi5": tuple(names[:many])}) for many in (20, watched))
    before = observed(ref=V2, status=status, reports=reports, written=some, nodes=dict.fromkeys(names[:watched], "rpi5"))
    return observed(
        ref=V2,
        status=status,
        reports=reports,
        written=written,
        nodes=dict.fromkeys(names, "rpi5"),
        interruptions=interruptions,
        ledger=begun(before, 100_000),
    )


@pytest.mark.parametrize(
    ("seen", "lost", "verdict"),
    [
        row(whole_fleet(silent={}), 0, "Pass", id="every node answers"),
        row(whole_fleet(silent={0: 60, 1: 60, 2: 61}), 3, "Pass", id="a site of three nodes lost its network at one moment"),
        row(whole_fleet(silent={0: 60, 1: 200, 2: 340}), 3, "Pass", id="three nodes died one after the other"),
        row(whole_fleet(silent=dict.fromkeys(range(10), 60.0)), 10, "Fail", id="half of the fleet fell silent"),
        row(whole_fleet(silent={n: 60.0 + 100 * n for n in range(10)}), 10, "Fail", id="half of the fleet died one after the other"),
        row(whole_fleet(silent={}, known=17), 3, "Pass", id="three nodes were not heard of since a restart of operator and gateway"),
        row(whole_fleet(silent={}, known=9), 11, "Fail", id="most nodes were not heard of since a restart of operator and gateway"),
        row(whole_fleet(silent={}, known=9, watched=9), 0, "Pass", id="most nodes were switched off all the time"),
        row(
            whole_fleet(silent={0: 60}, interruptions={"n01": interruption(device("n01", V2, attempt=2), silent_since=70.0)}),
            2,
            "Pass",
            id="one node of the site is back already",
        ),
    ],
)
def test_in_the_last_step(seen: Observed, lost: int, verdict: str) -> None:
    assert seen.evidence[0].candidate.bad == lost
    found = next(each for each in seen.judgement.guardrails if each.metric == "lost")
    assert found.verdict == verdict, found.message


def test_a_node_has_served_the_candidate_for_as_long_as_its_agent_says() -> None:
    seen = with_candidate(canaries("a") | {"a": device("a", V2, attempt=2, served=timedelta(seconds=7), age=2.0)})
    assert seen.nodes.serving_seconds("a") == 9.0
    assert seen.nodes.serving_seconds("b") is None
