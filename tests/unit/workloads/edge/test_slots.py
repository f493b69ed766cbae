"""What a device remembers: newer assignments, attempts and deaths, and a state machine that never loses its way back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bramble.contracts.assignment import Assignment
from bramble_workloads.edge.assignment.decide import (
    Download,
    GiveUp,
    Observed,
    Relabel,
    Serve,
    Serving,
    Try,
    Unload,
    Wait,
    Withdraw,
    decide,
)
from bramble_workloads.edge.slots.slots import (
    Slots,
    accept,
    after_death,
    begin_attempt,
    close_attempt,
    record_serving,
    refuse,
    refuse_if_exhausted,
)
from tests.unit.workloads.edge.states import BOOT, NODE, V1, V2, V3, assignment, attempt, seen, slots


@pytest.mark.parametrize(
    ("name", "before", "offered", "taken"),
    [
        ("the first one", None, assignment(), True),
        ("one of another node", None, assignment(nodes={"virtual": ("pi-9",)}), False),
        ("a newer one", slots(), assignment(seq=2), True),
        ("the same again", slots(), assignment(), False),
        ("an older one", slots(sequences={"uid-1": 5}), assignment(seq=4), False),
        ("of another Rollout, whatever its number", slots(sequences={"uid-1": 5}), assignment(seq=1, rollout_uid="uid-2"), True),
        ("an earlier Rollout, from a replica behind", slots(sequences={"uid-0": 3}), assignment(seq=3, rollout_uid="uid-0"), False),
        ("an earlier Rollout, newer than ever", slots(sequences={"uid-0": 3}), assignment(seq=4, rollout_uid="uid-0"), True),
    ],
)  # fmt: skip
def test_accept(name: str, before: Slots | None, offered: Assignment, taken: bool) -> None:
    after = accept(before, offered, NODE)
    assert (after is not None) == taken, name
    if after is not None:
        assert after.sequences[offered.rollout_uid] == offered.seq


def test_only_what_concerns_this_node_is_remembered() -> None:
    crowd = assignment(V1, V2, nodes={"virtual": tuple(f"pi-{number}" for number in range(5000))})
    crowd = crowd.model_copy(update={"stable": {"virtual": V1, "rpi5": V3}})
    remembered = accept(None, crowd, NODE)
    assert remembered is not None
    assert len(remembered.model_dump_json()) < 1500
    assert (remembered.stable_target, remembered.candidate_target) == (V1, V2)
    others = accept(None, crowd.model_copy(update={"candidate_nodes": ("pi-7",)}), NODE)
    assert others is not None
    assert others.candidate_target is None


TRIAL = slots(V1, V2, active=V1, last_good=V1)


@pytest.mark.parametrize(
    ("name", "open_attempt", "boot", "refused"),
    [
        ("no attempt is open", None, BOOT, None),
        ("the first death while it was tried", attempt(V2), BOOT, None),
        ("the second", attempt(V2, 2), BOOT, "2 deaths while it was tried"),
        ("a reboot while it was tried", attempt(V2), "boot-2", "the board rebooted while it was tried"),
        ("the first death while it served", attempt(V2, phase="serving"), BOOT, None),
        ("a reboot while it served counts as a death", attempt(V2, phase="serving"), "boot-2", None),
        ("the second reboot while it served", attempt(V2, 2, phase="serving"), "boot-3", "2 deaths while it served"),
    ],
)
def test_deaths(name: str, open_attempt: Any, boot: str, refused: str | None) -> None:
    after = after_death(TRIAL.model_copy(update={"attempt": open_attempt}), boot)
    refusal = after.refusal_of(V2, "candidate")
    assert (refusal.reason if refusal else None) == refused, name
    assert refusal is None or refusal.abandoned == (boot != BOOT), name


def test_a_power_cut_during_the_first_trial_of_a_node_is_not_the_last() -> None:
    first = begin_attempt(slots(None, V2), V2, BOOT)
    again = after_death(first, "boot-2")
    assert again.refusal_of(V2, "candidate") is None
    assert after_death(begin_attempt(again, V2, "boot-2"), "boot-3").refusal_of(V2, "candidate") is not None


def test_power_cuts_do_not_leave_a_node_of_a_first_rollout_without_any_model() -> None:
    only = slots(None, V2, active=V2, cohort="candidate", candidate=V2, attempt=attempt(V2, 1, "boot-1", "serving"))
    for boot in ("boot-2", "boot-3", "boot-4"):
        only = begin_attempt(after_death(only, boot), V2, boot)
        only = record_serving(only, V2, "candidate", boot)
    assert only.refusal_of(V2, "candidate") is None


def test_a_clean_leave_is_no_death() -> None:
    once = begin_attempt(TRIAL, V2, BOOT)
    assert once.attempt == attempt(V2)
    assert close_attempt(once).attempt is None
    twice = begin_attempt(once, V2, BOOT)
    assert close_attempt(twice).attempt == attempt(V2, 1)
    assert refuse_if_exhausted(twice).refusal_of(V2, "candidate") is not None


def test_a_promotion_ends_the_attempt() -> None:
    on_trial = record_serving(begin_attempt(TRIAL, V2, BOOT), V2, "candidate", BOOT)
    assert on_trial.attempt == attempt(V2, 1, phase="serving")
    promoted = accept(on_trial, assignment(V2, None, 2), NODE)
    assert promoted is not None
    assert promoted.attempt is None
    settled = record_serving(promoted, V2, "stable", BOOT)
    assert (settled.active, settled.cohort, settled.last_good) == (V2, "stable", V1)


def test_an_undo_ends_the_attempt() -> None:
    on_trial = record_serving(begin_attempt(TRIAL, V2, BOOT), V2, "candidate", BOOT)
    undone = accept(on_trial, assignment(V1, None, 2), NODE)
    assert undone is not None
    assert (undone.attempt, undone.candidate) == (None, None)


# ------------------------------------------------------------------------------------------------------- state machine


def _nothing() -> Serving | None:
    return None


class Board:
    """A device in miniature: the decisions and the memory are the real ones, disk and models are sets."""

    def __init__(self) -> None:
        self.disk: Slots = slots(V1)
        self.remembered = self.disk
        self.serving = _nothing()
        self.present: set[str] = set()
        self.contact: float | None = 0.0
        self.now = 0.0
        self.boot = 1
        self.offline = False
        self.broken: frozenset[str] = frozenset()

    def see(self) -> Observed:
        return seen(self.remembered, self.serving, present=frozenset(self.present), contact=self.contact, now=self.now, ttl=600.0)

    def save(self, changed: Slots) -> None:
        self.remembered = self.disk = changed

    def step(self) -> bool:
        """One step; False when there is nothing to do."""
        boot = f"boot-{self.boot}"
        match decide(self.see()):
            case Wait() | Withdraw():
                return False
            case Unload():
                self.serving = None
                self.save(self.remembered.model_copy(update={"active": None, "last_good": None, "candidate": None, "attempt": None}))
            case Download(package):
                if self.offline:
                    return False
                self.present.add(package)
            case Try(package, cohort):
                self.save(begin_attempt(self.remembered, package, boot))
                if package in self.broken:
                    self.save(refuse(self.remembered, package, "broken"))
                else:
                    self.switch(package, cohort)
            case Serve(package, cohort):
                if cohort == "candidate":
                    self.save(begin_attempt(self.remembered, package, boot))
                self.switch(package, cohort)
            case Relabel(cohort):
                assert self.serving is not None
                self.switch(self.serving.package, cohort)
            case GiveUp(package, _):
                self.save(refuse(self.remembered, package, "no word", "silence"))
        return True

    def switch(self, package: str, cohort: Any) -> None:
        self.save(record_serving(self.remembered, package, cohort, f"boot-{self.boot}"))
        accepted = self.remembered.accepted
        self.serving = Serving(package, cohort, accepted.attempt, accepted.rollout_uid)

    def settle(self) -> None:
        for _ in range(30):
            if not self.step():
                return
        raise AssertionError(f"never settles: {self.see()}")

    def settle_unless_serving(self) -> None:
        if self.serving is None:
            self.settle()

    def die(self, *, reboot: bool) -> None:
        self.serving = None
        self.contact = None
        self.boot += reboot
        self.save(after_death(self.disk, f"boot-{self.boot}"))

    def hear(self, offered: Assignment) -> None:
        self.contact = self.now
        taken = accept(self.remembered, offered, NODE)
        if taken is not None:
            self.save(taken)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from([V1, V2, V3]), st.sampled_from([None, V1, V2, V3])),
        st.tuples(st.just("step"), st.integers(1, 4), st.none()),
        st.tuples(st.just("die"), st.booleans(), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([10.0, 700.0]), st.none()),
        st.tuples(st.just("network"), st.booleans(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=400)
@given(EVENTS, st.sampled_from([frozenset[str](), frozenset({V2}), frozenset({V3})]))
def test_whatever_happens_a_device_serves_and_finds_its_way(events: list[tuple[str, Any, Any]], broken: frozenset[str]) -> None:
    """Any order of assignments, deaths, reboots, silence and lost networks: once something was served something goes on being served,
    and with the network back it is what the assignment says, unless that was refused."""
    board = Board()
    board.broken = broken
    board.settle()
    assert board.see().serving is not None
    seq = 1
    offered: Assignment = assignment(V1)
    for kind, first, second in events:
        match kind:
            case "assign":
                seq += 1
                offered = assignment(first, None if second == first else second, seq)
                if not board.offline:
                    board.hear(offered)
            case "step":
                for _ in range(first):
                    board.step()
            case "die":
                board.die(reboot=first)
                board.settle()  # before any network: the gateway is heard of only by "assign" and at the end
            case "wait":
                board.now += first
            case "network":
                board.offline = first
        board.settle_unless_serving()
        assert board.see().serving is not None, (kind, board.see())
        assert board.remembered == board.disk
    board.offline = False
    board.hear(offered)
    board.settle()
    accepted = board.remembered
    wanted = accepted.candidate_target
    if wanted is None or accepted.refusal_of(wanted, "candidate"):
        wanted = accepted.stable_target
    assert wanted is not None
    assert board.serving is not None
    if accepted.refusal_of(wanted, "stable") is None:
        assert board.serving.package == wanted
    assert board.serving.package not in broken
