"""Deaths of the agent per request."""

from __future__ import annotations

from bramble.contracts.counters import Counted
from bramble.guardrails.base import Rule
from bramble.guardrails.crashes import CRASHES
from tests.unit.guardrails.cohort import LEVELS, counted

RULE = Rule(metric="crashes", max_ratio=1.5, min_events=400, min_nodes=1)


def test_crashes_are_counted_among_requests_and_stay_on_the_disk() -> None:
    assert CRASHES.tally(Counted(counts={"requests": 1000, "errors": 3, "crashes": 2}), None) == (2, 1000)
    assert CRASHES.tally(Counted(counts={"requests": 0, "crashes": 2}), None) == (2, 2)
    assert CRASHES.kept_on_disk


def test_one_death_in_six_hundred_thousand_requests_undoes_nothing() -> None:
    seen = counted("crashes", (1, 600_000), (1, 5_400_000), margin=1.5)
    assert CRASHES.judge(RULE, seen, LEVELS).verdict == "Undecided"


def test_a_version_that_dies_again_and_again_is_undone() -> None:
    seen = counted("crashes", (6, 6000), (0, 54_000), margin=1.5)
    assert CRASHES.judge(RULE, seen, LEVELS).verdict == "Fail"
