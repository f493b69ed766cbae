from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.plan import CreateOnce
from bramble.kinds.trainingrun.policies.publish import publish
from tests.unit.trainingrun.seen import NOW, PIN, TRAINED_PACKAGE, case, condition, evaluated, message, observed, remembered, training

OF_RUN = {"trainingRunRef": {"name": "run"}}
TARGETS = [{"fleet": "rooms", "board": "rpi5", "limits": {"p99": "50ms"}}]
WANTED = {"modelVersion": {"model": "ads", "version": "1.0.0-rc.1", "benchmark": TARGETS}}


def passed(spec: dict[str, Any] | None = None, there: dict[str, Any] | None = None) -> Any:
    return observed(spec, status={"dataset": PIN, "package": TRAINED_PACKAGE, "evaluation": evaluated()}, model_version=there)


def model_version(source: dict[str, Any], pinned: str = "") -> dict[str, Any]:
    status = {"lineage": {"package": pinned}} if pinned else {}
    return {"kind": "ModelVersion", "metadata": {"name": "ads-1-0-0"}, "spec": {"source": source}, "status": status}


def test_nothing_to_publish_yet() -> None:
    assert publish(training(), NOW) is None


def test_the_model_version_outlives_the_run() -> None:
    plan = publish(passed(WANTED), NOW)
    assert plan is not None
    (item,) = plan.items
    assert isinstance(item, CreateOnce)
    assert item.manifest["metadata"]["name"] == "ads-1-0-0-rc-1"
    assert "ownerReferences" not in item.manifest["metadata"]
    assert item.manifest["spec"] == {
        "model": "ads",
        "version": "1.0.0-rc.1",
        "source": {"trainingRunRef": {"name": "run"}},
        "benchmark": TARGETS,
    }


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        case("it is there, and names this run", passed(there=model_version(OF_RUN)), "ads-1-0-0"),
        case("and has pinned its package", passed(there=model_version(OF_RUN, TRAINED_PACKAGE.digest)), "ads-1-0-0"),
        case("none is wanted", passed({"modelVersion": None}), ""),
    ],
)
def test_the_run_is_complete(seen: Any, name: str) -> None:
    plan = publish(seen, NOW)
    memory = remembered(plan)
    assert memory["outcome"]["reason"] == "Succeeded"
    assert memory.get("modelVersion", "") == name
    assert condition(plan) == ("True", "Succeeded")
    assert condition(plan, "Complete") == ("True", "Succeeded")


@pytest.mark.parametrize(
    "there",
    [
        case("of another run", model_version({"trainingRunRef": {"name": "other"}})),
        case("of a package", model_version({"package": {"digest": "sha256:0"}})),
        case("of a run of this name that was deleted since", model_version(OF_RUN, "sha256:0")),
    ],
)
def test_somebody_elses_is_left_alone(there: dict[str, Any]) -> None:
    plan = publish(passed(there=there), NOW)
    assert plan is not None
    assert (plan.items, plan.remember) == ((), False)
    assert condition(plan) == ("False", "NameConflict")
    assert "ModelVersion ads-1-0-0 exists and is not of this run" in message(plan)
    assert "spec.modelVersion.version" in message(plan)
