"""Slots: which assignments are accepted, how crashes count, and that a device recovers after any order of events."""

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
    MAX_UNJUDGED,
    Slots,
    accept,
    after_restart,
    begin_attempt,
    close_attempt,
    close_unjudged,
    record_serving,
    refuse,
    refuse_if_exhausted,
)
from tests.unit.workloads.edge.states import BOOT, NODE, V1, V2, V3, assignment, attempt, seen, slots


@pytest.mark.parametrize(
    ("name", "before", "offered", "accepted"),
    [
        ("the first assignment is accepted", None, assignment(), True),
        ("an assignment without this node is not accepted", None, assignment(nodes={"virtual": ("pi-9",)}), False),
        ("a higher seq of the same Rollout is accepted", slots(), assignment(seq=2), True),
        ("the same seq again is not accepted", slots(), assignment(), False),
        ("a lower seq of the same Rollout is not accepted", slots(sequences={"uid-1": 5}), assignment(seq=4), False),
        ("a new Rollout is accepted with any seq", slots(sequences={"uid-1": 5}), assignment(seq=1, rollout_uid="uid-2"), True),
        ("an old seq of an earlier Rollout is not accepted", slots(sequences={"uid-0": 3}), assignment(seq=3, rollout_uid="uid-0"), False),
        ("a higher seq of an earlier Rollout is accepted", slots(sequences={"uid-0": 3}), assignment(seq=4, rollout_uid="uid-0"), True),
    ],
)  # fmt: skip
def test_accept(name: str, before: Slots | None, offered: Assignment, accepted: bool) -> None:
    after = accept(before, offered, NODE)
    assert (after is not None) == accepted, name
    if after is not None:
        assert after.sequences[offered.rollout_uid] == offered.seq


def test_only_the_part_of_an_assignment_for_this_node_is_kept() -> None:
    large = assignment(V1, V2, nodes={"virtual": tuple(f"pi-{number}" for number in range(5000))})
    large = large.model_copy(update={"stable": {"virtual": V1, "rpi5": V3}})
    kept = accept(None, large, NODE)
    assert kept is not None
    assert len(kept.model_dump_json()) < 1500
    assert (kept.stable_target, kept.candidate_target) == (V1, V2)
    others = accept(None, large.model_copy(update={"candidate_nodes": ("pi-7",)}), NODE)
    assert others is not None
    assert others.candidate_target is None


TRIAL = slots(V1, V2, active=V1, last_good=V1)


@pytest.mark.parametrize(
    ("name", "open_attempt", "boot", "refused"),
    [
        ("without an open attempt nothing is refused", None, BOOT, None),
        ("the first crash during a trial does not refuse the package", attempt(V2), BOOT, None),
        (
            "the second crash during a trial refuses the package",
            attempt(V2, 2),
            BOOT,
            "2 crashes or reboots during the trial of the package",
        ),
        ("a reboot during a trial refuses the package", attempt(V2), "boot-2", "the device rebooted during the trial of the package"),
        ("the first crash while the package served does not refuse it", attempt(V2, phase="serving"), BOOT, None),
        ("the first reboot while the package served does not refuse it", attempt(V2, phase="serving"), "boot-2", None),
        (
            "the second reboot while the package served refuses it",
            attempt(V2, 2, phase="serving"),
            "boot-3",
            "2 crashes or reboots while the package was served",
        ),
    ],
)
def test_refusal_after_a_restart(name: str, open_attempt: Any, boot: str, refused: str | None) -> None:
    after = after_restart(TRIAL.model_copy(update={"attempt": open_attempt}), boot)
    refusal = after.refusal_of(V2, "candidate")
    assert (refusal.reason if refusal else None) == refused, name
    assert refusal is None or refusal.abandoned == (boot != BOOT), name


def test_without_another_package_a_reboot_during_the_first_trial_does_not_refuse_the_package() -> None:
    first = begin_attempt(slots(None, V2), V2, BOOT)
    again = after_restart(first, "boot-2")
    assert again.refusal_of(V2, "candidate") is None
    assert after_restart(begin_attempt(again, V2, "boot-2"), "boot-3").refusal_of(V2, "candidate") is not None


def test_reboots_do_not_refuse_the_only_package_of_a_node() -> None:
    only = slots(None, V2, active=V2, cohort="candidate", candidate=V2, attempt=attempt(V2, 1, "boot-1", "serving"))
    for boot in ("boot-2", "boot-3", "boot-4"):
        only = begin_attempt(after_restart(only, boot), V2, boot)
        only = record_serving(only, V2, "candidate", boot)
    assert only.refusal_of(V2, "candidate") is None


def test_a_clean_shutdown_does_not_count_as_a_crash() -> None:
    once = begin_attempt(TRIAL, V2, BOOT)
    assert once.attempt == attempt(V2)
    assert close_attempt(once).attempt is None
    twice = begin_attempt(once, V2, BOOT)
    assert close_attempt(twice).attempt == attempt(V2, 1).model_copy(update={"ended": True})
    assert refuse_if_exhausted(twice).refusal_of(V2, "candidate") is not None


def test_a_crash_that_is_counted_is_kept_whatever_ends_the_agent_later() -> None:
    counted = refuse_if_exhausted(begin_attempt(TRIAL, V2, BOOT))  # the child process of the trial crashed
    assert close_attempt(counted) == counted
    for boot, attributed in ((BOOT, False), (BOOT, True), ("boot-2", True)):
        assert after_restart(counted, boot, attributed=attributed) == counted
    assert refuse_if_exhausted(begin_attempt(counted, V2, BOOT)).refusal_of(V2, "candidate") is not None


