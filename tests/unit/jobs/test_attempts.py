"""Which attempt follows, and what is left of those before."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import ATTEMPT
from bramble.contracts.cause import Cause
from bramble.kinds.jobs.attempts import Spent, after, overdrawn, stale
from bramble.kinds.jobs.state import Failed
from bramble.kinds.plan import Delete
from bramble.kube.resources import Key

FAILURE = Failed(Cause(kind="Error", message="x"), "failure")
DISRUPTION = Failed(Cause(kind="NodeLost", message="x"), "disruption")
FINAL = Failed(Cause(kind="SpecError", message="x"), "final")


@pytest.mark.parametrize(
    ("name", "failed", "spent", "following"),
    [
        ("the first failure", FAILURE, Spent(), Spent(failures=1)),
        ("the second", FAILURE, Spent(failures=1), Spent(failures=2)),
        ("the third is one too many", FAILURE, Spent(failures=2), None),
        ("disruptions have a budget of their own", DISRUPTION, Spent(failures=2), Spent(failures=2, disruptions=1)),
        ("which ends too", DISRUPTION, Spent(disruptions=2), None),
        ("a final cause leaves no attempt", FINAL, Spent(), None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_follows(name: str, failed: Failed, spent: Spent, following: Spent | None) -> None:
    assert after(failed, spent) == following, name


def test_a_budget_that_is_overdrawn_shows_it() -> None:
    assert overdrawn(FAILURE, Spent(failures=2)) == Spent(failures=3)
    assert overdrawn(DISRUPTION, Spent(disruptions=2)) == Spent(disruptions=3)
    assert overdrawn(FINAL, Spent(failures=1)) == Spent(failures=1)


def test_only_earlier_attempts_go_and_each_once() -> None:
    def child(attempt: int, **metadata: Any) -> dict[str, Any]:
        named = {"name": f"j-{attempt}", "namespace": "ads", "uid": f"u-{attempt}", "labels": {ATTEMPT: str(attempt)}}
        return {"kind": "Job", "metadata": {**named, **metadata}}

    children = (child(1), child(2, deletionTimestamp="2026-01-01T00:00:00Z"), child(3), child(4))
    assert stale(children, 3) == (Delete(Key("Job", "ads", "j-1"), "u-1"),)
