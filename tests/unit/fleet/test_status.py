"""The phase of a Fleet in each of its states, and its events."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bramble.kinds.fleet.status import EVENTS, deleting, invalid, state
from bramble.kinds.status_update import StatusUpdate
from tests.unit.fleet.rows import devices, node, observed
from tests.unit.kinds.saying import said

row = pytest.param


def of(ages: Mapping[str, float], *, proves: bool = True, nodes: str = "ab", ca: str = "PEM") -> StatusUpdate:
    """The state of a fleet of these nodes, of which these have reported."""
    return state(observed([node(name) for name in nodes], devices=devices(ages, proves_silence=proves), gateway_ca=ca))


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
        row(of({"a": 20}), "Offline", "False/NoneOnline", id="no agent answers any more"),
        row(invalid("spec.boards: too short"), "Invalid", "False/InvalidSpec", id="the spec cannot be used"),
        row(deleting("removing the agents"), "Deleting", "False/Deleting", id="it is being deleted"),
    ],
)
def test_phase_and_condition(update: StatusUpdate, phase: str, ready: str) -> None:
    assert said(update) == (phase, {"Ready": ready})
    assert update.events is EVENTS
