from __future__ import annotations

from typing import Any

import pytest

from bramble.api.labels import FINALIZER
from bramble.api.modelversion import KIND
from bramble.api.objects import Invalid, parse
from bramble.kinds.modelversion.observed import Unusable
from bramble.kinds.modelversion.plan import plan
from bramble.kinds.modelversion.policies.deletion import deletion
from bramble.kinds.modelversion.policies.finalizer import finalizer
from bramble.kinds.plan import NOTHING, PatchFields
from tests.unit.modelversion.seen import NOW, TARGET, case, condition, manifest, message, observed

GOING = {"deletionTimestamp": "2026-01-02T03:04:05Z"}
HELD = {"finalizers": ["other", FINALIZER]}


def patched(plan: Any) -> Any:
    (item,) = plan.items
    assert isinstance(item, PatchFields)
    assert (item.uid, item.resource_version) == ("uid-version", "7")
    return item.patch["metadata"]["finalizers"]


@pytest.mark.parametrize(
    ("metadata", "used_by", "finalizers"),
    [
        case("nobody uses it", {}, (), None),
        case("a Rollout begins to use it", {}, ("ns/r",), [FINALIZER]),
        case("it has the finalizer already", HELD, ("ns/r",), None),
        case("the last Rollout has stopped using it", HELD, (), ["other"]),
    ],
)
def test_finalizer(metadata: Any, used_by: tuple[str, ...], finalizers: list[str] | None) -> None:
    plan = finalizer(observed(metadata=metadata, used_by=used_by), NOW)
    assert (patched(plan) if plan is not None else None) == finalizers


@pytest.mark.parametrize(
    ("metadata", "used_by", "finalizers"),
    [
        case("a Rollout begins to use it", {}, ("ns/r",), [FINALIZER]),
        case("the last Rollout has stopped using it", HELD, (), ["other"]),
        case("it is deleted and nobody uses it", {**GOING, **HELD}, (), ["other"]),
        case("it is deleted while a Rollout uses it", {**GOING, **HELD}, ("ns/r",), "InUse"),
        case("nobody uses it", {}, (), "InvalidSpec"),
    ],
)
def test_finalizer_and_deletion_work_without_a_usable_spec(metadata: Any, used_by: tuple[str, ...], finalizers: Any) -> None:
    version = parse(KIND, manifest({"benchmark": [{**TARGET, "limits": {"memory": "280mi"}}]}, **metadata))
    assert isinstance(version, Invalid)
    verdict = plan(Unusable(version, used_by), NOW)
    assert (condition(verdict)[1] if isinstance(finalizers, str) else patched(verdict)) == finalizers


def test_the_policy_has_no_opinion_on_a_version_that_is_not_deleted() -> None:
    assert deletion(observed(used_by=("ns/r",)), NOW) is None


def test_a_deleted_version_stays_while_a_rollout_uses_it() -> None:
    plan = deletion(observed(metadata={**GOING, **HELD}, used_by=("ns/a", "ns/b")), NOW)
    assert condition(plan) == ("False", "InUse")
    assert "ns/a, ns/b" in message(plan)
    assert plan is not None
    assert plan.items == ()


def test_a_deleted_version_that_nobody_uses_loses_its_finalizer() -> None:
    assert patched(deletion(observed(metadata={**GOING, **HELD}), NOW)) == ["other"]
    assert deletion(observed(metadata={**GOING, "finalizers": ["other"]}), NOW) == NOTHING
