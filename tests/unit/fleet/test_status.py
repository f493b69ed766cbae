"""The phase of a Fleet in each of its states, and its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bramble.contracts.report import LeftOut
from bramble.kinds.fleet.status import EVENTS, EXCLUDED_SHOWN, deleting, fields, invalid, state
from bramble.kinds.sources import TwoAgents
from bramble.kinds.status_update import StatusUpdate
from tests.unit.fleet.rows import devices, node, observed
from tests.unit.kinds.saying import said

row = pytest.param


def of(ages: Mapping[str, float], *, proves: bool = True, nodes: str = "ab", ca: str = "PEM", twice: str = "") -> StatusUpdate:
    """The state of a fleet of these nodes, of which these have reported, and of these two agents each."""
    heard = replace(devices(ages, proves_silence=proves), two_agents=dict.fromkeys(twice, TwoAgents(machines=2)))
    return state(observed([node(name) for name in nodes], devices=heard, gateway_ca=ca))


@pytest.mark.parametrize(
    ("update", "phase", "ready"),
    [
        row(of({}, nodes=""), "Empty", "False/NoNodes", id="it has no nodes"),
        row(of({}, nodes="", ca=""), "Empty", "False/NoNodes", id="it has no nodes, and the operator has no CA"),
        row(of({"a": 1, "b": 1}, ca=""), "Pending", "False/NoGatewayCA", id="the operator has no CA"),
        row(of({}), "Pending", "False/AgentsStarting", id="no agent has reported yet"),
        row(of({"a": 1}, proves=False), "Unknown", "Unknown/SilenceUnproven", id="nothing proves that a node is silent"),
        row(of({"a": 1, "b": 1}), "Online", "True/AllOnline", id="all agents answer"),
        row(of({"a": 1, "b": 20}), "Online", "True/SomeOffline", id="some agents answer"),
        row(of({"a": 1, "b": 20}, twice="a"), "Online", "True/TwoAgents", id="two agents report for a node"),
        row(of({"a": 1, "b": 1}, twice="x"), "Online", "True/AllOnline", id="two agents report for a node of no fleet"),
        row(of({"a": 20}), "Offline", "False/NoneOnline", id="no agent answers any more"),
        row(invalid("spec.boards: too short"), "Invalid", "False/InvalidSpec", id="the spec cannot be used"),
        row(deleting("removing the agents"), "Deleting", "False/Deleting", id="it is being deleted"),
    ],
)
def test_phase_and_condition(update: StatusUpdate, phase: str, ready: str) -> None:
    assert said(update) == (phase, {"Ready": ready})
    assert update.events is EVENTS


def test_a_node_with_two_agents_is_named_with_what_may_have_happened_and_what_to_do() -> None:
    message = of({"a": 1, "b": 1, "c": 20}, nodes="abc", twice="ab").conditions[0].message
    for part in ("2 of 3 nodes online; offline: c; two agents report as a, b", "as after copying an SD card", "switch one off"):
        assert part in message
    one = replace(devices({"a": 1}), two_agents={"a": TwoAgents(machines=1)})
    seen = observed([node("a")], devices=one)
    assert "a pod did not end" in state(seen).conditions[0].message
    assert [each.node for each in fields(seen, {})["excluded"]] == ["a"]


def test_nodes_whose_reports_leave_counts_out_are_named() -> None:
    heard = devices({"a": 1, "b": 1, "c": 99})
    whole = {
        name: each.report.model_copy(update={"left_out": LeftOut(confusions=2)}) for name, each in heard.reports.items() if name != "b"
    }
    cut = {name: each.model_copy(update={"report": whole.get(name, each.report)}) for name, each in heard.reports.items()}
    seen = observed([node(name) for name in "abc"], devices=replace(heard, reports=cut))
    assert state(seen).conditions[0].message.startswith("2 of 3 nodes online; a left out counts, for which a report has no room")


def test_nodes_that_are_excluded_and_not_listed_are_counted() -> None:
    seen = observed([node(f"pi-{number:02}", board=None) for number in range(EXCLUDED_SHOWN + 3)])
    found = fields(seen, {})
    assert (len(found["excluded"]), found["excluded_nodes"]) == (EXCLUDED_SHOWN, EXCLUDED_SHOWN + 3)
