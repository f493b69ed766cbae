"""The newest known state of every watched object.

The answer to a write is stored at once, so no object is planned on a state older than its own last write; older watch events that arrive
later are ignored. This compares resourceVersions as numbers, which Kubernetes allows since KEP-5504 (comparable resource versions) and
which etcd's revisions have always been.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bramble.api.labels import OWNER_UID
from bramble.engine.trim import trim
from bramble.kube.resources import Key, Manifest, key_of

Place = tuple[str, str]
"""Namespace and name of an object; the namespace of a cluster-scoped one is empty."""


def version_of(manifest: Manifest) -> int:
    """The resourceVersion as a number."""
    return int(manifest["metadata"]["resourceVersion"])


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    """The labels; empty when there are none."""
    return manifest["metadata"].get("labels") or {}


class Cache:
    """Objects by kind, namespace and name. It also remembers deletions, until `forget_deletions`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Place, dict[str, Any]]] = defaultdict(dict)
        self._by_owner: dict[tuple[str, str], set[Place]] = defaultdict(set)
        self._deleted_at: dict[str, int] = {}

    def put(self, manifest: Manifest) -> tuple[Manifest | None, Manifest] | None:
        """Store the state of an object.

        Returns:
            The former and the new state when something changed that plans can see; None when nothing did, or when a newer state or the
            deletion of the object is already known.
        """
        key, uid, version = key_of(manifest), manifest["metadata"]["uid"], version_of(manifest)
        if self._deleted_at.get(uid, -1) >= version:
            return None
        place = (key.namespace, key.name)
        former = self._objects[key.kind].get(place)
        if former is not None and version_of(former) >= version:
            return None
        present = trim(manifest)
        if former is not None:
            self._unlink(former)
        self._objects[key.kind][place] = present
        self._link(present)
        return None if former is not None and _same(former, present) else (former, present)

    def remove(self, manifest: Manifest, version: int | None = None) -> Manifest | None:
        """Record that an object was deleted at resourceVersion `version` (its own by default).

        The deletion is remembered, so that a list or an answer that was still on its way cannot bring the object back.

        Returns:
            The former state, or None when the object was not known.
        """
        key, uid = key_of(manifest), manifest["metadata"]["uid"]
        self._deleted_at[uid] = max(self._deleted_at.get(uid, -1), version if version is not None else version_of(manifest))
        place = (key.namespace, key.name)
        former = self._objects[key.kind].get(place)
        if former is None or former["metadata"]["uid"] != uid:
            return None
        self._unlink(former)
        del self._objects[key.kind][place]
        return former

    def get(self, key: Key) -> Manifest | None:
        """The newest known state."""
        return self._objects[key.kind].get((key.namespace, key.name))

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Manifest, ...]:
        """The objects of a kind, in a namespace, that have all of `labels`; the oldest first."""
        wanted = dict(labels or {})
        found = [
            item
            for item in self._candidates(kind, wanted)
            if (namespace is None or item["metadata"].get("namespace", "") == namespace) and wanted.items() <= labels_of(item).items()
        ]
        return tuple(sorted(found, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["uid"])))

    def keys(self, kind: str) -> tuple[Key, ...]:
        """The keys of all objects of a kind."""
        return tuple(Key(kind, namespace, name) for namespace, name in self._objects[kind])

    def count(self, kind: str) -> int:
        """The number of known objects of a kind."""
        return len(self._objects[kind])

    def forget_deletions(self, before: int) -> None:
        """Forget deletions older than this resourceVersion. No list or answer still on its way may be older than that."""
        self._deleted_at = {uid: version for uid, version in self._deleted_at.items() if version >= before}

    def _candidates(self, kind: str, wanted: Mapping[str, str]) -> Iterator[Manifest]:
        if OWNER_UID in wanted:
            objects = self._objects[kind]
            return (objects[place] for place in self._by_owner.get((kind, wanted[OWNER_UID]), ()))
        return iter(self._objects[kind].values())

    def _link(self, manifest: Manifest) -> None:
        if owner := labels_of(manifest).get(OWNER_UID):
            self._by_owner[manifest["kind"], owner].add((manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]))

    def _unlink(self, manifest: Manifest) -> None:
        if owner := labels_of(manifest).get(OWNER_UID):
            places = self._by_owner[manifest["kind"], owner]
            places.discard((manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]))
            if not places:
                del self._by_owner[manifest["kind"], owner]


def _same(former: Manifest, present: Manifest) -> bool:
    """True if two states differ in nothing but the resourceVersion. States nested too deep to be compared count as different."""
    version = former["metadata"]["resourceVersion"]
    try:
        return bool({**present, "metadata": {**present["metadata"], "resourceVersion": version}} == former)
    except RecursionError:
        return False
