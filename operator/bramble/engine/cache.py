"""Everything the watches have delivered, and every answer to our own writes.

The answer to a write goes in at once, so that no object is planned again on a state older than its own last write;
the watch's older deliveries are then passed over. That compares resourceVersions as numbers, which Kubernetes has
promised since KEP-5504 (comparable resource versions) and etcd's revisions have always been.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bramble.api.labels import OWNER_UID
from bramble.engine.trim import trim
from bramble.kube.resources import Key, Manifest, key_of

Place = tuple[str, str]
"""Namespace and name."""


def version_of(manifest: Manifest) -> int:
    """The resourceVersion as a number."""
    return int(manifest["metadata"]["resourceVersion"])


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    """The labels, empty when there are none."""
    return manifest["metadata"].get("labels") or {}


class Cache:
    """Objects by kind, namespace and name, the newest known state of each."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Place, dict[str, Any]]] = defaultdict(dict)
        self._by_owner: dict[tuple[str, str], set[Place]] = defaultdict(set)
        self._gone: dict[str, int] = {}

    def put(self, manifest: Manifest) -> tuple[Manifest | None, Manifest] | None:
        """Take an object in.

        Returns:
            The former and the present state when something changed that plans can see; None when nothing did, or
            when a newer state, or the object's end, is known already.
        """
        key, uid, version = key_of(manifest), manifest["metadata"]["uid"], version_of(manifest)
        if self._gone.get(uid, -1) >= version:
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
        """An object ended at `version` (its own by default); returns its former state if it was known.

        The end is remembered: a list or an answer that was under way cannot bring the object back.
        """
        key, uid = key_of(manifest), manifest["metadata"]["uid"]
        self._gone[uid] = max(self._gone.get(uid, -1), version if version is not None else version_of(manifest))
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
        """Those of a kind, in a namespace, whose labels hold all of `labels`; oldest first."""
        wanted = dict(labels or {})
        found = [
            item
            for item in self._candidates(kind, wanted)
            if (namespace is None or item["metadata"].get("namespace", "") == namespace) and wanted.items() <= labels_of(item).items()
        ]
        return tuple(sorted(found, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["uid"])))

    def keys(self, kind: str) -> tuple[Key, ...]:
        """The keys of a kind."""
        return tuple(Key(kind, namespace, name) for namespace, name in self._objects[kind])

    def count(self, kind: str) -> int:
        """How many objects of a kind are known."""
        return len(self._objects[kind])

    def forget_ends(self, before: int) -> None:
        """Drop what is remembered of ends below this resourceVersion: no list or answer under way is that old."""
        self._gone = {uid: version for uid, version in self._gone.items() if version >= before}

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
    """Whether two states differ in nothing but the resourceVersion. Those nested deeper than can be compared are taken to differ."""
    version = former["metadata"]["resourceVersion"]
    try:
        return bool({**present, "metadata": {**present["metadata"], "resourceVersion": version}} == former)
    except RecursionError:
        return False
