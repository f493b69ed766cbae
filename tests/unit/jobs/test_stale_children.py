"""Jobs and ConfigMaps of attempts that are over are found and deleted."""

from __future__ import annotations

from typing import Any

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.kinds.jobs.stale_children import Child, delete_stale, stale_children
from bramble.kinds.jobs.step import Owner
from bramble.kinds.plan import Delete, Plan
from bramble.kube.resources import CONFIG_MAP, JOB, SERVICE, Key, Manifest, Resource

OWNER = Owner("Dataset", "ads", "tape", "u-1")


def child(kind: str, step: str, attempt: int, **metadata: Any) -> Manifest:
    name = f"{step}-{attempt}"
    labels = {OWNER_UID: "u-1", STEP: step, ATTEMPT: str(attempt)}
    return {"kind": kind, "metadata": {"name": name, "namespace": "ads", "uid": f"{kind}-{name}", "labels": labels, **metadata}}


class Children:
    """A cluster with these Jobs and ConfigMaps."""

    def __init__(self, *children: Manifest) -> None:
        self.children = children

    def list(self, resource: Resource, namespace: str | None = None, labels: Any = None) -> tuple[Manifest, ...]:
        assert (namespace, labels) == ("ads", {OWNER_UID: "u-1"}), "only children of the owner are asked for"
        return tuple(child for child in self.children if child["kind"] == resource.kind)


def found(*children: Manifest, **present: int) -> list[str]:
    sources: Any = Children(*children)
    return [child.uid for child in stale_children(sources, OWNER, present)]


def test_jobs_and_config_maps_below_the_present_attempt_are_stale() -> None:
    children = [child(kind, "convert", attempt) for kind in (JOB.kind, CONFIG_MAP.kind) for attempt in (1, 2, 3)]
    assert found(*children, convert=2) == ["Job-convert-1", "ConfigMap-convert-1"]


def test_each_step_has_a_present_attempt_of_its_own() -> None:
    assert found(child("Job", "convert", 1), child("Job", "measure", 1), convert=1, measure=2) == ["Job-measure-1"]


def test_children_of_a_step_that_is_not_named_stay() -> None:
    assert found(child("Job", "other", 1), convert=2) == []


def test_a_child_that_is_being_deleted_is_not_deleted_again() -> None:
    assert found(child("Job", "convert", 1, deletionTimestamp="2026-01-01T00:00:00Z"), convert=2) == []


def test_they_are_deleted_by_uid() -> None:
    one = Child(Key("Job", "ads", "j"), "u-9", "convert", 1)
    assert delete_stale((one,)) == Plan(items=(Delete(one.key, "u-9"),))
    assert delete_stale(()) is None


def test_a_child_without_labels_is_of_attempt_0_of_no_step() -> None:
    assert Child.of({"kind": "Job", "metadata": {"name": "j", "namespace": "ads", "uid": "u"}}) == Child(Key("Job", "ads", "j"), "u", "", 0)


def test_further_kinds_of_objects_are_found_as_well() -> None:
    sources: Any = Children(child("Service", "train", 1), child("Job", "train", 1))
    assert [each.key.kind for each in stale_children(sources, OWNER, {"train": 2}, (SERVICE,))] == ["Job", "Service"]
