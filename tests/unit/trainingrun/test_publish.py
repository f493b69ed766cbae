"""The package reached its gates, and its ModelVersion is made."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.kinds.plan import CreateOnce
from bramble.kinds.trainingrun.observed import ModelVersionSeen
from bramble.kinds.trainingrun.policies.publish import publish
from tests.unit.trainingrun.seen import NOW, PIN, TRAINED_PACKAGE, case, condition, evaluated, message, observed, remembered, training

TARGETS = [{"fleet": "rooms", "board": "rpi5", "limits": {"p99": "50ms"}}]
WANTED = {"modelVersion": {"model": "ads", "version": "1.0.0-rc.1", "benchmark": TARGETS}}


def passed(spec: dict[str, Any] | None = None, there: ModelVersionSeen | None = None) -> Any:
    return observed(spec, status={"dataset": PIN, "package": TRAINED_PACKAGE, "evaluation": evaluated()}, model_version=there)


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
        case("the ModelVersion names this run", passed(there=ModelVersionSeen("run", "")), "ads-1-0-0"),
        case("it has pinned the package of this run", passed(there=ModelVersionSeen("run", TRAINED_PACKAGE.digest)), "ads-1-0-0"),
        case("the run asks for no ModelVersion", passed({"modelVersion": None}), ""),
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
        case("it names another run", ModelVersionSeen("other", "")),
        case("it names a package", ModelVersionSeen("", "sha256:0")),
        case("it names a run of this name that was deleted since", ModelVersionSeen("run", "sha256:0")),
    ],
)
def test_a_model_version_that_is_not_of_this_run_is_left_alone(there: ModelVersionSeen) -> None:
    plan = publish(passed(there=there), NOW)
    assert plan is not None
    assert (plan.items, plan.remember) == ((), False)
    assert condition(plan) == ("False", "NameConflict")
    assert "ModelVersion ads-1-0-0 exists and is not of this run" in message(plan)
    assert "spec.modelVersion.version" in message(plan)
