"""A leader whose wall clock was ahead hides nothing from the leader after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bramble.evidence.rise import first_hour, kept
from bramble.guardrails.base import Rule
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import evidence_of, lost_evidence
from bramble.kinds.rollout.ledger import GrowthGuard, Ledger, LossLedger, NodeLosses, NodeRecord, OpenMoment, Sums, Watch
from bramble.kinds.rollout.reading import Reading
from bramble.kinds.rollout.wall_clock import set_back
from tests.unit.rollout.test_counting import START, line
from tests.unit.rollout.test_loss_counting import HOUR, MINUTE, Fleet

DAY = timedelta(days=1)
NOW, AHEAD = 1_000_000, 86_400
ERRORS = Rule(metric="errors", max_ratio=1.5, min_events=1, min_nodes=1)


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=10), DAY], ids=str)
def test_canaries_that_reboot_after_an_attempt_that_began_under_a_clock_that_was_ahead_are_all_counted(ahead: timedelta) -> None:
    fleet = Fleet(5, 15)
    fleet.read(10 * MINUTE)
    fleet.attempt = 3
    fleet.read(ahead)
    fleet.now -= ahead
    fleet.watch(2 * HOUR)
    for name in sorted(fleet.canaries):
        fleet.lose(name)
        fleet.read(8 * MINUTE)
    assert fleet.losses == (5, 0)
    assert lost_evidence(fleet.ledger).seconds == pytest.approx((2 * HOUR + 50 * MINUTE).total_seconds(), abs=660)


def test_a_node_that_was_lost_under_such_a_clock_is_counted_again_after_its_hour() -> None:
    fleet = Fleet(5, 15)
    fleet.read(10 * MINUTE)
    fleet.now += DAY
    fleet.read()
    fleet.lose("n000")
    fleet.now -= DAY
    fleet.interrupted.clear()
    fleet.watch(2 * HOUR)
    fleet.lose("n000")
    assert fleet.losses == (2, 0)


def test_a_node_that_was_read_under_such_a_clock_is_counted_on() -> None:
    reading = Reading("uid", attempt=2, stable="v1", candidate="v2", rules=(ERRORS,), candidates=frozenset("a"), others=frozenset("b"))
    ledger = advance(advance(None, reading, START), replace(reading, lines={"a": line(10)}), START + DAY)
    ledger = advance(ledger, reading, START + MINUTE)
    many = 5_000_000
    ledger = advance(ledger, replace(reading, lines={"a": line(many)}), START + MINUTE + timedelta(minutes=9))
    assert evidence_of(ledger, ERRORS).candidate.events == many


def test_every_time_of_a_ledger_that_is_to_come_is_set_back_and_no_other() -> None:
    def ledger(at: int, later: int, earlier: int) -> Ledger:
        sums = Sums(began=later, logs=kept(first_hour()))
        watch = Watch(metric="errors", max_ratio=1.5, began=later, own_test=sums, allowed_test=sums, limit_test=None)
        return Ledger(
            rollout_uid="uid",
            attempt=1,
            at=at,
            began=later,
            losses=LossLedger(moment=OpenMoment(began=later, share=0.5), nodes={"a": NodeLosses(at=later), "b": NodeLosses(at=earlier)}),
            growth=(GrowthGuard(metric="memory", allowed_growth=1.0, ready_at=later), GrowthGuard(metric="memory", allowed_growth=2.0)),
            watches=(watch,),
            nodes={"a": NodeRecord(at=later), "b": NodeRecord(at=earlier), "c": NodeRecord()},
        )

    assert set_back(ledger(NOW + AHEAD, NOW + AHEAD - 50, NOW - 7), NOW) == ledger(NOW, NOW - 50, NOW - 7)
    right = ledger(NOW, NOW - 50, NOW - 7)
    assert set_back(right, NOW) == right
