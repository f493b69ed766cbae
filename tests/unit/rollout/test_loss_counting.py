"""How the ledger counts nodes that fall silent: every loss once, whatever starts again, and losses of one moment together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bramble.contracts.counters import Cohort
from bramble.guardrails.evidence import Away
from bramble.kinds.rollout.analysis import ALWAYS, ErrorRates, judge
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.counts import lost_evidence
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.losses import Silence, Silences
from bramble.kinds.rollout.reading import Reading

row = pytest.param
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RATES = ErrorRates(false_rollback=0.01, false_promotion=0.05)


class Fleet:
    """A fleet whose first nodes are canaries of attempt 2; passes and losses as the operator sees them."""

    def __init__(self, canaries: int, stable: int, site: int = 10) -> None:
        """`site`: how many nodes a site has."""
        self.names = [f"n{number:03}" for number in range(canaries + stable)]
        self.canaries, self.others = frozenset(self.names[:canaries]), frozenset(self.names[canaries:])
        self.sites = {name: (str(number // site),) for number, name in enumerate(self.names)}
        self.departed: frozenset[str] = frozenset()
        self.forgotten: frozenset[str] = frozenset()
        self.silent: dict[str, datetime] = {}
        self.interrupted: dict[str, datetime] = {}
        self.now, self.candidate, self.attempt, self.first = START, "v2", 2, ""
        self.ledger = advance(None, self.reading(), START)

    def reading(self) -> Reading:
        members = self.canaries | self.departed if self.candidate else frozenset[str]()
        everyone = (self.canaries | self.others | self.departed) - self.forgotten
        cohorts: dict[str, Cohort] = {name: "candidate" if name in members else "stable" for name in everyone}

        def of(name: str, began: datetime) -> Silence:
            return Silence((self.now - began).total_seconds(), cohorts[name] == "candidate", cohorts[name] == "stable")

        silent = {name: of(name, began) for name, began in self.silent.items() if name not in self.forgotten}
        lost = {name: each for name, each in silent.items() if (each.seconds or 0) > 30}
        seen = Silences(
            members=members,
            watched={name: cohort for name, cohort in cohorts.items() if name not in lost},
            silent={**lost, **{name: Silence(None, on_candidate=False, on_stable=False) for name in self.forgotten}},
            interrupted={name: of(name, began) for name, began in self.interrupted.items() if self.now - began < HOUR},
            sites=self.sites,
        )
        reading = Reading("uid", attempt=self.attempt, stable=self.first or "v1", candidate=self.candidate, silences=seen)
        return replace(reading, candidates=self.canaries if self.candidate else frozenset(), others=self.others)

    def read(self, wait: timedelta = MINUTE) -> Ledger:
        """A pass after a while, whose ledger is stored."""
        self.now += wait
        self.ledger = advance(self.ledger, self.reading(), self.now)
        return self.ledger

    def watch(self, time: timedelta) -> None:
        """Pass after pass, with the pace of the ledger while nothing happens."""
        for _ in range(int(time / (10 * MINUTE))):
            self.read(10 * MINUTE)

    def lose(self, *names: str, back: bool = True) -> None:
        """These nodes fall silent now, and are seen to be lost a minute later; `back`: for a minute only."""
        for name in names:
            self.silent[name] = self.now
        self.read()
        if back:
            for name in names:
                self.interrupted[name] = self.silent.pop(name)
            self.read()

    @property
    def losses(self) -> tuple[int, int]:
        found = lost_evidence(self.ledger)
        return found.candidate.bad, found.stable.bad

    @property
    def verdict(self) -> str:
        return judge(ALWAYS, (lost_evidence(self.ledger),), RATES).verdict


def test_a_loss_is_counted_once_however_often_it_is_seen() -> None:
    fleet = Fleet(2, 8)
    fleet.read(10 * MINUTE)
    fleet.lose("n000", "n005", back=False)
    once = fleet.ledger
    assert fleet.losses == (1, 1)
    assert advance(once, fleet.reading(), fleet.now) == once, "the same pass again"
    fleet.watch(2 * HOUR)
    assert fleet.losses == (1, 1), "they are silent for long"
    fleet.interrupted["n000"] = fleet.silent.pop("n000")
    fleet.interrupted["n005"] = fleet.silent.pop("n005")
    fleet.watch(2 * HOUR)
    assert fleet.losses == (1, 1), "they are back"
    fleet.lose("n000")
    assert fleet.losses == (2, 1), "another loss"


def test_a_pass_whose_ledger_was_not_stored_changes_nothing() -> None:
    """The loss is seen in a pass that dies, and again in the pass after it."""
    one, two = Fleet(2, 8), Fleet(2, 8)
    for fleet in (one, two):
        fleet.read(10 * MINUTE)
        fleet.silent["n000"] = fleet.now
    one.now += MINUTE
    advance(one.ledger, one.reading(), one.now)
    assert one.read() == two.read(2 * MINUTE)


def test_operator_and_gateway_start_again_while_a_canary_is_silent() -> None:
    fleet = Fleet(2, 8)
    fleet.read(10 * MINUTE)
    fleet.forgotten = frozenset({"n000", "n005"})
    fleet.read()
    assert fleet.losses == (1, 1)
    fleet.watch(3 * HOUR)
    assert fleet.losses == (1, 1)
    fleet.forgotten = frozenset()
    fleet.read()
    assert fleet.losses == (1, 1), "they answer again"
    assert lost_evidence(fleet.ledger).away == Away(canaries=2, others=8)


def test_a_canary_that_falls_silent_stays_counted_when_it_leaves_the_fleet() -> None:
    fleet = Fleet(4, 16)
    fleet.read(10 * MINUTE)
    fleet.lose("n000", "n001", back=False)
    fleet.canaries, fleet.departed = fleet.canaries - {"n000", "n001"}, frozenset({"n000", "n001"})
    fleet.watch(HOUR)
    assert fleet.losses == (2, 0)
    assert lost_evidence(fleet.ledger).away == Away(candidate=2, canaries=4, others=16)
    assert fleet.verdict == "Fail"


@pytest.mark.parametrize(
    ("lost", "share"),
    [
        row(("n000",), 1, id="one canary"),
        row(("n000", "n001"), 1, id="two canaries of one site count as one"),
        row(("n000", "n011"), 2, id="two canaries of different sites"),
        row(("n000", "n001", "n002", "n003", "n004", "n005"), 6, id="more canaries of one site than that is believed of"),
        row(("n000", "n050"), 1, id="a canary and a stable node"),
        row(("n000", "n001", "n050", "n051", "n052", "n053"), 0.5, id="a site of two canaries and four stable nodes"),
    ],
)
def test_losses_of_one_moment(lost: tuple[str, ...], share: float) -> None:
    fleet = Fleet(20, 80)
    fleet.watch(HOUR)
    fleet.lose(*lost)
    fleet.watch(HOUR)
    fleet.lose("n079")
    counted = sum(node.candidate[0] for node in fleet.ledger.losses.nodes.values())
    assert counted == pytest.approx(share, abs=1e-5)
    assert fleet.losses == (sum(name in fleet.canaries for name in lost), len(lost) - sum(name in fleet.canaries for name in lost) + 1)


@pytest.mark.parametrize(
    ("fourth", "expected"),
    [row(50, 1 / 3, id="four losses of one moment"), row(110, 1 / 2, id="three losses of one moment, and another one")],
)
def test_losses_of_one_moment_weigh_the_same_in_whatever_passes_they_are_seen(fourth: int, expected: float) -> None:
    together, apart = Fleet(10, 90), Fleet(10, 90)
    for fleet in (together, apart):
        fleet.watch(HOUR)
        for name, seconds in (("n000", 0), ("n050", 20), ("n051", 40), ("n052", fourth)):
            fleet.silent[name] = START + HOUR + timedelta(seconds=seconds)
    for seconds in (35, 40, fourth):
        apart.read(timedelta(seconds=seconds))
    together.read(timedelta(seconds=75 + fourth))
    for fleet in (together, apart):
        fleet.read(HOUR)
        fleet.lose("n099")
        assert fleet.ledger.losses.nodes["n000"].candidate[0] == pytest.approx(expected, abs=1e-5)
    # Only pass by pass it is known that a canary is away when the next moment begins.
    assert lost_evidence(together.ledger).ratio == pytest.approx(lost_evidence(apart.ledger).ratio, abs=0.1)


@pytest.mark.parametrize(("later", "share"), [row(20 * MINUTE, 0.5, id="within its hour"), row(2 * HOUR, 0.4, id="after it")])
def test_a_node_whose_loss_would_not_be_counted_is_not_among_those_that_may_be_lost(later: timedelta, share: float) -> None:
    fleet = Fleet(2, 3)
    fleet.watch(HOUR)
    fleet.lose("n004")
    fleet.watch(later)
    fleet.lose("n000", back=False)
    assert fleet.ledger.losses.moment is not None
    assert fleet.ledger.losses.moment.share == pytest.approx(share)


def test_a_canary_that_flaps_does_not_decide_alone() -> None:
    fleet = Fleet(10, 90)
    fleet.watch(HOUR)
    for _ in range(24):
        fleet.lose("n000")
        fleet.read(28 * MINUTE)
    assert fleet.losses == (8, 0), "it is not counted again within an hour"
    assert fleet.verdict != "Fail"


def test_a_new_attempt_counts_anew_and_knows_how_often_nodes_were_lost_before() -> None:
    fleet = Fleet(10, 90)
    for _ in range(4):
        fleet.watch(2 * HOUR)
        fleet.lose("n050", "n000")
    assert fleet.losses == (4, 4)
    fleet.attempt = 3
    fleet.read()
    assert fleet.losses == (0, 0)
    rates = {name: node.baseline[0] for name, node in fleet.ledger.losses.nodes.items()}
    assert rates["n050"] > 2 * rates["n051"], "it was lost more often than others"
    assert fleet.ledger.losses.nodes["n000"].history == (0.0, 0.0), "what a canary did for a version that was undone is no history"


def test_a_node_that_was_silent_before_the_attempt_is_no_loss_of_it() -> None:
    fleet = Fleet(10, 90)
    fleet.candidate = ""
    fleet.lose("n050", "n000", back=False)
    fleet.candidate, fleet.attempt = "v2", 3
    fleet.watch(HOUR)
    assert fleet.losses == (0, 0)


def test_nodes_that_are_switched_off_all_the_time_do_not_hide_canaries_that_die() -> None:
    fleet = Fleet(2, 18)
    fleet.forgotten, fleet.attempt = frozenset(fleet.names[10:]), 3
    fleet.watch(HOUR)
    assert fleet.losses == (0, 0)
    fleet.lose("n000", "n001", back=False)
    assert lost_evidence(fleet.ledger).away == Away(candidate=2, canaries=2, others=8)
    assert fleet.verdict == "Fail"


def test_what_nodes_did_with_a_version_that_is_promoted_is_history() -> None:
    fleet = Fleet(10, 90)
    fleet.watch(HOUR)
    fleet.lose("n000")
    fleet.first, fleet.candidate = "v2", ""
    fleet.read(timedelta(seconds=1))
    bad, minutes = fleet.ledger.losses.nodes["n000"].history
    assert bad == pytest.approx(1, abs=0.01)
    assert minutes == pytest.approx(62, abs=3)


def last_step(fleet: Fleet) -> None:
    """Every node gets the candidate."""
    fleet.canaries, fleet.others = fleet.canaries | fleet.others, frozenset()
    fleet.read()


@pytest.mark.parametrize("at_work", [True, False], ids=["the fleet has a history", "the evidence is an hour old"])
def test_a_site_without_network_in_the_last_step_undoes_nothing(at_work: bool) -> None:
    fleet = Fleet(10, 90, site=20)
    fleet.watch(DAY if at_work else HOUR)
    last_step(fleet)
    fleet.watch(HOUR)
    fleet.lose(*fleet.names[40:60], back=False)
    assert fleet.losses == (20, 0)
    assert fleet.verdict == "Pass"
    fleet.watch(2 * HOUR)
    assert fleet.verdict == "Pass"


def test_a_version_that_silences_its_nodes_one_by_one_in_the_last_step_is_found() -> None:
    fleet = Fleet(10, 90)
    fleet.watch(2 * DAY)
    last_step(fleet)
    died = 0
    while fleet.verdict != "Fail" and died < 60:
        fleet.lose(fleet.names[died], back=False)
        fleet.read(4 * MINUTE)
        died += 1
    assert died < 20


def test_a_version_that_reboots_its_canaries_one_by_one_is_found() -> None:
    """Each gives the version up and is passed over, and another takes its place."""
    fleet = Fleet(2, 18)
    fleet.watch(HOUR)
    rebooted = 0
    while fleet.verdict != "Fail" and rebooted < 18:
        name = fleet.names[rebooted]
        fleet.interrupted[name] = fleet.now
        fleet.read(timedelta(seconds=20))
        fleet.canaries, fleet.others = (
            fleet.canaries - {name} | {fleet.names[rebooted + 2]},
            fleet.others - {fleet.names[rebooted + 2]} | {name},
        )
        fleet.watch(30 * MINUTE)
        rebooted += 1
    assert rebooted <= 8


def events(random: np.random.Generator, fleet: Fleet, days: int, weekly: float) -> Iterable[tuple[float, str]]:
    """When each node reboots, in seconds: at any time, so often a week."""
    found = [(float(at), name) for name in fleet.names for at in random.uniform(0, days * 86400, random.poisson(weekly * days / 7))]
    return sorted(found)


@pytest.mark.parametrize(("canaries", "stable"), [(1, 9), (2, 18), (10, 90)])
def test_weekly_reboots_undo_at_most_one_attempt_in_a_hundred(canaries: int, stable: int) -> None:
    """Each node reboots once a week and is away for 90 seconds; each attempt takes a day."""
    random, undone, runs = np.random.default_rng(7), 0, 100
    for _ in range(runs):
        fleet = Fleet(canaries, stable)
        for at, name in events(random, fleet, 1, 1.0):
            began = START + timedelta(seconds=at)
            if began + timedelta(seconds=31) > fleet.now:
                fleet.silent = {other: since for other, since in fleet.silent.items() if began - since < timedelta(seconds=90)}
                fleet.silent[name] = began
                fleet.read(began + timedelta(seconds=31) - fleet.now)
                if name in fleet.canaries and fleet.verdict == "Fail":
                    undone += 1
                    break
    assert undone <= runs // 100


def test_a_planned_reboot_of_the_whole_fleet_undoes_nothing() -> None:
    """Site after site, ten minutes each, as a maintenance window does."""
    fleet = Fleet(10, 90)
    fleet.sites = {name: (str(number % 10),) for number, name in enumerate(fleet.names)}
    fleet.watch(HOUR)
    for site in range(10):
        fleet.lose(*(name for name in fleet.names if fleet.sites[name] == (str(site),)))
        fleet.read(8 * MINUTE)
        assert fleet.verdict == "Pass"
    assert fleet.losses == (10, 90)


def test_a_fleet_that_loses_no_node_is_never_held_up() -> None:
    fleet = Fleet(1, 3)
    assert fleet.verdict == "Pass"
    fleet.watch(HOUR)
    assert fleet.verdict == "Pass"


def test_losses_that_hold_a_step_age() -> None:
    fleet = Fleet(10, 90)
    fleet.watch(HOUR)
    for name in ("n000", "n001", "n002"):
        fleet.lose(name)
        fleet.read(10 * MINUTE)
    assert fleet.verdict == "Undecided"
    fleet.watch(30 * HOUR)
    assert fleet.verdict == "Pass"
