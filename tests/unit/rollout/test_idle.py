"""A candidate node that should have had events, and had none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import evidence_of
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import read_ledger, render
from bramble.kinds.rollout.looks import events_in, in_half_octaves
from tests.unit.rollout.rows import observed
from tests.unit.rollout.test_counting import ERRORS, NOTHING, START, begun, line, says

DAY = timedelta(days=1)


def idle(ledger: Ledger) -> int:
    return evidence_of(ledger, ERRORS, NOTHING.candidates).idle


def test_what_a_candidate_node_should_have_had_does_not_fade_while_the_attempt_lasts() -> None:
    ledger = begun(a=1000, b=1000, c=1000, d=1000)
    for day in range(1, 30):
        ledger = advance(ledger, says({name: line(100 * day) for name in "bcd"} | {"a": line(0)}), START + day * DAY)
        assert idle(ledger) == 1, day


@pytest.mark.parametrize(
    ("before", "found"),
    [pytest.param(500, 1, id="a tenth of it is fifty"), pytest.param(49, 0, id="a tenth of it is less than five")],
)
def test_it_is_what_the_node_had_before_times_what_the_stable_nodes_had_since(before: int, found: int) -> None:
    ledger = begun(a=before, b=1000, c=1000, d=1000)
    ledger = advance(ledger, says({name: line(100) for name in "bcd"} | {"a": line(0)}), START + DAY)
    assert idle(ledger) == found


def test_a_guardrail_that_is_added_later_expects_nothing_of_nodes_whose_agents_counted_nothing_since_they_started() -> None:
    crashes = ERRORS.model_copy(update={"metric": "crashes"})
    ledger = advance(begun(a=1000, b=1000, c=1000, d=1000), replace(NOTHING, rules=(ERRORS, crashes)), START + DAY)
    assert [list(map(events_in, node.before)) for node in ledger.nodes.values()] == [[1024.0, 0.0]] * 4


def test_in_an_attempt_that_a_former_operator_began_it_is_what_the_history_was_when_it_was_first_read() -> None:
    ledger = begun(a=1000, b=1000, c=1000, d=1000)
    former = {name: node.model_copy(update={"before": ()}) for name, node in ledger.nodes.items()}
    read = read_ledger(render(ledger.model_copy(update={"nodes": former}), observed().metadata, "bramble-system"))
    assert read == ledger


@pytest.mark.parametrize("events", [0, 0.4, 1, 2, 49, 1000, 3e5, 7e11])
def test_how_many_events_a_node_had_is_kept_to_within_a_fifth(events: float) -> None:
    assert events_in(in_half_octaves((0.0, events))) == pytest.approx(events if events >= 1 else 0, rel=0.2)
