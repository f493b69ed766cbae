"""Evidence that does not fit into its ConfigMap, even without what the nodes counted before: a part of the nodes is counted."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from bramble.contracts.counters import Cohort
from bramble.guardrails.base import Rule
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import evidence_of
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import KEY, ledger_name, read_ledger, render
from bramble.kinds.rollout.losses import Silence, Silences
from bramble.kinds.rollout.observed import StoredLedger
from bramble.kinds.rollout.reading import Reading
from bramble.kinds.rollout.status import progressing
from tests.unit.rollout.rows import UID, canaries, observed, with_candidate
from tests.unit.rollout.test_counting import MINUTE, START, line

ERRORS = Rule(metric="errors", max_ratio=1.5, min_events=100, min_nodes=1)
NAMES = tuple(f"living-room-{number}.example.org" for number in range(300))
CANARIES = frozenset(NAMES[::3])
LIMIT = 4_500
"""Bytes. More than half of the nodes fit, and not all."""


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bramble.kinds.rollout.ledger_store.LIMIT", LIMIT)


def says(minutes: int, **more: object) -> Reading:
    """Every node answers 60 requests a minute."""
    watched: dict[str, Cohort | None] = {name: "candidate" if name in CANARIES else "stable" for name in NAMES}
    reading = Reading(UID, attempt=2, stable="v1", candidate="v2", rules=(ERRORS,), candidates=CANARIES, others=frozenset(NAMES) - CANARIES)
    lines = {name: line(60 * minutes, instance=f"process of {name}") for name in NAMES}
    return replace(reading, lines=lines, silences=Silences(CANARIES, watched), **more)  # type: ignore[arg-type]


def stored(ledger: Ledger) -> Ledger:
    manifest = render(ledger, observed().metadata, "bramble-system")
    assert len(base64.b64decode(manifest["binaryData"][KEY])) <= LIMIT
    found = read_ledger(manifest)
    assert found is not None
    return found


def begun() -> Ledger:
    """It was written after ten minutes."""
    return stored(advance(advance(None, says(0), START), says(10), START + 10 * MINUTE))


def test_a_part_of_the_nodes_of_both_cohorts_is_kept() -> None:
    ledger = begun()
    assert 0.3 < ledger.part < 0.9
    assert set(ledger.nodes) == set(filter(ledger.is_counted, NAMES)) == set(ledger.losses.nodes)
    mine = sum(node.cohort == "candidate" for node in ledger.nodes.values())
    assert mine / len(ledger.nodes) == pytest.approx(1 / 3, abs=0.1)


def test_what_the_other_nodes_counted_later_is_left_out_and_nothing_is_counted_twice() -> None:
    ledger = begun()
    before, kept = evidence_of(ledger, ERRORS), len(ledger.nodes)
    assert before.candidate.events + before.stable.events == 600 * len(NAMES)
    for minutes in (12, 14, 17, 20):
        ledger = stored(advance(ledger, says(minutes), START + minutes * MINUTE))
    after = evidence_of(ledger, ERRORS)
    assert len(ledger.nodes) <= kept
    assert after.candidate.events + after.stable.events == pytest.approx(600 * (len(NAMES) + kept), rel=0.01)
    assert 0 < after.candidate.nodes < len(CANARIES)


def test_what_they_lose_is_left_out_as_well() -> None:
    ledger = begun()
    counted, other = (next(name for name in sorted(CANARIES) if ledger.is_counted(name) is wanted) for wanted in (True, False))
    reading = says(11)
    watched = {name: cohort for name, cohort in reading.silences.watched.items() if name not in (counted, other)}
    silent = {name: Silence(40.0, on_candidate=True, on_stable=False) for name in (counted, other)}
    losses = advance(ledger, replace(reading, silences=Silences(CANARIES, watched, silent)), START + 11 * MINUTE).losses
    assert [name for name, node in losses.nodes.items() if node.away] == [counted]


def test_the_next_attempt_counts_every_node_again_as_long_as_that_fits() -> None:
    ledger = advance(begun(), says(0, attempt=3), START + timedelta(hours=1))
    assert (ledger.part, set(ledger.nodes)) == (1.0, set(NAMES))
    found = evidence_of(advance(ledger, says(5, attempt=3), START + timedelta(hours=2)), ERRORS)
    assert found.candidate.events + found.stable.events == 300 * len(NAMES)


def test_the_status_says_how_many_nodes_are_left_out() -> None:
    seen = with_candidate(canaries("a"))
    assert seen.stored_ledger is not None
    assert seen.stored_ledger.ledger is not None
    ledger = seen.stored_ledger.ledger.model_copy(update={"part": 0.5})
    left_out = sum(not ledger.is_counted(node) for node in seen.fleet.nodes)
    assert 0 < left_out < len(seen.fleet.nodes), "another name of a node is needed here"
    manifest = {**seen.stored_ledger.manifest, **render(ledger, seen.metadata, "bramble-system")}
    assert manifest["metadata"]["name"] == ledger_name(UID)
    seen = replace(with_candidate(canaries("a")), stored_ledger=StoredLedger("uid", manifest))
    told = next(each.message for each in progressing(seen, "Baking", "").conditions if each.type == "Analysable")
    assert f"so {left_out} of {len(seen.fleet.nodes)} nodes are not counted in this attempt" in told