def test_a_package_is_given_up_after_some_trials_that_cannot_be_judged() -> None:
    now = TRIAL
    for _ in range(MAX_UNJUDGED - 1):
        now = after_restart(begin_attempt(now, V2, BOOT), BOOT, attributed=False)
        assert now.attempt is not None
        assert (now.refusal_of(V2, "candidate"), now.attempt.n) == (None, 0)
    now = close_unjudged(begin_attempt(now, V2, BOOT), "the control failed")
    refusal = now.refusal_of(V2, "candidate")
    assert refusal is not None
    assert refusal.abandoned
    assert refusal.reason == "5 trials of the package could not be judged, the last: the control failed"


def test_a_crash_that_another_model_may_have_caused_is_not_counted_for_a_package_that_serves() -> None:
    serving = TRIAL.model_copy(update={"attempt": attempt(V2, phase="serving")})
    assert after_restart(serving, BOOT, attributed=False).attempt is None


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


class SimulatedDevice:
    """A device without disk and models. The decisions and the slots are the real code; the blobs on the disk are a set."""

    def __init__(self) -> None:
        self.disk: Slots = slots(V1)
        self.slots_in_memory = self.disk
        self.serving: Serving | None = None
        self.downloaded: set[str] = set()
        self.last_contact: float | None = 0.0
        self.now = 0.0
        self.boot = 1
        self.offline = False
        self.broken: frozenset[str] = frozenset()

    def see(self) -> Observed:
        return seen(
            self.slots_in_memory,
            self.serving,
            downloaded=frozenset(self.downloaded),
            last_contact=self.last_contact,
            now=self.now,
            candidate_ttl=600.0,
        )

    def save(self, changed: Slots) -> None:
        self.slots_in_memory = self.disk = changed

    def step(self) -> bool:
        """Carry out one step. Returns False when there is nothing to do."""
        boot = f"boot-{self.boot}"
        match decide(self.see()):
            case Wait() | Withdraw():
                return False
            case Unload():
                self.serving = None
                self.save(self.slots_in_memory.model_copy(update={"active": None, "last_good": None, "candidate": None, "attempt": None}))
            case Download(package):
                if self.offline:
                    return False
                self.downloaded.add(package)
            case Try(package, cohort):
                self.save(begin_attempt(self.slots_in_memory, package, boot))
                if package in self.broken:
                    self.save(refuse(self.slots_in_memory, package, "broken"))
                else:
                    self.switch(package, cohort)
            case Serve(package, cohort):
                if cohort == "candidate":
                    self.save(begin_attempt(self.slots_in_memory, package, boot))
                self.switch(package, cohort)
            case Relabel(cohort):
                assert self.serving is not None
                self.switch(self.serving.package, cohort)
            case GiveUp(package, _):
                self.save(refuse(self.slots_in_memory, package, "the gateway did not answer", "silence"))
        return True

    def switch(self, package: str, cohort: Any) -> None:
        self.save(record_serving(self.slots_in_memory, package, cohort, f"boot-{self.boot}"))
        accepted = self.slots_in_memory.accepted
        self.serving = Serving(package, cohort, accepted.attempt, accepted.rollout_uid)

    def settle(self) -> None:
        for _ in range(30):
            if not self.step():
                return
        raise AssertionError(f"30 steps did not reach a state in which there is nothing to do: {self.see()}")

    def settle_unless_serving(self) -> None:
        if self.serving is None:
            self.settle()

    def crash(self, *, reboot: bool) -> None:
        self.serving = None
        self.last_contact = None
        self.boot += reboot
        self.save(after_restart(self.disk, f"boot-{self.boot}"))

    def apply(self, offered: Assignment) -> None:
        self.last_contact = self.now
        accepted_slots = accept(self.slots_in_memory, offered, NODE)
        if accepted_slots is not None:
            self.save(accepted_slots)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from([V1, V2, V3]), st.sampled_from([None, V1, V2, V3])),
        st.tuples(st.just("step"), st.integers(1, 4), st.none()),
        st.tuples(st.just("crash"), st.booleans(), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([10.0, 700.0]), st.none()),
        st.tuples(st.just("network"), st.booleans(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=400)
@given(EVENTS, st.sampled_from([frozenset[str](), frozenset({V2}), frozenset({V3})]))
def test_a_device_serves_and_recovers_after_any_order_of_events(events: list[tuple[str, Any, Any]], broken: frozenset[str]) -> None:
    """Assignments, crashes, reboots, silence of the gateway and network failures happen in any order.

    After the first package has served, there is always a package that serves. When the network works again, it is the one that the
    assignment names, unless the device has refused it.
    """
    device = SimulatedDevice()
    device.broken = broken
    device.settle()
    assert device.see().serving is not None
    seq = 1
    offered: Assignment = assignment(V1)
    for kind, first, second in events:
        match kind:
            case "assign":
                seq += 1
                offered = assignment(first, None if second == first else second, seq)
                if not device.offline:
                    device.apply(offered)
            case "step":
                for _ in range(first):
                    device.step()
            case "crash":
                device.crash(reboot=first)
                device.settle()  # without the gateway, which answers only in "assign" and at the end
            case "wait":
                device.now += first
            case "network":
                device.offline = first
        device.settle_unless_serving()
        assert device.see().serving is not None, (kind, device.see())
        assert device.slots_in_memory == device.disk
    device.offline = False
    device.apply(offered)
    device.settle()
    accepted = device.slots_in_memory
    wanted = accepted.candidate_target
    if wanted is None or accepted.refusal_of(wanted, "candidate"):
        wanted = accepted.stable_target
    assert wanted is not None
    assert device.serving is not None
    if accepted.refusal_of(wanted, "stable") is None:
        assert device.serving.package == wanted
    assert device.serving.package not in broken
