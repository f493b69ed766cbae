"""Finds and deletes the Jobs and ConfigMaps of attempts that are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP
from bramble.kinds.jobs.step import Owner
from bramble.kinds.plan import Delete, Plan
from bramble.kinds.sources import Sources
from bramble.kube.resources import CONFIG_MAP, JOB, Key, Manifest, Resource, key_of


class Child(NamedTuple):
    """A Job or ConfigMap of one attempt at a step."""

    key: Key
    uid: str
    step: str
    attempt: int

    @classmethod
    def of(cls, manifest: Manifest) -> Child:
        """From an object of the API server; one without the labels belongs to attempt 0 of no step."""
        metadata = manifest["metadata"]
        labels = metadata.get("labels") or {}
        return cls(key_of(manifest), metadata["uid"], labels.get(STEP, ""), int(labels.get(ATTEMPT, 0)))


def stale_children(sources: Sources, owner: Owner, present: Mapping[str, int], more: Iterable[Resource] = ()) -> tuple[Child, ...]:
    """The owner's Jobs and ConfigMaps of attempts below the present attempt of their step, except those that are being deleted.

    They belong to an attempt that has ended, or a leader that had stalled created them late. Children of a higher attempt stay: the attempt
    may have begun after this replica last heard from the API server.

    Args:
        present: each step's present attempt. Children of steps that are not named stay.
        more: the kinds of objects, beside Jobs and ConfigMaps, that attempts consist of.
    """
    labels = {OWNER_UID: owner.uid}
    manifests = [manifest for resource in (JOB, CONFIG_MAP, *more) for manifest in sources.list(resource, owner.namespace, labels)]
    children = (Child.of(manifest) for manifest in manifests if "deletionTimestamp" not in manifest["metadata"])
    return tuple(child for child in children if child.attempt < present.get(child.step, 0))


def delete_stale(children: Iterable[Child]) -> Plan | None:
    """Delete these children; None when there are none."""
    deletes = tuple(Delete(child.key, child.uid) for child in children)
    return Plan(items=deletes) if deletes else None
