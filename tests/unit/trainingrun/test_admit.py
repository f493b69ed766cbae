"""The run waits for its Dataset and for the store, then pins the Dataset's version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bramble.contracts.canonical import document_digest
from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.manifest import Manifest
from bramble.kinds.blockers import Blocker
from bramble.kinds.trainingrun.gate_check import unmeasurable
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


HEADER = Manifest(
    task="image-classification",
    classes=("ad", "news", "sport"),
    seed=0,
    samples=DATASET,
    samples_bytes=1,
    counts={"train": {"ad": 8, "news": 8, "sport": 8}, "val": {"ad": 2, "news": 2, "sport": 2}, "test": {"ad": 2, "news": 2}},
    slices={"channel": {"": 1, "rai1": 3}, "recording": None},
)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        case("no such class", {"metric": "recall", "min": "0.9", "label": "adz"}, ("'adz'", "none of its classes (ad, news, sport)")),
        case("none of it in test", {"metric": "recall", "min": "0.9", "label": "sport"}, ("'sport'", "the test split has no sample")),
        case(
            "no such column",
            {"metric": "recall", "min": "0.9", "slice": "chanel=rai1"},
            ("where chanel=rai1", "no sample of the test split has a column 'chanel' (columns: channel, recording)"),
        ),
        case(
            "no such value in test",
            {"metric": "recall", "min": "0.9", "slice": "channel=rai2"},
            ("where channel=rai2", 'that value of channel (values: "", rai1)'),
        ),
        case("a metric of another task", {"metric": "map50", "min": "0.9"}, ("map50", "image-classification measures accuracy")),
    ],
)
def test_a_gate_that_cannot_be_measured_is_refused_before_training(gate: dict[str, Any], said: tuple[str, ...]) -> None:
    seen = observed({"evaluation": {"gates": [{"metric": "accuracy", "min": "0.5"}]}}, dataset=replace(FROZEN, manifest=HEADER))
    gates = (*seen.spec.evaluation.gates, Gate.model_construct(**gate))
    evaluation = seen.spec.evaluation.model_copy(update={"gates": gates})
    run = replace(seen.run, spec=seen.spec.model_copy(update={"evaluation": evaluation}))
    plan = admit(replace(seen, run=run), NOW)
    assert condition(plan, "Admitted") == ("False", "GateNotMeasurable")
    assert [part for part in (*said, "correct spec.evaluation.gates in another TrainingRun") if part not in message(plan)] == []
    assert plan is not None
    assert not plan.remember


@pytest.mark.parametrize(
    "manifest",
    [
        case("the header lists them", HEADER),
        case("the header cannot be read", None),
        case("the header is of an earlier release, without slices", HEADER.model_copy(update={"slices": None})),
    ],
)
def test_gates_that_can_be_measured_hold_nothing_up(manifest: Manifest | None) -> None:
    gates = [
        {"metric": "recall", "min": "0.9", "label": "ad"},
        {"metric": "accuracy", "min": "0.9", "slice": "channel=rai1"},
        {"metric": "accuracy", "min": "0.9", "slice": "recording=one of too many to list"},
    ]
    evaluation = {"slices": ["channel", "recording"], "gates": gates}
    seen = observed({"evaluation": evaluation}, dataset=replace(FROZEN, manifest=manifest))
    assert "dataset" in remembered(admit(seen, NOW))


def test_many_classes_are_not_all_named() -> None:
    gate = Gate(metric="recall", min="0.9", label="ad")
    said = unmeasurable([gate], HEADER.model_copy(update={"classes": tuple(f"c{number}" for number in range(1000))}))
    assert said is not None
    assert said.endswith("(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 990 more)")


def test_every_gate_that_cannot_be_measured_is_named_up_to_a_bound() -> None:
    gates = [Gate(metric="recall", min="0.9", label=label) for label in ("ad", "adz", "sport", "adz")]
    said = unmeasurable(gates, HEADER)
    assert said is not None
    assert ("'adz'" in said, "'sport'" in said, said.count("; ")) == (True, True, 1)
    many = unmeasurable([Gate(metric="recall", min="0.9", label=f"no{number}") for number in range(30)], HEADER)
    assert many is not None
    assert many.endswith("; and 22 more gates that cannot be measured")


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


def test_a_store_that_fails_after_a_spec_was_put_right_leaves_no_phase_failed() -> None:
    plan = wait_for_store(training(status={"phase": "Failed"}, store=Blocker("StoreMissing", "no Secret")), NOW)
    assert plan is not None
    assert plan.status is not None
    assert plan.status["phase"] == "Pending"
