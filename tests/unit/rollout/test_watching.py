"""What the ledger keeps of a watch: every event once, by the engine's own functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.evidence.mixture import EVEN, log_sum
from bramble.evidence.nodes import DECIMALS
from bramble.evidence.rise import GROUPS, above_own, above_rate, first_hour, later_hours, shown
from bramble.guardrails.base import Rule
from bramble.kinds.rollout.analysis import ErrorRates, judge
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import read_ledger, render
from bramble.kinds.rollout.reading import Line, Reading, WatchAsked
from bramble.kinds.rollout.watching import watch_evidence_of
from tests.unit.rollout.rows import observed
from tests.unit.rollout.test_counting import MINUTE, START, line

row = pytest.param
RATES = ErrorRates(false_rollback=0.01, false_promotion=0.05)
RULE = Rule(metric="errors", max_ratio=1.5, limit=0.2, min_events=100, min_nodes=1)
ASKED = WatchAsked("2026-11-21T12:00:00Z", (RULE,), 0.005)
NAMES = tuple("abcdefghij")
READING = Reading("uid", attempt=2, stable="v2", rules=(RULE,), watch=ASKED, others=frozenset(NAMES))


def says(requests: int, *, errors: int = 0, **of_node: int) -> Reading:
    """Every node says so many requests and errors; `of_node`: other errors."""
    return replace(READING, lines={name: line(requests, of_node.get(name, errors)) for name in NAMES})


def tried(bad: int = 1) -> Ledger:
    """Every node answered 1,000 requests of the version while it was tried, so many of them with errors. Its watch has begun."""
    attempt = replace(READING, stable="v1", candidate="v2", watch=None, candidates=frozenset(NAMES), others=frozenset())
    ledger = advance(None, attempt, START)
    ledger = advance(ledger, replace(attempt, lines={name: line(1000, bad) for name in NAMES}), START + MINUTE)
    return advance(advance(ledger, READING, START + 2 * MINUTE), READING, START + 2 * MINUTE)


def test_its_own_rate_is_what_it_counted_while_it_was_tried() -> None:
    (watch,) = tried().watches
    assert (watch.baseline.bad, watch.baseline.events, watch.baseline.nodes) == (10, 10_000, 10)
    assert watch.margin is not None
    assert watch.margin > 1.5, "ten errors tell a rate by a third"
    (watch,) = tried(bad=100).watches
    assert watch.margin == 1.5
    assert watch.mean == pytest.approx(0.1, rel=0.01)


def test_the_evidence_is_that_of_the_engine() -> None:
    ledger = tried(bad=20)
    expected, events, bad = np.zeros(GROUPS), np.zeros(GROUPS), np.zeros(GROUPS)
    own, limit = first_hour(), first_hour()
    for place, name in enumerate(sorted(NAMES)):
        expected[place % GROUPS] += 100 * ledger.nodes[name].own[0]
        events[place % GROUPS], bad[place % GROUPS] = events[place % GROUPS] + 100, bad[place % GROUPS] + 3
    margin = ledger.watches[0].margin or 0.0
    for hour in range(1, 4):
        ledger = advance(ledger, says(100 * hour, errors=3 * hour), START + 2 * MINUTE + timedelta(hours=hour))
        own = later_hours(own + above_own(margin, bad, expected), hour, hour + 1)
        limit = later_hours(limit + above_rate(0.2, bad, events), hour, hour + 1)
    seen = watch_evidence_of(ledger, RULE, frozenset(NAMES))
    assert seen.watched is not None
    assert seen.watched.own == pytest.approx(shown(own, 4, [True] * GROUPS), abs=10 ** (1 - DECIMALS))
    assert seen.watched.limit == pytest.approx(shown(limit, 4, [True] * GROUPS), abs=10 ** (1 - DECIMALS))
    assert (seen.candidate.bad, seen.candidate.events) == (60, 2000), "of this hour and the one before"


def test_a_group_whose_nodes_are_gone_keeps_no_watch_from_finding_what_the_others_show() -> None:
    left, gone = NAMES[:3], frozenset(NAMES[3:])
    ledger = tried(bad=20)
    for minute in range(3, 30):
        lines = {name: line(100 * minute, 50 * minute) for name in left}
        ledger = advance(ledger, replace(READING, lines=lines, others=frozenset(left)), START + minute * MINUTE)
    blind, seeing = (watch_evidence_of(ledger, RULE, present).watched for present in (gone | set(left), frozenset(left)))
    assert blind is not None
    assert blind.own == pytest.approx(0, abs=1)
    assert seeing is not None
    assert (seeing.own or 0) > 20
    assert (seeing.limit or 0) > 20


@given(st.lists(st.floats(-50, 50), min_size=GROUPS, max_size=GROUPS), st.lists(st.booleans(), min_size=GROUPS, max_size=GROUPS))
def test_whichever_groups_are_left_they_never_show_more_than_the_mean_of_all(heights: list[float], active: list[bool]) -> None:
    sums = first_hour() + np.array(heights)[:, None]
    every = np.logaddexp(log_sum(sums, EVEN), -np.log(2))
    mean = float(log_sum(every, np.full(GROUPS, -np.log(GROUPS))))
    assert shown(sums, 1, active) <= max(mean, 0.0) + 1e-9


def test_the_same_words_again_add_nothing() -> None:
    ledger = advance(tried(), says(100, errors=5), START + 3 * MINUTE)
    assert advance(ledger, says(100, errors=5), START + 3 * MINUTE) == ledger


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "other",
    [
        row({"absolute": True}, id="only one of them says maxRatio, so the other is judged by its limit alone"),
        row({"min_events": 1_000_000}, id="one of them needs more events to know its own rate"),
    ],
)
def test_two_rules_that_differ_have_a_watch_each(other: dict[str, object], order: int) -> None:
    rules = (RULE, RULE.model_copy(update=other))[::order]
    asked = replace(READING, rules=rules, watch=replace(ASKED, rules=rules))
    ledger = advance(advance(tried(), asked, START + 3 * MINUTE), asked, START + 4 * MINUTE)
    found = {rule: watch_evidence_of(ledger, rule, frozenset(NAMES)).watched for rule in rules}
    assert {rule: watched is not None and watched.margin is not None for rule, watched in found.items()} == {
        rules[0]: order == 1,
        rules[1]: order == -1,
    }


def test_a_watch_that_a_former_operator_wrote_goes_on() -> None:
    """It did not write which of the rules that differ in these two it was of."""
    ledger = tried()
    (watch,) = ledger.watches
    former = ledger.model_copy(update={"watches": (watch.model_copy(update={"absolute": None, "min_events": None}),)})
    reading = says(100, errors=5)
    assert advance(former, reading, START + 3 * MINUTE) == advance(ledger, reading, START + 3 * MINUTE)


def test_no_hour_begins_twice_when_a_new_leader_s_clock_is_behind() -> None:
    ahead = advance(tried(), says(100, errors=5), START + timedelta(hours=5))
    behind = advance(ahead, says(100, errors=5), START + timedelta(hours=2))
    assert advance(behind, says(100, errors=5), START + timedelta(hours=5)).watches == ahead.watches


def test_a_ledger_that_is_written_and_read_goes_on_as_before() -> None:
    ledger = advance(tried(), says(100, errors=5), START + 3 * MINUTE)
    stored = read_ledger(render(ledger, observed().metadata, "bramble"))
    assert stored == ledger
    assert advance(stored, says(200, errors=9), START + 4 * MINUTE) == advance(ledger, says(200, errors=9), START + 4 * MINUTE)


def test_a_ledger_whose_nodes_have_other_watches_is_not_read() -> None:
    ledger = tried()
    nodes = {**ledger.nodes, "a": ledger.nodes["a"].model_copy(update={"own": (0.1, 0.1)})}
    assert read_ledger(render(ledger.model_copy(update={"nodes": nodes}), observed().metadata, "bramble")) is None


@pytest.mark.parametrize("candidate", ["", "v3"])
def test_a_ledger_whose_watch_has_ended_is_read_and_keeps_its_histories(candidate: str) -> None:
    ledger = advance(tried(), says(100, errors=5), START + 3 * MINUTE)
    over = advance(ledger, replace(says(200, errors=9), watch=None, candidate=candidate), START + 4 * MINUTE)
    stored = read_ledger(render(over, observed().metadata, "bramble"))
    assert stored == over
    assert (stored.promoted, stored.watches) == ("", ())
    assert all(node.history[0][1] > 0 for node in stored.nodes.values())


def test_a_node_that_plainly_broke_is_left_out_from_then_on_and_the_others_are_not() -> None:
    first = advance(tried(), says(1000, errors=1, a=900), START + 3 * MINUTE)
    broken = advance(first, says(2000, errors=2, a=1800), START + 4 * MINUTE)
    calm = advance(first, says(2000, errors=2, a=900), START + 4 * MINUTE)
    assert broken.watches[0].own_test == calm.watches[0].own_test
    assert broken.watches[0].own_test != advance(first, says(2000, errors=2, a=900, b=50), START + 4 * MINUTE).watches[0].own_test
    assert broken.watches[0].recent[0] == 1818, "every event is told"


def test_while_another_version_is_tried_nothing_is_added_and_afterwards_it_goes_on() -> None:
    ledger = advance(tried(), says(100, errors=5), START + 3 * MINUTE)
    attempt = replace(says(50, errors=50), attempt=3, candidate="v3", candidates=frozenset("a"), others=frozenset(NAMES) - {"a"})
    paused = advance(ledger, attempt, START + 4 * MINUTE)
    assert paused.watches == ledger.watches
    back = advance(paused, replace(says(0), attempt=3), START + 5 * MINUTE)
    assert back.watches == ledger.watches
    assert [node.own for node in back.nodes.values()] == [node.own for node in ledger.nodes.values()]
    assert advance(back, replace(says(500, errors=100), attempt=3), START + 6 * MINUTE).watches != ledger.watches


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        row(ASKED, True, id="nothing has changed"),
        row(replace(ASKED, promoted="2026-11-22T12:00:00Z"), False, id="another promotion"),
        row(replace(ASKED, rules=(RULE.model_copy(update={"limit": 0.3}),)), False, id="another limit"),
        row(replace(ASKED, rules=(RULE.model_copy(update={"ceiling": 0.01}),)), False, id="a ceiling"),
        row(replace(ASKED, rules=(RULE.model_copy(update={"min_events": 7}),)), True, id="what its own rate is known from"),
        row(replace(ASKED, rules=(RULE.model_copy(update={"absolute": True}),)), False, id="it is judged by its limit alone"),
        row(None, False, id="no watch"),
    ],
)
def test_what_makes_another_watch(asked: WatchAsked | None, kept: bool) -> None:
    ledger = advance(tried(), says(100, errors=5), START + 3 * MINUTE)
    after = advance(ledger, replace(says(100, errors=5), watch=asked), START + 3 * MINUTE)
    assert ([watch.own_test for watch in after.watches] == [watch.own_test for watch in ledger.watches]) == kept


def test_a_guardrail_that_is_added_waits_until_its_own_rate_is_known() -> None:
    rejected = Rule(metric="rejected", max_ratio=1.5, min_events=1500, min_nodes=1)
    asked = replace(ASKED, rules=(RULE, rejected))

    def later(ledger: Ledger, minutes: int) -> Ledger:
        reading = replace(says(100 * minutes, errors=minutes), rules=(RULE, rejected), watch=asked)
        return advance(ledger, reading, START + minutes * MINUTE)

    ledger = later(later(tried(), 3), 4)
    assert [watch.margin is not None for watch in ledger.watches] == [True, False]
    ledger = later(later(ledger, 20), 21)
    assert [watch.margin is not None for watch in ledger.watches] == [True, True]
    assert all(len(node.own) == 2 for node in ledger.nodes.values())


def test_a_fleet_that_answers_little_knows_its_own_rate_after_a_while_and_says_after_which() -> None:
    """Twenty requests a day: histories, which are halved every day, never remember more than 29."""
    slow = RULE.model_copy(update={"min_events": 100})
    asked = replace(ASKED, rules=(slow,))
    ledger = advance(None, replace(READING, watch=None), START)
    for day in range(8):
        reading = replace(READING, watch=asked, lines={"a": line(20 * day, day)})
        ledger = advance(ledger, reading, START + timedelta(days=day, minutes=5))
        (verdict,) = judge((slow,), (watch_evidence_of(ledger, slow, frozenset(NAMES)),), RATES).guardrails
        if day == 3:
            assert ledger.watches[0].margin is None
            assert "60 of 100 requests so far to know its own rate (2 days more at the present rate)" in verdict.message
    assert sum(node.history[0][1] for node in ledger.nodes.values()) < 100
    assert ledger.watches[0].margin is not None


def test_a_node_that_joins_is_expected_to_be_like_the_others() -> None:
    ledger = tried(bad=20)
    joined = replace(READING, lines={"z": Line("1", line(100, 2).counted)}, others=frozenset((*NAMES, "z")))
    ledger = advance(ledger, joined, START + 3 * MINUTE)
    assert ledger.nodes["z"].group == len(NAMES) % GROUPS
    assert ledger.watches[0].recent == (2, 100)
