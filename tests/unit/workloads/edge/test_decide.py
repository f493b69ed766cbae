"""What a device does next, by table."""

from __future__ import annotations

import pytest

from bramble_workloads.edge.assignment.decide import Download, GiveUp, Observed, Relabel, Serve, Step, Try, Unload, Wait, Withdraw, decide
from bramble_workloads.edge.slots.slots import refuse
from tests.unit.workloads.edge.states import V1, V2, V3, assignment, seen, serving, slots

NOWHERE: frozenset[str] = frozenset()
STABLE = {"active": V1, "last_good": V1}
ON_TRIAL = {"active": V2, "cohort": "candidate", "candidate": V2, "last_good": V1}

JOINER = slots(V1)
SETTLED = slots(V1, **STABLE)
CANARY = slots(V1, V2, **STABLE)
TRIED = slots(V1, V2, **ON_TRIAL)
UNDONE = slots(V1, **ON_TRIAL)
PROMOTED = slots(V2, **ON_TRIAL)
FIRST = slots(None, V2)
SUPERSEDED = slots(V3, None, active=V2, cohort="candidate")
FIRST_SERVED = slots(None, V2, active=V2, cohort="candidate", candidate=V2)


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("a new node downloads the stable version", seen(JOINER, present=NOWHERE), Download(V1, "stable")),
        ("what is here and was never proven is tried", seen(JOINER), Try(V1, "stable")),
        ("what is served is left alone", seen(SETTLED, serving(V1)), Wait(None)),
        ("after a start, what was proven is served again", seen(SETTLED, contact=None), Serve(V1, "stable")),
        ("without the gateway nothing else is waited for", seen(SETTLED, serving(V1), contact=None), Wait(None)),
        ("a canary downloads the candidate while it serves", seen(CANARY, serving(V1), present={V1}), Download(V2, "candidate")),
        ("and tries it", seen(CANARY, serving(V1)), Try(V2, "candidate")),
        (
            "a candidate that was the last good version is tried like any other",
            seen(slots(V2, V1, active=V2, last_good=V1), serving(V2)),
            Try(V1, "candidate"),
        ),
        ("but not before the gateway was heard of in this process", seen(CANARY, serving(V1), contact=None), Wait(None)),
        ("a canary that has no stable version yet gets that first", seen(slots(V1, V2)), Try(V1, "stable")),
        ("a candidate is served until its time without contact is over", seen(TRIED, serving(V2, "candidate")), Wait(700.0)),
        ("then it is given up", seen(TRIED, serving(V2, "candidate"), now=700.0), GiveUp(V2, 600.0)),
        ("after a start the last good version is served, not the candidate", seen(TRIED, contact=None), Serve(V1, "stable")),
        ("an undo goes back without a trial", seen(UNDONE, serving(V2, "candidate")), Serve(V1, "stable")),
        ("and after a start too", seen(UNDONE), Serve(V1, "stable")),
        (
            "an undo whose blobs are gone downloads them, and the candidate serves meanwhile",
            seen(UNDONE, serving(V2, "candidate"), present={V2}),
            Download(V1, "stable"),
        ),
        ("a promotion only changes the cohort", seen(PROMOTED, serving(V2, "candidate")), Relabel("stable")),
        ("a promotion that the power cut: the proven candidate is the stable version", seen(PROMOTED), Serve(V2, "stable")),
        ("a new attempt changes the label", seen(SETTLED, serving(V1, number=2)), Relabel("stable")),
        ("a new Rollout changes the label", seen(SETTLED, serving(V1, uid="uid-0")), Relabel("stable")),
        ("another stable version is tried too", seen(slots(V3, **STABLE), serving(V1)), Try(V3, "stable")),
        ("a first rollout tries its candidate without a way back", seen(FIRST), Try(V2, "candidate")),
        ("and keeps it without contact: there is nothing else", seen(FIRST_SERVED, serving(V2, "candidate"), now=9999.0), Wait(None)),
        ("and serves it again after a start", seen(FIRST_SERVED, contact=None), Serve(V2, "candidate")),
        ("a first candidate that was superseded serves until the other can", seen(SUPERSEDED, present={V2}), Serve(V2, "stable")),
        (
            "a stable version that is a candidate again is still proven",
            seen(slots(V3, None, active=V1, last_good=V1, cohort="candidate")),
            Serve(V1, "stable"),
        ),
        ("a first rollout that is undone leaves nothing to serve", seen(slots(None, None, **ON_TRIAL), serving(V2, "candidate")), Unload()),
        ("a first rollout that has not reached this node", seen(slots(None, None)), Wait(None)),
        ("an assignment that is gone", seen(SETTLED, serving(V1), withdrawn=True), Withdraw()),
        ("a damaged active version: the last good one serves", seen(slots(V2, active=V2, last_good=V1), present={V1}), Serve(V1, "stable")),
        (
            "and the stable one is downloaded again",
            seen(slots(V2, active=V2, last_good=V1), serving(V1), present={V1}),
            Download(V2, "stable"),
        ),
    ],
)
def test_decide(name: str, state: Observed, expected: Step) -> None:
    assert decide(state) == expected, name


REFUSED = refuse(CANARY, V2, "a golden case fails")
LOST = refuse(TRIED, V2, "no word", "silence")
STABLE_REFUSED = refuse(slots(V3, **STABLE), V3, "two deaths")


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("a refused candidate is not tried again", seen(REFUSED, serving(V1)), Wait(None)),
        ("while it serves, what was proven takes its place", seen(LOST, serving(V2, "candidate")), Serve(V1, "stable")),
        (
            "given up for want of contact only, it is welcome as the stable version",
            seen(LOST.model_copy(update={"accepted": assignment(V2, None, 2), "active": V1, "cohort": "stable"}), serving(V1)),
            Try(V2, "stable"),
        ),
        (
            "refused for itself, it is not",
            seen(REFUSED.model_copy(update={"accepted": assignment(V2, None, 2)}), serving(V1)),
            Wait(None),
        ),
        (
            "a new attempt is a person's word to try again",
            seen(REFUSED.model_copy(update={"accepted": assignment(V1, V2, 2, attempt=2)}), serving(V1, number=2)),
            Try(V2, "candidate"),
        ),
        ("a stable version that is refused here: what serves goes on", seen(STABLE_REFUSED, serving(V1)), Wait(None)),
        ("and after a start as well", seen(STABLE_REFUSED), Serve(V1, "stable")),
        ("a first candidate that is refused leaves the node empty", seen(refuse(FIRST, V2, "no")), Wait(None)),
        ("what failed rests", seen(CANARY, serving(V1), failed=V2, retry_at=105.0), Wait(105.0)),
        ("and is tried again then", seen(CANARY, serving(V1), failed=V2, retry_at=105.0, now=105.0), Try(V2, "candidate")),
        ("another package does not wait for it", seen(UNDONE, serving(V2, "candidate"), failed=V2, retry_at=105.0), Serve(V1, "stable")),
        (
            "a start that fails with one tries the other",
            seen(slots(V2, active=V2, last_good=V1), failed=V2, retry_at=105.0),
            Serve(V1, "stable"),
        ),
    ],
)
def test_after_trouble(name: str, state: Observed, expected: Step) -> None:
    assert decide(state) == expected, name
