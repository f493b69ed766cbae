"""How the ledger advances: every event once, and nothing that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bramble.contracts.confusion import Confusion
from bramble.contracts.counters import BUCKETS, PREDICT, Counted, Histogram
from bramble.evidence.nodes import state_of
from bramble.evidence.ratio import RatioTest
from bramble.guardrails.base import Rule
from bramble.guardrails.evidence import GuardEvidence
from bramble.kinds.rollout.counting import MOST_PER_SECOND, SLACK_SECONDS, advance
from bramble.kinds.rollout.counts import evidence_of, history_of
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.reading import Line, Reading

row = pytest.param
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ERRORS = Rule(metric="errors", max_ratio=1.5, min_events=100, min_nodes=1)
CRASHES = Rule(metric="crashes", max_ratio=1.5, min_events=100, min_nodes=1)
LATENCY = Rule(metric="latency", quantile=0.99, max_ratio=2, min_events=100, min_nodes=1)
NODES = ("a", "b", "c", "d")
NOTHING = Reading("uid", attempt=2, stable="v1", candidate="v2", rules=(ERRORS,), candidates=frozenset("a"), others=frozenset("bcd"))
"""Of an attempt in which a is the canary."""


def line(requests: int, errors: int = 0, crashes: int = 0, instance: str = "1") -> Line:
    return Line(instance, Counted(counts={"requests": requests, "errors": errors, "crashes": crashes}))


def says(lines: Mapping[str, Line], of: Reading = NOTHING, **more: object) -> Reading:
    return replace(of, lines=lines, **more)  # type: ignore[arg-type]


def begun(of: Reading = NOTHING, **served: int) -> Ledger:
    """The ledger when the attempt began; `served`: requests that a node had answered before, one error in ten."""
    before = {node: Counted(counts={"requests": requests, "errors": requests // 10}) for node, requests in served.items()}
    return advance(None, replace(of, served=lambda: before), START)


def seen(ledger: Ledger, rule: Rule = ERRORS) -> tuple[int, int, int, int]:
    """Errors and requests of the candidate, then of the stable cohort."""
    found = evidence_of(ledger, rule)
    return found.candidate.bad, found.candidate.events, found.stable.bad, found.stable.events


def test_what_devices_say_beyond_their_last_words_is_counted() -> None:
    ledger = advance(begun(), says({"a": line(100, 5), "b": line(200, 3)}), START + MINUTE)
    assert seen(ledger) == (5, 100, 3, 200)
    ledger = advance(ledger, says({"a": line(150, 6), "b": line(200, 3), "c": line(10)}), START + 2 * MINUTE)
    assert seen(ledger) == (6, 150, 3, 210)


RECALL = Rule(metric="recall", label="ad", max_ratio=1.5, min_events=100, min_nodes=1)
BY_CLASS = replace(NOTHING, rules=(ERRORS, RECALL, RECALL.model_copy(update={"label": "film"})))


def of_classes(requests: int, missed: int | None, found: int = 0, instance: str = "1") -> Line:
    """So many labelled ads were missed and found; None: the device says nothing of classes."""
    confusion = None if missed is None else Confusion(classes=("ad", "film"), cells=(0, 0, found, 0, 1, missed))
    return Line(instance, Counted(counts={"requests": requests}, confusion=confusion))


def test_guardrails_of_one_class_count_that_class() -> None:
    ledger = advance(begun(BY_CLASS), says({"a": of_classes(100, 3, 17), "b": of_classes(200, 1, 19)}, BY_CLASS), START + MINUTE)
    assert seen(ledger, RECALL) == (3, 20, 1, 20)
    assert seen(ledger, BY_CLASS.rules[2]) == (0, 0, 0, 0)
    assert evidence_of(ledger, RECALL).label == "ad"


@pytest.mark.parametrize(
    ("then", "requests", "missed"),
    [
        row(of_classes(150, None), 150, (3, 20), id="a device without room for them keeps its other counts, and what it had said"),
        row(of_classes(30, None, instance="2"), 130, (3, 20), id="so does a new process that says nothing of classes yet"),
        row(of_classes(150, 5, 25), 150, (5, 30), id="what it says next is counted from there"),
    ],
)
def test_a_device_may_say_nothing_of_classes_for_a_while(then: Line, requests: int, missed: tuple[int, int]) -> None:
    ledger = advance(begun(BY_CLASS), says({"a": of_classes(100, 3, 17)}, BY_CLASS), START + MINUTE)
    ledger = advance(ledger, says({"a": then}, BY_CLASS), START + 2 * MINUTE)
    assert (seen(ledger)[1], seen(ledger, RECALL)[:2]) == (requests, missed)
    last = of_classes(200, 8, 32, then.instance)
    ledger = advance(ledger, says({"a": last}, BY_CLASS), START + 3 * MINUTE)
    whole = 40 if then.instance == "1" else 60
    assert (seen(ledger)[1], seen(ledger, RECALL)[1]) == (200 if then.instance == "1" else 300, whole)


def test_the_same_words_again_add_nothing() -> None:
    reading = says({"a": line(100, 5), "b": line(200, 3)})
    once = advance(begun(), reading, START + MINUTE)
    again = advance(once, reading, START + MINUTE)
    assert again == once


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        row({"a": line(30, 1, instance="2")}, (6, 130, 3, 200), id="the agent of the canary started again and counts from zero"),
        row({"b": line(30, 1, instance="2")}, (5, 100, 4, 230), id="so did that of a stable node"),
        row({"a": line(99, 5)}, (5, 100, 3, 200), id="requests go back within a process"),
        row({"a": line(120, 4)}, (5, 100, 3, 200), id="errors go back within a process"),
        row({"a": line(10**9)}, (5, 100, 3, 200), id="more requests than anybody answers in a minute"),
        row({"a": line(10**9, instance="2")}, (5, 100, 3, 200), id="the same by a new process"),
        row({"e": line(10**5, 10**5)}, (5, 100, 3, 200), id="a node that is in no cohort"),
        row({}, (5, 100, 3, 200), id="nobody says anything"),
    ],
)
def test_what_may_come_next(lines: dict[str, Line], expected: tuple[int, ...]) -> None:
    ledger = advance(begun(), says({"a": line(100, 5), "b": line(200, 3)}), START + MINUTE)
    assert seen(advance(ledger, says(lines), START + 2 * MINUTE)) == expected


def test_a_stable_node_that_breaks_is_not_compared_from_then_on_and_a_canary_is() -> None:
    def later(ledger: Ledger, minutes: int, **errors: int) -> Ledger:
        lines = {node: line(100 * minutes, errors.get(node, 0)) for node in NODES}
        return advance(ledger, says(lines), START + minutes * MINUTE)

    first = later(begun(a=1000, b=1000, c=1000, d=1000), 1, a=90, b=90)
    broken, calm = later(first, 2, a=180, b=180), later(first, 2, a=180, b=90)
    assert seen(broken) == (180, 200, 180, 600), "every event is told"
    assert broken.guards[0].ratio == calm.guards[0].ratio
    assert broken.guards[0].ratio != later(first, 2, a=90, b=90).guards[0].ratio


def test_a_late_report_of_the_process_before_is_not_counted_again() -> None:
    ledger = advance(begun(), says({"a": line(100, 5)}), START + MINUTE)
    ledger = advance(ledger, says({"a": line(10, instance="2")}), START + 2 * MINUTE)
    ledger = advance(ledger, says({"a": line(100, 5)}), START + 3 * MINUTE)
    ledger = advance(ledger, says({"a": line(20, instance="2")}), START + 4 * MINUTE)
    assert seen(ledger)[:2] == (5, 120)


def test_what_a_process_counted_since_the_ledger_was_stored_is_not_lost_when_it_ends() -> None:
    stored = advance(begun(), says({"a": line(100, 1)}), START + MINUTE)
    then = says({"a": line(10, 2, instance="2")}, ended={"a": line(180, 5)})
    ledger = advance(stored, then, START + 2 * MINUTE)
    assert seen(ledger) == (5 + 2, 180 + 10, 0, 0)
    assert seen(advance(ledger, then, START + 2 * MINUTE)) == (7, 190, 0, 0), "once it is stored, it is not counted again"
    nothing_yet = advance(stored, says({}, ended={"a": line(180, 5)}), START + 2 * MINUTE)
    assert seen(advance(nothing_yet, then, START + 2 * MINUTE)) == (7, 190, 0, 0), "the next process had counted nothing yet"


def test_crashes_stay_on_the_disk_of_a_process_that_was_read_after_the_ledger_was_stored() -> None:
    of = replace(NOTHING, rules=(CRASHES,))
    stored = advance(begun(of), says({"a": line(100, crashes=1)}, of), START + MINUTE)
    then = says({"a": line(10, crashes=3, instance="2")}, of, ended={"a": line(180, crashes=2)})
    assert seen(advance(stored, then, START + 2 * MINUTE), CRASHES)[:2] == (3, 190)


def test_a_node_that_was_silent_for_long_may_have_answered_as_much() -> None:
    most = MOST_PER_SECOND * (3600 + SLACK_SECONDS)
    ledger = begun()
    assert seen(advance(ledger, says({"a": line(most + 1)}), START + timedelta(hours=1)))[1] == 0
    assert seen(advance(ledger, says({"a": line(most)}), START + timedelta(hours=1)))[1] == most


def test_crashes_stay_on_the_disk_when_the_agent_starts_again() -> None:
    reading = replace(NOTHING, rules=(CRASHES,))
    ledger = advance(begun(reading), says({"a": line(1000, crashes=1)}, reading), START + MINUTE)
    ledger = advance(ledger, says({"a": line(50, crashes=2, instance="2")}, reading), START + 2 * MINUTE)
    assert seen(ledger, CRASHES)[:2] == (2, 1050)


def test_a_node_that_becomes_a_canary_counts_from_zero_there() -> None:
    ledger = advance(begun(), says({"a": line(100, 5), "b": line(200, 3)}), START + MINUTE)
    wider = replace(NOTHING, step=1, candidates=frozenset("ab"), others=frozenset("cd"))
    ledger = advance(ledger, says({"a": line(100, 5), "b": line(40, 2)}, wider), START + 2 * MINUTE)
    assert seen(ledger) == (7, 140, 3, 200)


WIDER = replace(NOTHING, step=1, candidates=frozenset("ab"), others=frozenset("cd"))


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        row("1", (1, 100, 101, 1015), id="the agent goes on with the count that it had there"),
        row("2", (1, 100, 201, 2015), id="an agent that started again counts from zero"),
    ],
)
def test_a_node_that_comes_back_to_a_cohort_goes_on_from_its_last_reading_there(instance: str, expected: tuple[int, ...]) -> None:
    ledger = advance(begun(), says({"a": line(50), "b": line(1000, 100), "c": line(10)}), START + MINUTE)
    ledger = advance(ledger, says({"a": line(50), "b": line(50, 1)}, WIDER), START + 2 * MINUTE)
    ledger = advance(ledger, says({"b": line(1005, 101, instance=instance)}), START + 3 * MINUTE)
    assert seen(ledger) == expected


def test_nodes_that_get_the_candidate_in_a_later_step_are_compared_with_the_stable_nodes_of_that_time() -> None:
    """From the second hour on every node has three times as many errors. Nodes that are counted from then on only are no worse for that."""
    names = [f"n{number:02}" for number in range(20)]
    few, half = (replace(NOTHING, candidates=frozenset(names[:n]), others=frozenset(names[n:])) for n in (2, 10))
    ledger = begun(few, **dict.fromkeys(names, 1_000_000))
    ledger = advance(ledger, says(dict.fromkeys(names, line(100_000, 10_000)), few), START + 60 * MINUTE)
    later = {name: line(200_000, 40_000) for name in (*names[:2], *names[10:])} | dict.fromkeys(names[2:10], line(100_000, 30_000))
    found = evidence_of(advance(ledger, says(later, half), START + 120 * MINUTE), ERRORS)
    assert found.candidate.share > 1.5 * found.stable.share, "all in all the candidate's nodes had more errors"
    assert shown(found) < 0
    assert found.single < 0
    worse = later | dict.fromkeys(names[2:10], line(100_000, 90_000))
    assert evidence_of(advance(ledger, says(worse, half), START + 120 * MINUTE), ERRORS).single > 30


def test_crashes_of_a_node_that_comes_back_after_its_agent_started_again_are_counted_once() -> None:
    reading = replace(NOTHING, rules=(CRASHES,))
    ledger = advance(begun(reading), says({"b": line(1000, crashes=3)}, reading), START + MINUTE)
    ledger = advance(ledger, says({"b": line(50, instance="2")}, replace(WIDER, rules=(CRASHES,))), START + 2 * MINUTE)
    ledger = advance(ledger, says({"b": line(10, crashes=3, instance="2")}, reading), START + 3 * MINUTE)
    assert seen(ledger, CRASHES) == (0, 50, 3, 1010)


def test_a_canary_that_leaves_the_fleet_stays_counted() -> None:
    ledger = advance(begun(), says({"a": line(100, 5), "b": line(200, 3)}), START + MINUTE)
    left = replace(NOTHING, candidates=frozenset("b"), others=frozenset("cd"))
    assert seen(advance(ledger, says({"b": line(10)}, left), START + 2 * MINUTE))[:2] == (5, 110)


def test_a_new_attempt_begins_at_zero_with_what_the_nodes_did_before() -> None:
    ledger = advance(begun(), says({"a": line(100, 50), "b": line(200, 2), "c": line(200, 20)}), START + MINUTE)
    third = replace(NOTHING, attempt=3, candidate="v3")
    ledger = advance(ledger, says({"b": line(30, 1)}, third), START + 2 * MINUTE)
    assert seen(ledger) == (0, 0, 1, 30)
    expected = {node: ledger.nodes[node].baseline[0][0] for node in NODES}
    assert expected["b"] < expected["a"] == expected["d"] < expected["c"], "what a counted for the candidate is not its history"


def test_baselines_are_frozen_when_the_attempt_begins() -> None:
    ledger = begun(a=1000, b=100)
    before = {node: record.baseline for node, record in ledger.nodes.items()}
    ledger = advance(ledger, says({"b": line(10_000, 9000)}), START + MINUTE)
    assert {node: record.baseline for node, record in ledger.nodes.items()} == before


def test_history_is_halved_every_day() -> None:
    ledger = begun(b=10_000)
    assert history_of(ledger, ERRORS) == 10_000
    assert history_of(advance(ledger, says({"b": line(100)}), START + timedelta(days=1)), ERRORS) == 5100


def test_rare_events_are_forgotten_as_fast_as_frequent_ones_however_often_it_is_counted() -> None:
    ledger = begun(b=50)
    for count in range(1, 2880 + 1):
        ledger = advance(ledger, says({}), START + count * timedelta(seconds=30))
    ((bad, events),) = ledger.nodes["b"].history
    assert bad == pytest.approx(5 / 2, rel=1e-3)
    assert events == pytest.approx(50 / 2, rel=1e-3)


def test_the_history_of_a_promoted_version_is_what_it_counted_as_the_candidate() -> None:
    ledger = advance(begun(b=10_000), says({"a": line(100, 5), "b": line(200, 3)}), START + MINUTE)
    promoted = replace(NOTHING, stable="v2", candidate="", candidates=frozenset(), others=frozenset(NODES))
    ledger = advance(ledger, says({"a": line(7), "b": line(9)}, promoted), START + MINUTE)
    assert {node: ledger.nodes[node].history[0][1] for node in NODES} == {"a": 107, "b": 9, "c": 0, "d": 0}


def test_a_guardrail_that_is_added_counts_from_then_on() -> None:
    ledger = advance(begun(), says({"a": line(100, 5, 3), "b": line(200, 3)}), START + MINUTE)
    both = replace(NOTHING, rules=(CRASHES, ERRORS), served=lambda: {"b": Counted(counts={"requests": 300, "crashes": 1})})
    ledger = advance(ledger, says({"a": line(100, 5, 3), "b": line(200, 3)}, both), START + MINUTE)
    assert seen(ledger) == (5, 100, 3, 200)
    assert seen(ledger, CRASHES) == (0, 0, 0, 0)
    assert history_of(ledger, CRASHES) == 300
    ledger = advance(ledger, says({"a": line(150, 5, 4)}, both), START + 2 * MINUTE)
    assert seen(ledger, CRASHES)[:2] == (1, 50)


def test_a_guardrail_may_be_added_while_a_new_node_has_said_nothing() -> None:
    both = replace(NOTHING, rules=(CRASHES, ERRORS), others=frozenset("bcde"))
    ledger = advance(advance(begun(), says({}, both), START + MINUTE), says({"e": line(10, 1)}, both), START + 2 * MINUTE)
    assert seen(ledger) == (0, 0, 1, 10)


def test_a_ledger_that_is_lost_begins_with_the_counters_as_they_are() -> None:
    reading = says({"a": line(100, 5), "b": line(200, 3)}, served=lambda: {"b": line(200, 3).counted})
    ledger = advance(None, reading, START)
    assert seen(ledger) == (0, 0, 0, 0)
    assert seen(advance(ledger, says({"a": line(160, 6), "b": line(210, 3)}), START + MINUTE)) == (1, 60, 0, 10)


def durations(bucket: int, requests: int) -> Counted:
    buckets = [0] * BUCKETS
    buckets[bucket] = requests
    return Counted(histograms={PREDICT: Histogram(buckets=tuple(buckets))})


def test_what_is_slow_is_fixed_once_the_stable_version_had_enough_requests() -> None:
    reading = replace(NOTHING, rules=(LATENCY,), lines={"a": Line("1", durations(60, 10))}, served=dict)
    ledger = advance(None, reading, START)
    assert evidence_of(ledger, LATENCY).over_ms is None
    ledger = advance(ledger, replace(reading, served=lambda: {"b": durations(40, 100)}), START + MINUTE)
    assert evidence_of(ledger, LATENCY).over_ms == 6.4
    later = replace(reading, lines={"a": Line("1", durations(60, 15))}, served=lambda: {"b": durations(90, 1000)})
    ledger = advance(ledger, later, START + 2 * MINUTE)
    assert evidence_of(ledger, LATENCY).over_ms == 6.4, "it stays"
    assert seen(ledger, LATENCY)[:2] == (5, 5)


LAST = replace(NOTHING, step=2, candidates=frozenset(NODES), others=frozenset())


def test_with_every_node_on_the_candidate_it_is_compared_with_the_history() -> None:
    ledger = begun(a=1000, b=1000, c=1000, d=1000)
    worse = advance(ledger, says({node: line(400, 200) for node in NODES}, LAST), START + MINUTE)
    found = evidence_of(worse, ERRORS)
    assert (found.frozen, found.stable.bad, round(found.stable.events, -1)) == (True, 400, 4000)
    assert shown(found) > 5
    same = evidence_of(advance(ledger, says({node: line(400, 40) for node in NODES}, LAST), START + MINUTE), ERRORS)
    assert shown(same) < 0


def test_no_part_of_the_history_is_compared_with_twice() -> None:
    ledger = begun(a=100, b=100, c=100, d=100)
    for minute in range(1, 5):
        ledger = advance(ledger, says({node: line(100 * minute, 50 * minute) for node in NODES}, LAST), START + minute * MINUTE)
    (guard,) = ledger.guards
    assert guard.frozen is not None
    assert (guard.frozen.weight, guard.frozen.whole.events) == (0, 400)
    before = guard.ratio
    ledger = advance(ledger, says({node: line(500, 250) for node in NODES}, LAST), START + 5 * MINUTE)
    assert ledger.guards[0].ratio == before, "nothing is left to compare with"


@pytest.mark.parametrize("broken", [False, True], ids=["no node broke", "a stable node broke"])
def test_what_was_compared_in_the_steps_is_compared_again_only_when_all_from_before_is_used_up(broken: bool) -> None:
    ledger = begun(a=100, b=100, c=100, d=100)
    for minute in (1, 2):
        lines = {node: line(50 * minute, 5 * minute) for node in NODES} | ({"b": line(50 * minute, 50 * minute)} if broken else {})
        ledger = advance(ledger, says(lines), START + minute * MINUTE)
    kept = {"a": line(100, 10)}
    frozen = advance(ledger, says(kept, LAST), START + 3 * MINUTE).guards[0].frozen
    assert frozen is not None
    assert frozen.whole.events == 699
    assert (frozen.bad, frozen.weight) == pytest.approx((40.0, 40.0), rel=0.05)
    assert frozen.again == pytest.approx((120.0 if broken else 30.0, 30.0), rel=0.05)
    late = says({node: line(300 if node == "a" else 200, 20) for node in NODES}, LAST)
    used_up = advance(ledger, late, START + 3 * MINUTE)
    left = used_up.guards[0].frozen
    assert left is not None
    assert (left.weight, left.again) == (0, frozen.again)
    later = advance(used_up, says({"b": line(260, 26)}, LAST), START + 4 * MINUTE).guards[0].frozen
    assert later is not None
    assert later.weight == pytest.approx(frozen.again[1] - 6, rel=0.05)
    assert later.again == (0, 0)


def test_the_drift_of_the_stable_nodes_is_allowed_for_in_the_last_step_too() -> None:
    """Evidence that was held back by a measured drift once counted in full as soon as no stable node was left."""
    names = [f"n{number:02}" for number in range(20)]
    reading = replace(NOTHING, candidates=frozenset(names[:2]), others=frozenset(names[2:]))
    ledger = begun(reading, **dict.fromkeys(names, 10_000))
    lines = {name: line(5000, 100 if place % 2 else 1500) for place, name in enumerate(names)}
    ledger = advance(ledger, says(lines, reading), START + MINUTE)
    before = evidence_of(ledger, ERRORS)
    last = replace(LAST, candidates=frozenset(names))
    ledger = advance(ledger, says({name: lines[name] for name in names[:2]}, last), START + 2 * MINUTE)
    frozen = ledger.guards[0].frozen
    assert frozen is not None
    assert frozen.drift is not None
    assert frozen.drift > 0.2
    after = evidence_of(ledger, ERRORS)
    assert after.spread == pytest.approx(before.spread, rel=1e-4), "what was compared with those nodes is still in the test"
    assert before.drift is not None
    assert 0.5 < before.drift < 1.5, "half of the stable nodes fell to a fifth, the others tripled"
    assert after.drift is None, "no node is left to measure it on"


def shown(found: GuardEvidence) -> float:
    """Evidence that the candidate is worse, in nats."""
    test = RatioTest(1.5)
    return float(test.worse(state_of(test, found.ratio), found.spread))


def test_one_busy_node_does_not_hide_nine_that_fail() -> None:
    canaries = [f"canary-{n}" for n in range(10)]
    others = [f"other-{n}" for n in range(90)]
    reading = replace(NOTHING, candidates=frozenset(canaries), others=frozenset(others))
    ledger = advance(
        None,
        replace(reading, served=lambda: dict.fromkeys([*canaries, *others], Counted(counts={"requests": 10_000, "errors": 100}))),
        START,
    )
    lines = {
        "canary-0": line(500_000, 5000),
        **{node: line(100, 100) for node in canaries[1:]},
        **{node: line(100_000, 1000) for node in others},
    }
    found = evidence_of(advance(ledger, says(lines, reading), START + MINUTE), ERRORS)
    assert found.candidate.share < 1.5 * found.stable.share
    assert found.single > 100
    healthy = lines | {node: line(100, 1) for node in canaries[1:]}
    assert evidence_of(advance(ledger, says(healthy, reading), START + MINUTE), ERRORS).single < 0


readings = st.lists(
    st.tuples(st.sampled_from(NODES), st.integers(0, 50), st.integers(0, 5), st.booleans(), st.booleans(), st.booleans()), max_size=30
)


@given(readings)
def test_whatever_starts_again_and_whatever_is_not_written_no_event_is_lost_or_doubled(
    story: list[tuple[str, int, int, bool, bool, bool]],
) -> None:
    """Agents start again, the operator dies before it writes, and gateways repeat what they heard."""
    stored = begun()
    counted = dict.fromkeys(NODES, (0, 0))
    process = dict.fromkeys(NODES, 0)
    said: dict[str, Line] = {}
    whole = {"candidate": [0, 0], "stable": [0, 0]}
    now = START
    for node, requests, errors, restarts, written, repeated in story:
        now += timedelta(seconds=5)
        if restarts:
            # What a process counted after its last report that was kept is gone with it, so the ledger has to have read it.
            stored = advance(stored, says(said), now)
            process[node], counted[node] = process[node] + 1, (0, 0)
        before = counted[node]
        counted[node] = (before[0] + errors, before[1] + requests + errors)
        cohort = whole["candidate" if node == "a" else "stable"]
        cohort[0], cohort[1] = cohort[0] + errors, cohort[1] + requests + errors
        said[node] = line(counted[node][1], counted[node][0], instance=str(process[node]))
        found = advance(stored, says(said), now)
        if repeated:
            found = advance(found, says(said), now + timedelta(seconds=1))
        assert seen(found) == (*whole["candidate"], *whole["stable"])
        stored = found if written else stored
