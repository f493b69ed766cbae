"""What the nodes report: who answers, who is silent, who serves what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bramble.contracts.report import CandidateState, SeenReport
from bramble.kinds.rollout.nodes import MAX_SEQ_AHEAD
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import figures
from bramble.kinds.sources import TwoAgents
from tests.unit.rollout.rows import NODES, V1, V2, canaries, device, digest, interruption, observed, orders, out, tried, with_candidate

row = pytest.param
TRYING = CandidateState(package=digest("2.0.0"), state="trying")


def of_another_fleet(seen: SeenReport) -> SeenReport:
    return seen.model_copy(update={"report": seen.report.model_copy(update={"fleet": "kitchens"})})


@pytest.mark.parametrize(
    ("seen", "reachable"),
    [
        row(device("a", age=15.0), True, id="a report of exactly 15 seconds ago is recent"),
        row(device("a", age=15.1), False, id="an older report is not"),
        row(of_another_fleet(device("a")), False, id="a device that reports for another fleet does not count"),
    ],
)
def test_which_nodes_answer(seen: SeenReport, reachable: bool) -> None:
    nodes = observed(reports={"a": seen}).nodes
    assert ("a" in nodes.reachable) is reachable
    assert ("a" in nodes.unreachable) is not reachable


@pytest.mark.parametrize(
    ("seen", "silent"),
    [
        row(observed(reports={"a": device("a", age=30.0)}), False, id="exactly 30 seconds are not long enough"),
        row(observed(reports={"a": device("a", age=30.1)}), True, id="more than 30 seconds are"),
        row(observed(reports={}), True, id="a node that never reported is silent"),
        row(
            observed(reports={"a": device("a", age=99.0)}, proves_silence=False), False, id="a gateway that has just started proves nothing"
        ),
    ],
)
def test_which_nodes_are_silent(seen: Observed, silent: bool) -> None:
    assert ("a" in seen.nodes.silent(NODES)) is silent


@pytest.mark.parametrize(
    ("seen", "verified"),
    [
        row(observed(written=orders()), True, id="it serves the package of this attempt"),
        row(observed(written=None), False, id="nothing is assigned"),
        row(observed(written=orders(attempt=2)), False, id="it has not reported the present attempt"),
        row(observed(written=orders(), reports={"a": device("a", V2)}), False, id="it serves another package"),
        row(observed(written=orders(), reports={"a": device("a", None)}), False, id="it serves nothing"),
        row(observed(written=orders(), reports={"a": device("a", uid="another")}), False, id="it follows another Rollout"),
        row(observed(written=orders(), reports={"a": device("a", age=16)}), False, id="it does not answer"),
    ],
)
def test_which_nodes_are_verified(seen: Observed, verified: bool) -> None:
    assert ("a" in seen.nodes.verified(V1)) is verified
    assert seen.nodes.verified(None) == frozenset()
    assert "a" not in seen.nodes.verified(V1, among="bcd")


@pytest.mark.parametrize(
    ("seen", "on_it"),
    [
        row(device("a", V2, age=99), True, id="it served the version when it fell silent"),
        row(device("a", V1, age=99, state=TRYING), True, id="it was trying the version when it fell silent"),
        row(device("a", V1, age=99), False, id="it served another version"),
        row(device("a", None, age=99), False, id="it served nothing"),
        row(of_another_fleet(device("a", V2)), False, id="it reports for another fleet"),
    ],
)
def test_which_nodes_last_reported_that_they_are_on_a_version(seen: SeenReport, on_it: bool) -> None:
    nodes = observed(ref=V2, status=out(), written=tried("a"), reports={"a": seen}).nodes
    assert ("a" in nodes.last_reported_on(V2, NODES)) is on_it


@pytest.mark.parametrize(
    ("seq", "highest"),
    [
        row(3, 4, id="the stored assignment has the highest seq"),
        row(9, 9, id="a device has a higher seq"),
        row(4 + MAX_SEQ_AHEAD, 4 + MAX_SEQ_AHEAD, id="a device is as far ahead as can be believed"),
        row(5 + MAX_SEQ_AHEAD, 4, id="a device that is further ahead is not believed"),
    ],
)
def test_the_highest_seq(seq: int, highest: int) -> None:
    assert observed(written=orders(), reports={"a": device("a", seq=seq)}).highest_seq == highest


def with_two_agents(seen: Observed, *nodes: str) -> Observed:
    return replace(seen, devices=replace(seen.devices, two_agents=dict.fromkeys(nodes, TwoAgents(machines=2))))


def test_a_node_with_two_agents_neither_counts_nor_is_it_lost_nor_does_it_serve() -> None:
    """What either of them counts, serves or survives is not known to be the node's."""
    reboot = {"a": interruption(device("a", V2, attempt=2))}
    certain = with_candidate(canaries("a", errors=100), interruptions=reboot)
    assert (certain.evidence[0].candidate.bad, certain.evidence[1].candidate.bad) == (1, 100), "else this proves nothing"
    for seen in (with_two_agents(certain, "a"), with_two_agents(with_candidate(canaries("a", errors=100, silent=["a"])), "a")):
        assert [(each.candidate.bad, each.candidate.events) for each in seen.evidence[1:]] == [(0, 0)] * len(seen.evidence[1:])
        assert seen.evidence[0].candidate.bad == 0
        assert seen.nodes.doubtful == {"a"}
        assert not seen.nodes.verified(V2)
        assert not seen.nodes.silent(NODES)
        assert figures(seen)["nodes"].unreachable == ("a",)
        assert seen.counts.memory("candidate") == {}
    assert with_two_agents(certain, "b").evidence[1].stable.nodes == certain.evidence[1].stable.nodes - 1
