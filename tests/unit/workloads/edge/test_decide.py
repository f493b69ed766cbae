"""Which step `decide` chooses in which state."""

from __future__ import annotations

import pytest

from bramble_workloads.edge.assignment.decide import Download, GiveUp, Observed, Relabel, Serve, Step, Try, Unload, Wait, Withdraw, decide
from bramble_workloads.edge.slots.slots import refuse
from tests.unit.workloads.edge.states import V1, V2, V3, assignment, seen, serving, slots

NO_PACKAGES: frozenset[str] = frozenset()
STABLE = {"active": V1, "last_good": V1}
ON_TRIAL = {"active": V2, "cohort": "candidate", "candidate": V2, "last_good": V1}

NEW_NODE = slots(V1)
STABLE_SERVES = slots(V1, **STABLE)
CANARY = slots(V1, V2, **STABLE)
CANDIDATE_SERVES = slots(V1, V2, **ON_TRIAL)
UNDONE = slots(V1, **ON_TRIAL)
PROMOTED = slots(V2, **ON_TRIAL)
FIRST = slots(None, V2)
SUPERSEDED = slots(V3, None, active=V2, cohort="candidate")
FIRST_SERVES = slots(None, V2, active=V2, cohort="candidate", candidate=V2)


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("a new node downloads the stable version", seen(NEW_NODE, downloaded=NO_PACKAGES), Download(V1, "stable")),
        ("a package that is on the disk and has never served here is tried", seen(NEW_NODE), Try(V1, "stable")),
        ("a stable version that serves goes on serving", seen(STABLE_SERVES, serving(V1)), Wait(None)),
        (
            "after a restart the stable version serves again without the gateway",
            seen(STABLE_SERVES, last_contact=None),
            Serve(V1, "stable"),
        ),
        ("a stable version goes on serving without the gateway", seen(STABLE_SERVES, serving(V1), last_contact=None), Wait(None)),
        (
            "a canary downloads the candidate while the stable version serves",
            seen(CANARY, serving(V1), downloaded={V1}),
            Download(V2, "candidate"),
        ),
        ("a canary tries a downloaded candidate", seen(CANARY, serving(V1)), Try(V2, "candidate")),
        (
            "a candidate that was the last good version is tried as well",
            seen(slots(V2, V1, active=V2, last_good=V1), serving(V2)),
            Try(V1, "candidate"),
        ),
        (
            "a canary does not try the candidate before the gateway has answered this process",
            seen(CANARY, serving(V1), last_contact=None),
            Wait(None),
        ),
        ("a canary without a stable version gets the stable version first", seen(slots(V1, V2)), Try(V1, "stable")),
        (
            "a candidate serves until the gateway has been silent for too long",
            seen(CANDIDATE_SERVES, serving(V2, "candidate")),
            Wait(700.0),
        ),
        (
            "a candidate is given up when the gateway has been silent for too long",
            seen(CANDIDATE_SERVES, serving(V2, "candidate"), now=700.0),
            GiveUp(V2, 600.0),
        ),
        (
            "after a restart the last good version serves instead of the candidate",
            seen(CANDIDATE_SERVES, last_contact=None),
            Serve(V1, "stable"),
        ),
        ("an undo switches to the stable version without a trial", seen(UNDONE, serving(V2, "candidate")), Serve(V1, "stable")),
        ("after a restart an undone candidate does not serve again", seen(UNDONE), Serve(V1, "stable")),
        (
            "an undo whose blobs are missing downloads them while the candidate serves",
            seen(UNDONE, serving(V2, "candidate"), downloaded={V2}),
            Download(V1, "stable"),
        ),
        ("a promotion changes only the cohort", seen(PROMOTED, serving(V2, "candidate")), Relabel("stable")),
        ("after a restart a promoted candidate serves as the stable version", seen(PROMOTED), Serve(V2, "stable")),
        ("a new attempt changes only the labels", seen(STABLE_SERVES, serving(V1, number=2)), Relabel("stable")),
        ("a new Rollout changes only the labels", seen(STABLE_SERVES, serving(V1, uid="uid-0")), Relabel("stable")),
        ("a new stable version is tried before it serves", seen(slots(V3, **STABLE), serving(V1)), Try(V3, "stable")),
        ("the candidate of a first Rollout is tried without a version to go back to", seen(FIRST), Try(V2, "candidate")),
        (
            "the candidate of a first Rollout is not given up when the gateway is silent",
            seen(FIRST_SERVES, serving(V2, "candidate"), now=9999.0),
            Wait(None),
        ),
        ("after a restart the candidate of a first Rollout serves again", seen(FIRST_SERVES, last_contact=None), Serve(V2, "candidate")),
        (
            "a superseded candidate of a first Rollout serves until the new version is ready",
            seen(SUPERSEDED, downloaded={V2}),
            Serve(V2, "stable"),
        ),
        (
            "after a restart a candidate serves if it was the last good version",
            seen(slots(V3, None, active=V1, last_good=V1, cohort="candidate")),
            Serve(V1, "stable"),
        ),
        ("an undone first Rollout leaves nothing to serve", seen(slots(None, None, **ON_TRIAL), serving(V2, "candidate")), Unload()),
        ("a first Rollout that has not reached this node yet leaves it waiting", seen(slots(None, None)), Wait(None)),
        ("a withdrawn assignment is deleted", seen(STABLE_SERVES, serving(V1), withdrawn=True), Withdraw()),
        (
            "after a restart the last good version serves if the active one is damaged",
            seen(slots(V2, active=V2, last_good=V1), downloaded={V1}),
            Serve(V1, "stable"),
        ),
        (
            "a damaged stable version is downloaded again while the last good one serves",
            seen(slots(V2, active=V2, last_good=V1), serving(V1), downloaded={V1}),
            Download(V2, "stable"),
        ),
    ],
)
def test_decide(name: str, state: Observed, expected: Step) -> None:
    assert decide(state) == expected, name


