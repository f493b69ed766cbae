"""The run waits for its Dataset and for the store, then pins the Dataset's version."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.contracts.canonical import document_digest
from bramble.kinds.blockers import Blocker
from bramble.kinds.trainingrun.observed import DatasetSeen
from bramble.kinds.trainingrun.policies.admit import admit
from bramble.kinds.trainingrun.policies.wait_for_store import wait_for_store
from tests.unit.trainingrun.seen import DATASET, NOW, PIN, case, condition, message, observed, remembered, training

FROZEN = DatasetSeen("tape", "uid-dataset", DATASET, frozen=True)


def test_a_pinned_dataset_stays_although_it_was_deleted_since() -> None:
    assert admit(observed(status={"dataset": PIN}, dataset=None), NOW) is None


@pytest.mark.parametrize(
    ("dataset", "reason", "fragments"),
    [
        case("there is no such Dataset", None, "DatasetMissing", ("spec.datasetRef.name", "Dataset tape", "namespace ns", "create it")),
        case("it has not been snapshotted", DatasetSeen("tape", "u", "", False), "DatasetNotFrozen", ("has not been snapshotted yet",)),
        case("a check failed", DatasetSeen("tape", "u", DATASET, False, "class A has 2 samples"), "DatasetNotFrozen", ("class A has 2",)),
    ],
)
def test_the_run_waits(dataset: DatasetSeen | None, reason: str, fragments: tuple[str, ...]) -> None:
    plan = admit(observed(dataset=dataset), NOW)
    assert condition(plan) == condition(plan, "Admitted") == ("False", reason)
    assert [fragment for fragment in fragments if fragment not in message(plan)] == []
    assert plan is not None
    assert not plan.remember


def test_the_version_is_pinned() -> None:
    plan = admit(observed(dataset=FROZEN), NOW)
    assert remembered(plan)["dataset"] == {"name": "tape", "uid": "uid-dataset", "version": DATASET}
    assert remembered(plan)["hyperparameters"] == document_digest({})


@pytest.mark.parametrize(
    ("seen", "admitted"),
    [
        case(
            "before the Dataset is pinned", observed(dataset=FROZEN, store=Blocker("StoreRefused", "wrong key")), ("False", "StoreRefused")
        ),
        case("during an attempt", training(store=Blocker("StoreMissing", "no Secret")), ("True", "Pinned")),
    ],
)
def test_a_store_that_cannot_be_used(seen: Any, admitted: tuple[str, str]) -> None:
    plan = wait_for_store(seen, NOW)
    assert condition(plan, "Admitted") == admitted
    assert condition(plan) == ("False", seen.store.reason)
    assert message(plan) == seen.store.message
    assert plan is not None
    assert plan.wake_at is not None, "Secrets are not watched"


def test_a_store_that_can_be_used() -> None:
    assert wait_for_store(training(), NOW) is None
