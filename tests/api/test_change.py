"""What admission refuses later: fields that name an outcome stay, whichever way somebody tries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admission import Admission
from tests.api.manifests import DATASET, MODEL_VERSION, ROLLOUT, TRAINING_RUN, UNSET, Manifest, spoiled

pytestmark = pytest.mark.cluster

RUN = "make another TrainingRun"
TEMPLATE = TRAINING_RUN["spec"]["modelVersion"]
TARGETS = MODEL_VERSION["spec"]["benchmark"]
VERSION = "make a new version"
KEPT = {"keptOutput": {"trainingRunRef": {"name": "first"}, "package": {"task": "a"}}}
PACKAGES = {"spec": {"datasetRef": {"name": "tv-ads"}, "trainer": KEPT}}


def case(says: str, base: Manifest, spec: dict[str, Any], *fragments: str, start: dict[str, Any] | None = None) -> Any:
    """A merge patch of the spec of `base`, or of `base` as spoiled by `start`."""
    return pytest.param(spoiled(base, start or {}), {"spec": spec}, fragments, id=f"{base['kind']}: {says}")


CASES = [
    case("another task", DATASET, {"task": "x"}, "spec.task"),
    case("another split", DATASET, {"splits": {"seed": 8}}),
    case("another source", DATASET, {"sources": [{"name": "new", "s3": {}, "format": "image-folder"}]}),
    case("another dataset", TRAINING_RUN, {"datasetRef": {"name": "other"}}, "datasetRef", RUN),
    case("another architecture", TRAINING_RUN, {"trainer": {"builtin": {"architecture": "resnet50"}}}, "trainer", RUN),
    case("another description", TRAINING_RUN, {"trainer": {"keptOutput": {"package": {"task": "b"}}}}, "trainer", RUN, start=PACKAGES),
    case("another hyperparameter", TRAINING_RUN, {"hyperparameters": {"epochs": 51}}, "hyperparameters", RUN),
    case("one hyperparameter more", TRAINING_RUN, {"hyperparameters": {"dropout": 0.1}}, "hyperparameters", RUN),
    case("hyperparameters unset", TRAINING_RUN, {"hyperparameters": None}, "hyperparameters", RUN),
    case("hyperparameters later", TRAINING_RUN, {"hyperparameters": {"a": 1}}, "hyperparameters", start={"spec.hyperparameters": UNSET}),
    case("fewer nodes", TRAINING_RUN, {"engine": {"torchrun": {"nodes": 2}}}, "engine", RUN),
    case("engine unset", TRAINING_RUN, {"engine": None}, "engine", RUN),
    case("a lower gate", TRAINING_RUN, {"evaluation": {"gates": [{"metric": "f1", "min": "0.1"}]}}, "evaluation", RUN),
    case("evaluation unset", TRAINING_RUN, {"evaluation": None}, "evaluation", RUN),
    case("no model version after all", TRAINING_RUN, {"modelVersion": None}, "modelVersion", RUN),
    case("a model version later", TRAINING_RUN, {"modelVersion": TEMPLATE}, "modelVersion", start={"spec.modelVersion": UNSET}),
    case("two at once are both named", TRAINING_RUN, {"datasetRef": {"name": "b"}, "hyperparameters": None}, "datasetRef hyperparameters"),
    case("the whole spec unset", TRAINING_RUN, {"datasetRef": None}, "spec.datasetRef: Required value"),
    case("budgets", TRAINING_RUN, {"budgets": {"failures": 5, "deadline": "24h"}}),
    case("suspend", TRAINING_RUN, {"suspend": True}),
    case("where and when it runs", TRAINING_RUN, {"priorityClassName": None, "queueName": None, "nodeSelector": None, "resources": None}),
    case("more memory for the snapshot", DATASET, {"jobs": {"resources": {"snapshot": {"limits": {"memory": "32Gi"}}}}}),
    case("labels of the run's Jobs", TRAINING_RUN, {"jobs": {"labels": {"team": "tv"}}}),
    case("more memory for the conversion", MODEL_VERSION, {"jobs": {"resources": {"convert": {"limits": {"memory": "8Gi"}}}}}),
    case("another version", MODEL_VERSION, {"version": "2.0.1"}, "version", VERSION),
    case("another run", MODEL_VERSION, {"source": {"trainingRunRef": {"name": "other"}}}, "source", VERSION),
    case("a wider drop", MODEL_VERSION, {"validation": {"maxDrop": {"accuracy": "0.5"}}}, "validation", VERSION),
    case("validation unset", MODEL_VERSION, {"validation": None}, "validation", VERSION),
    case("a variant less", MODEL_VERSION, {"variants": MODEL_VERSION["spec"]["variants"][:1]}, "variants", VERSION),
    case("variants unset", MODEL_VERSION, {"variants": None}, "variants", VERSION),
    case("benchmark unset", MODEL_VERSION, {"benchmark": None}, "benchmark may only grow"),
    case("benchmark emptied", MODEL_VERSION, {"benchmark": []}, "benchmark may only grow"),
    case("a limit widened", MODEL_VERSION, {"benchmark": [{**TARGETS[0], "limits": {"p99": "90ms"}}]}, "benchmark may only grow"),
    case("a target more", MODEL_VERSION, {"benchmark": [{"fleet": "shops", "board": "rpi4"}, *TARGETS]}),
    case("the first targets", MODEL_VERSION, {"benchmark": [{"fleet": "shops", "board": "rpi4"}]}, start={"spec.benchmark": UNSET}),
    case("another fleet", ROLLOUT, {"fleetRef": {"name": "other"}}, "fleetRef", "withdraws the model"),
    case("another version to roll out", ROLLOUT, {"modelVersionRef": {"name": "ad-detector-2-1-0"}}),
]  # fmt: skip


@pytest.mark.parametrize(("manifest", "patch", "fragments"), CASES)
def test_change(admission: Admission, manifest: Manifest, patch: Manifest, fragments: tuple[str, ...]) -> None:
    made = admission.fresh(manifest)
    said = admission.change(made, patch)
    if fragments:
        assert said, "the API server took it"
    assert [fragment for fragment in fragments if fragment not in said] == [], said
    assert bool(fragments) or not said, said


def test_unsetting_first_and_setting_afterwards_is_no_way_round(admission: Admission) -> None:
    made = admission.fresh(TRAINING_RUN)
    for patch in ({"spec": {"modelVersion": None}}, {"spec": {"modelVersion": {"version": "3.0.0"}}}):
        assert "modelVersion" in admission.change_for_real(made, patch)
    assert admission.read(made)["spec"] == made["spec"]


def test_a_status_write_moves_no_generation_and_a_spec_write_no_status(admission: Admission) -> None:
    made = admission.fresh(DATASET)
    admission.cluster.kubectl(
        "patch", "dataset", made["metadata"]["name"], "--namespace", admission.namespace, "--subresource=status", "--type=merge",
        "-p", '{"status": {"attempt": 3, "phase": "Snapshotting"}}',
    )  # fmt: skip
    assert admission.change_for_real(made, {"spec": {"splits": {"seed": 9}}, "status": {"attempt": 9}}) == ""
    now = admission.read(made)
    assert (now["status"]["attempt"], now["metadata"]["generation"], now["spec"]["splits"]["seed"]) == (3, 2, 9)