REFUSED = refuse(CANARY, V2, "a golden case fails")
GIVEN_UP = refuse(CANDIDATE_SERVES, V2, "the gateway did not answer", "silence")
STABLE_REFUSED = refuse(slots(V3, **STABLE), V3, "two crashes")


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("a refused candidate is not tried again", seen(REFUSED, serving(V1)), Wait(None)),
        ("a candidate that is given up is replaced by the stable version", seen(GIVEN_UP, serving(V2, "candidate")), Serve(V1, "stable")),
        (
            "a candidate that was given up is tried again once it is the stable version",
            seen(GIVEN_UP.model_copy(update={"accepted": assignment(V2, None, 2), "active": V1, "cohort": "stable"}), serving(V1)),
            Try(V2, "stable"),
        ),
        (
            "a candidate that failed is not tried again as the stable version",
            seen(REFUSED.model_copy(update={"accepted": assignment(V2, None, 2)}), serving(V1)),
            Wait(None),
        ),
        (
            "a new attempt tries a refused candidate again",
            seen(REFUSED.model_copy(update={"accepted": assignment(V1, V2, 2, attempt=2)}), serving(V1, number=2)),
            Try(V2, "candidate"),
        ),
        ("the old version goes on serving if the new stable version is refused", seen(STABLE_REFUSED, serving(V1)), Wait(None)),
        ("after a restart the old version serves if the new stable version is refused", seen(STABLE_REFUSED), Serve(V1, "stable")),
        ("a refused candidate of a first Rollout leaves nothing to serve", seen(refuse(FIRST, V2, "no")), Wait(None)),
        (
            "a package that failed is not tried again before its delay is over",
            seen(CANARY, serving(V1), failed_package=V2, retry_at=105.0),
            Wait(105.0),
        ),
        (
            "a package that failed is tried again after its delay",
            seen(CANARY, serving(V1), failed_package=V2, retry_at=105.0, now=105.0),
            Try(V2, "candidate"),
        ),
        (
            "the delay of one package does not hold up another",
            seen(UNDONE, serving(V2, "candidate"), failed_package=V2, retry_at=105.0),
            Serve(V1, "stable"),
        ),
        (
            "after a restart the last good version serves if the active one failed",
            seen(slots(V2, active=V2, last_good=V1), failed_package=V2, retry_at=105.0),
            Serve(V1, "stable"),
        ),
    ],
)
def test_decide_after_failures(name: str, state: Observed, expected: Step) -> None:
    assert decide(state) == expected, name
