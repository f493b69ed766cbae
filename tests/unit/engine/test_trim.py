"""What the cache keeps of an object."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import STEP
from bramble.engine.trim import LAST_APPLIED, trim
from tests.unit.engine.objects import made

TEMPLATE = {"spec": {"containers": [{"name": "train"}]}}
CONTAINER = {"name": "train", "image": "i", "env": [{"name": "A", "value": "1"}], "resources": {}}
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": "10:00"}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        pytest.param(
            "Pod",
            {"spec": {"nodeName": "pi-1", "containers": [CONTAINER], "volumes": [{"name": "v"}]}, "status": {"phase": "Running"}},
            {"spec": {"nodeName": "pi-1", "containers": [{"name": "train", "image": "i"}]}, "status": {"phase": "Running"}},
            id="a pod: its node, each container's name and image, and its status",
        ),
        pytest.param(
            "Pod",
            {"spec": {"containers": [{"name": "train"}]}},
            {"spec": {"nodeName": None, "containers": [{"name": "train", "image": ""}]}},
            id="a pod without a node",
        ),
        pytest.param(
            "Job",
            {"spec": {"parallelism": 2, "suspend": True, "template": TEMPLATE, "podFailurePolicy": {"rules": []}}, "status": {"active": 2}},
            {"spec": {"parallelism": 2, "suspend": True}, "status": {"active": 2}},
            id="a Job: all but its template and its failure policy",
        ),
        pytest.param(
            "ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": ""}}, {"data": {"a": "1"}, "binaryData": {"b": ""}}, id="a ConfigMap"
        ),
        pytest.param(
            "Node",
            {
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{**READY, "lastHeartbeatTime": "10:05"}],
                    "images": [{"names": ["i"]}],
                    "volumesInUse": ["v"],
                    "volumesAttached": [{"name": "v"}],
                    "capacity": {"cpu": "4"},
                },
            },
            {"spec": {"unschedulable": True}, "status": {"conditions": [READY], "capacity": {"cpu": "4"}}},
            id="a node: all but heartbeats, images and volumes",
        ),
        pytest.param(
            "Dataset",
            {"spec": {"task": "t"}, "status": {"attempt": 1}},
            {"spec": {"task": "t"}, "status": {"attempt": 1}},
            id="our kinds: all",
        ),
    ],
)
def test_what_no_plan_reads_is_removed(kind: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    trimmed = trim(made(kind, "a", **fields))
    assert {name: value for name, value in trimmed.items() if name not in ("apiVersion", "kind", "metadata")} == expected


def test_a_steps_config_map_loses_its_data() -> None:
    trimmed = trim(made("ConfigMap", "a", metadata={"labels": {STEP: "train"}}, data={"job.json": "{}"}, binaryData={}, immutable=True))
    assert (trimmed.get("data"), trimmed.get("binaryData"), trimmed["immutable"]) == (None, None, True)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({LAST_APPLIED: "{}", "kept": "1"}, {"kept": "1"}, id="kubectl's copy of the object goes"),
        pytest.param({"kept": "1"}, {"kept": "1"}, id="others stay"),
    ],
)
def test_bookkeeping_is_removed_from_the_metadata(annotations: dict[str, str], expected: dict[str, str]) -> None:
    original = made("Dataset", "a", metadata={"managedFields": [{}], "selfLink": "/x", "labels": {"l": "1"}, "annotations": annotations})
    trimmed = trim(original)
    assert trimmed["metadata"]["annotations"] == expected
    assert {"managedFields", "selfLink"}.isdisjoint(trimmed["metadata"])
    assert trimmed["metadata"]["labels"] == {"l": "1"}
    assert original["metadata"]["annotations"] == annotations, "the original is not changed"
