"""Mistakes among the predictions that have feedback."""

from __future__ import annotations

from bramble.contracts.counters import Counted
from bramble.guardrails.accuracy import ACCURACY


def test_mistakes_are_counted_among_answers_with_feedback() -> None:
    assert ACCURACY.tally(Counted(counts={"requests": 1000, "errors": 900, "right": 40, "wrong": 2}), None) == (2, 42)
    assert not ACCURACY.kept_on_disk
