"""Requests that the model does not take."""

from __future__ import annotations

from bramble.contracts.counters import Counted
from bramble.guardrails.errors import ERRORS
from bramble.guardrails.rejected import REJECTED


def test_a_rejected_request_is_an_event_of_its_own_and_no_error() -> None:
    counted = Counted(counts={"requests": 90, "rejected": 10})
    assert REJECTED.tally(counted, None) == (10, 100)
    assert ERRORS.tally(counted, None) == (0, 90)
