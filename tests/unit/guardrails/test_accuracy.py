"""Mistakes among the predictions that were labelled."""

from __future__ import annotations

from bramble.contracts.counters import Counted
from bramble.guardrails.accuracy import ACCURACY


def test_mistakes_are_counted_among_labelled_answers() -> None:
    counts = {"requests": 1000, "errors": 900, "right": 40, "wrong": 2, "volunteered_right": 1, "volunteered_wrong": 500}
    assert ACCURACY.tally(Counted(counts=counts), None) == (2, 42)
    assert not ACCURACY.kept_on_disk
