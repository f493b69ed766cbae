"""A model of the API server in memory, for crash-convergence alone: what holds here is held again by tests/chaos on a real one.

It has resourceVersions, uids, generations, preconditions, finalizers, AlreadyExists and garbage collection by owner
reference; it has no admission, no defaults, no field ownership and no watches.
"""

# ruff: noqa: ARG002 - the arguments are the protocol's

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from bramble.errors import AlreadyExists, Conflict, NotFound
from bramble.kube.api import Applied, Listing, Propagation
from bramble.kube.resources import RESOURCES, Key, Manifest, Resource, key_of


class FakeApi:
    """Objects by key. `created` counts how often each name was created."""

    server = "https://192.0.2.1:6443"

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.created: dict[Key, int] = {}
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return self._copy(Key(resource.kind, namespace if resource.namespaced else "", name))

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:
        wanted = dict(part.split("=", 1) for part in label_selector.split(",") if part)
        items = [
            _copied(item)
            for key, item in self.objects.items()
            if key.kind == resource.kind
            and (not namespace or key.namespace == namespace)
            and wanted.items() <= item["metadata"].get("labels", {}).items()
            and (not field_selector or field_selector == f"regarding.uid={item.get('regarding', {}).get('uid')}")
        ]
        return Listing(tuple(items), next(self._versions))

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        key = key_of(manifest)
        if key in self.objects:
            raise AlreadyExists(f"{key} exists")
        if dry_run:
            return manifest
        made = _copied(dict(manifest))
        made["metadata"] |= {"uid": f"uid-{next(self._uids)}", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
        self.created[key] = self.created.get(key, 0) + 1
        return self._store(key, made)

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        found = self.objects.get(key_of(manifest))
        if found is None:
            if manifest["metadata"].get("uid"):
                raise Conflict("the object that was to be applied is gone")
            return Applied(await self.create(resource, manifest), created=True)
        self._require(found, manifest["metadata"])
        if not force:
            raise Conflict("another manager holds these fields")
        kept = {name: found["metadata"][name] for name in ("uid", "creationTimestamp", "generation")}
        changed = {**found, **_copied(dict(manifest))}
        changed["metadata"] = {**found["metadata"], **manifest["metadata"], **kept}
        return Applied(self._store(key_of(manifest), changed), created=False)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        key = Key(resource.kind, namespace, name)
        found = self._existing(key)
        self._require(found, patch.get("metadata", {}))
        changed = _merged(found, patch)
        changed["metadata"] |= {name: found["metadata"][name] for name in ("uid", "resourceVersion")}
        return self._store(key, changed)

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        found = self._existing(key_of(manifest))
        self._require(found, manifest["metadata"])
        return self._store(key_of(manifest), {**found, "status": _copied(dict(manifest["status"]))})

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        found = self._existing(key_of(manifest))
        self._require(found, manifest["metadata"])
        return self._store(key_of(manifest), _copied(dict(manifest)))

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        key = Key(resource.kind, namespace, name)
        found = self.objects.get(key)
        if found is None or found["metadata"]["uid"] != uid:
            return
        if found["metadata"].get("finalizers"):
            self._store(key, {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:01Z"}})
            return
        del self.objects[key]
        self.collect_garbage()

    def put(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Set an object as something other than the operator would: a user, a controller, a kubelet."""
        key = key_of(manifest)
        made = _copied(dict(manifest))
        made["metadata"].setdefault("uid", f"uid-{next(self._uids)}")
        made["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        made["metadata"].setdefault("generation", 1)
        return self._store(key, made)

    def collect_garbage(self) -> None:
        """Remove what is owned by objects that are gone."""
        uids = {item["metadata"]["uid"] for item in self.objects.values()}
        orphans = [key for key, item in self.objects.items() if not _owners(item) <= uids]
        for key in orphans:
            del self.objects[key]
        if orphans:
            self.collect_garbage()

    def of_kind(self, kind: str) -> Iterable[dict[str, Any]]:
        return [item for key, item in self.objects.items() if key.kind == kind]

    def _copy(self, key: Key) -> Manifest | None:
        found: Manifest | None = _copied(self.objects.get(key))
        return found

    def _existing(self, key: Key) -> dict[str, Any]:
        if key not in self.objects:
            raise NotFound(f"{key} is not there")
        return self.objects[key]

    def _require(self, found: Mapping[str, Any], conditions: Mapping[str, Any]) -> None:
        for name in ("uid", "resourceVersion"):
            if name in conditions and conditions[name] != found["metadata"][name]:
                raise Conflict(f"{name} is {found['metadata'][name]}, not {conditions[name]}")

    def _store(self, key: Key, manifest: dict[str, Any]) -> dict[str, Any]:
        manifest = _copied(manifest)
        manifest.setdefault("apiVersion", RESOURCES[key.kind].api_version)
        manifest["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = manifest
        kept: dict[str, Any] = _copied(manifest)
        return kept


def _copied(value: Any) -> Any:
    """A copy of JSON. `copy.deepcopy` takes five times as long."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list | tuple) else value


def _owners(manifest: Mapping[str, Any]) -> set[str]:
    return {reference["uid"] for reference in manifest["metadata"].get("ownerReferences", ())}


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return _copied(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
